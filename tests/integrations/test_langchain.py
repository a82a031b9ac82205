"""LangChain gets the embedder's own vectors, in its own store too."""

import asyncio

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

from dragon_finetune.errors import SettingsError, TokenLimitError
from dragon_finetune.integrations.langchain import FineTunedEmbeddings

from .conftest import QUERY, TEXTS, TOO_LONG, same, same_ranking


@pytest.fixture(scope="module")
def embeddings(tiny):
    return FineTunedEmbeddings(tiny, device="cpu")


def test_each_role_has_its_prompt(embeddings, tuned):
    assert isinstance(embeddings, Embeddings)
    same(embeddings.embed_documents(TEXTS), tuned.embed_documents(TEXTS))
    same(embeddings.embed_query(QUERY), tuned.embed_query(QUERY))
    assert embeddings.embed_documents([]) == []


def test_async_and_many_at_once(embeddings, tuned):
    async def ask():
        return await asyncio.gather(
            embeddings.aembed_documents(TEXTS), *(embeddings.aembed_query(text) for text in TEXTS)
        )

    documents, *queries = asyncio.run(ask())
    same(documents, tuned.embed_documents(TEXTS))
    same(queries, [tuned.embed_query(text) for text in TEXTS])


def test_its_own_store(embeddings, ranked):
    store = InMemoryVectorStore.from_texts(TEXTS, embeddings)
    found = [(each.page_content, score) for each, score in store.similarity_search_with_score(QUERY, k=4)]
    same_ranking(found, ranked)
    assert store.as_retriever(search_kwargs={"k": 1}).invoke(QUERY)[0].page_content == ranked[0][0]


def test_options_and_refusals_pass_through(tiny, embeddings, tuned):
    with pytest.raises(TokenLimitError, match=r"1 of 2 texts exceed the limit of 64 tokens"):
        embeddings.embed_documents([TEXTS[0], TOO_LONG])
    with pytest.raises(TokenLimitError):
        InMemoryVectorStore(embeddings).add_texts([TOO_LONG])
    split = FineTunedEmbeddings(str(tiny), device="cpu", on_overflow="split", truncate_dim=8)
    same(split.embed_query(TOO_LONG), tuned.like(on_overflow="split", truncate_dim=8).embed_query(TOO_LONG))
    with pytest.raises(SettingsError, match="Did you mean 'split'"):
        FineTunedEmbeddings(tiny, on_overflow="splt")
