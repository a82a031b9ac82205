"""LlamaIndex gets the embedder's own vectors, and takes no model for another."""

import asyncio
import json
import pickle
import shutil
from dataclasses import asdict

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import TextNode
from llama_index.core.storage.kvstore import SimpleKVStore
from pydantic import ValidationError

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.errors import SettingsError, StaleIndexError, TokenLimitError
from dragon_finetune.integrations.llama_index import FineTunedEmbedding

from .conftest import QUERY, TEXTS, TOO_LONG, same, same_ranking


@pytest.fixture(scope="module")
def embedding(tiny):
    return FineTunedEmbedding(tiny, device="cpu", embed_batch_size=3)


def nodes():
    return [TextNode(text=text, id_=f"n{number}") for number, text in enumerate(TEXTS)]


def test_each_role_has_its_prompt(embedding, tuned):
    same(embedding.get_text_embedding_batch(TEXTS), tuned.embed_documents(TEXTS))
    same(embedding.get_text_embedding(QUERY), tuned.embed_documents([QUERY])[0])
    same(embedding.get_query_embedding(QUERY), tuned.embed_query(QUERY))


def test_async_and_many_at_once(embedding, tuned):
    async def ask():
        return await asyncio.gather(
            embedding.aget_text_embedding_batch(TEXTS),
            embedding.aget_text_embedding(QUERY),
            *(embedding.aget_query_embedding(text) for text in TEXTS),
        )

    documents, document, *queries = asyncio.run(ask())
    same(documents, tuned.embed_documents(TEXTS))
    same(document, tuned.embed_documents([QUERY])[0])
    same(queries, [tuned.embed_query(text) for text in TEXTS])


def test_its_own_store(embedding, ranked):
    index = VectorStoreIndex(nodes(), embed_model=embedding)
    found = index.as_retriever(similarity_top_k=4).retrieve(QUERY)
    same_ranking([(each.node.text, each.score) for each in found], ranked)


def test_metadata_goes_before_the_text(embedding, tuned):
    told = TextNode(text=QUERY, metadata={"book": "Salt"})
    kept = TextNode(text=QUERY, metadata={"book": "Salt"}, excluded_embed_metadata_keys=["book"])
    same([node.embedding for node in embedding([told, kept])], tuned.embed_documents([f"book: Salt\n\n{QUERY}", QUERY]))


def test_options_are_fields(tiny, embedding, tuned):
    assert set(asdict(tuned.options)) <= set(FineTunedEmbedding.model_fields)
    assert embedding.embedder.options == tuned.options
    split = FineTunedEmbedding(model_name=str(tiny), device="cpu", on_overflow="split", truncate_dim=8)
    same(split.get_query_embedding(TOO_LONG), tuned.like(on_overflow="split", truncate_dim=8).embed_query(TOO_LONG))


def test_refusals_pass_through(tiny, embedding):
    with pytest.raises(TokenLimitError, match=r"1 of 2 texts exceed the limit of 64 tokens"):
        embedding.get_text_embedding_batch([TEXTS[0], TOO_LONG])
    with pytest.raises(TokenLimitError):
        VectorStoreIndex([TextNode(text=TOO_LONG)], embed_model=embedding)
    with pytest.raises(SettingsError, match="Did you mean 'split'"):
        FineTunedEmbedding(tiny, on_overflow="splt")
    with pytest.raises(ValidationError, match="on_overflw"):
        FineTunedEmbedding(tiny, on_overflw="split")


def test_a_cache_that_knows_no_roles_is_refused(tiny):
    with pytest.raises(SettingsError, match="one vector per text"):
        FineTunedEmbedding(tiny, embeddings_cache=SimpleKVStore())


def test_serialisation_there_and_back(tiny, tuned):
    given = {"on_overflow": "split", "truncate_dim": 8, "embed_batch_size": 7, "prompts": {"query": "ask: "}}
    made = FineTunedEmbedding(tiny, device="cpu", **given)
    wanted = made.get_query_embedding(QUERY)
    assert made.to_dict()["class_name"] == "FineTunedEmbedding"
    for again in (
        FineTunedEmbedding.from_dict(json.loads(json.dumps(made.to_dict()))),
        FineTunedEmbedding.from_json(made.to_json()),
        pickle.loads(pickle.dumps(made)),
    ):
        assert again.embed_batch_size == 7
        assert again.embedder.options == made.embedder.options
        same(again.get_query_embedding(QUERY), wanted)


def test_a_model_trained_anew_is_another(tiny_models, tmp_path):
    folder = shutil.copytree(tiny_models["byte_bpe"], tmp_path / "model")
    pipeline = IngestionPipeline(transformations=[FineTunedEmbedding(folder, device="cpu")])
    before = pipeline.transformations[0].to_dict()
    first = [node.embedding for node in pipeline.run(nodes=nodes())]
    shutil.rmtree(folder)
    shutil.copytree(tiny_models["unigram"], folder)

    again = IngestionPipeline(transformations=[FineTunedEmbedding(folder, device="cpu")], cache=pipeline.cache)
    found = [node.embedding for node in again.run(nodes=nodes())]
    same(found, FineTunedEmbedder(folder, device="cpu").embed_documents(TEXTS))
    assert found != first
    with pytest.raises(StaleIndexError, match="was another encoder"):
        FineTunedEmbedding.from_dict(before)
