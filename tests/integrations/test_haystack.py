"""Haystack gets the embedder's own vectors, in its pipelines and files."""

import asyncio

import pytest
from haystack import Document, Pipeline
from haystack.components.retrievers import InMemoryEmbeddingRetriever
from haystack.components.writers import DocumentWriter
from haystack.core.errors import PipelineRuntimeError
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.utils import ComponentDevice

from dragon_finetune.errors import DataError, ModelError, SettingsError, TokenLimitError
from dragon_finetune.integrations.haystack import FineTunedDocumentEmbedder, FineTunedTextEmbedder

from .conftest import QUERY, TEXTS, TOO_LONG, same, same_ranking


@pytest.fixture
def documents():
    return [Document(content=text, meta={"book": number, "title": None}) for number, text in enumerate(TEXTS)]


@pytest.fixture
def of_documents(tiny):
    return FineTunedDocumentEmbedder(tiny, device="cpu", progress_bar=False)


@pytest.fixture
def of_queries(tiny):
    return FineTunedTextEmbedder(tiny, device="cpu")


def test_each_role_has_its_prompt(of_documents, of_queries, documents, tuned):
    made = of_documents.run(documents)["documents"]
    same([each.embedding for each in made], tuned.embed_documents(TEXTS))
    same(of_queries.run(QUERY)["embedding"], tuned.embed_query(QUERY))
    assert of_documents.run([]) == {"documents": []}


def test_the_documents_given_stay_as_they_were(of_documents, documents):
    made = of_documents.run(documents)["documents"]
    assert [each.embedding for each in documents] == [None] * 4
    assert [(each.id, each.content, each.meta) for each in made] == [
        (each.id, each.content, each.meta) for each in documents
    ]


def test_async(of_documents, of_queries, documents, tuned):
    async def ask():
        return await asyncio.gather(of_documents.run_async(documents), *map(of_queries.run_async, TEXTS))

    made, *queries = asyncio.run(ask())
    same([each.embedding for each in made["documents"]], tuned.embed_documents(TEXTS))
    same([each["embedding"] for each in queries], [tuned.embed_query(text) for text in TEXTS])


def test_fields_of_the_meta_go_before_the_content(tiny, documents, tuned):
    fields = ["book", "title", "page"]
    embedder = FineTunedDocumentEmbedder(
        tiny, device="cpu", progress_bar=False, meta_fields_to_embed=fields, embedding_separator=" | "
    )
    made = embedder.run(documents)["documents"]
    same([each.embedding for each in made], tuned.embed_documents([f"{n} | {text}" for n, text in enumerate(TEXTS)]))


def indexing(embedder, store):
    pipeline = Pipeline()
    pipeline.add_component("embedder", embedder)
    pipeline.add_component("writer", DocumentWriter(store))
    pipeline.connect("embedder.documents", "writer.documents")
    return pipeline


def asking(embedder, store):
    pipeline = Pipeline()
    pipeline.add_component("embedder", embedder)
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=4))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    return pipeline


def test_pipelines_and_their_store(of_documents, of_queries, documents, ranked):
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    indexing(of_documents, store).run({"embedder": {"documents": documents}})
    pipeline = asking(of_queries, store)
    found = pipeline.run({"embedder": {"text": QUERY}})["retriever"]["documents"]
    same_ranking([(each.content, each.score) for each in found], ranked)
    found = asyncio.run(pipeline.run_async({"embedder": {"text": QUERY}}))["retriever"]["documents"]
    same_ranking([(each.content, each.score) for each in found], ranked)


def test_a_pipeline_in_a_file(tiny, documents, tuned):
    pipeline = Pipeline()
    options = {"on_overflow": "split", "truncate_dim": 8, "prompts": {"document": "doc: "}, "progress_bar": False}
    fields = {"batch_size": 2, "meta_fields_to_embed": ["book"], "embedding_separator": " "}
    pipeline.add_component("embedder", FineTunedDocumentEmbedder(tiny, **options, **fields))
    pipeline.add_component("query", FineTunedTextEmbedder(tiny, device=ComponentDevice.from_str("cpu"), budget=512))
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["dragon_finetune.integrations.haystack"])
    assert again.to_dict() == pipeline.to_dict()
    same(again.run({"query": {"text": QUERY}, "embedder": {"documents": []}})["query"]["embedding"],
         tuned.embed_query(QUERY))  # fmt: skip
    given = pipeline.get_component("embedder").run(documents)["documents"]
    found = again.get_component("embedder").run(documents)["documents"]
    assert len(found[0].embedding) == 8
    same([each.embedding for each in found], [each.embedding for each in given])
    assert again.get_component("query").embedder.options.device == "cpu"


def test_warm_up_loads_the_model_or_says_why_not(of_queries, of_documents, tmp_path):
    for component in (of_queries, of_documents):
        component.warm_up()
        assert component.embedder.dense._engine is not None
    for kind in (FineTunedTextEmbedder, FineTunedDocumentEmbedder):
        with pytest.raises(ModelError, match="nowhere"):
            kind(tmp_path / "nowhere").warm_up()


def test_refusals_pass_through(tiny, of_documents, of_queries, documents):
    with pytest.raises(TokenLimitError, match=r"1 of 5 texts exceed the limit of 64 tokens.*text 4 has"):
        of_documents.run([*documents, Document(content=TOO_LONG)])
    with pytest.raises(DataError, match="text 0: the text is empty"):
        of_documents.run([Document(content=None)])
    with pytest.raises(DataError, match="documents is str 'The Ledger"):
        of_documents.run(QUERY)
    with pytest.raises(DataError, match="document 0 is str 'The Ledger"):
        of_documents.run([QUERY])
    with pytest.raises(DataError, match="expected a string, found list"):
        of_queries.run([QUERY])
    with pytest.raises(SettingsError, match="Did you mean 'split'"):
        FineTunedTextEmbedder(tiny, on_overflow="splt")


def test_a_pipeline_tells_a_refusal(of_documents, documents):
    pipeline = indexing(of_documents, InMemoryDocumentStore())
    with pytest.raises(PipelineRuntimeError, match=r"exceed the limit of 64 tokens") as refused:
        pipeline.run({"embedder": {"documents": [*documents, Document(content=TOO_LONG)]}})
    assert isinstance(refused.value.__cause__, TokenLimitError)
