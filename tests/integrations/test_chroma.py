"""Chroma's function stands beside the other integrations."""

import chromadb
import pytest

from dragon_finetune.errors import TokenLimitError
from dragon_finetune.index import chroma_function
from dragon_finetune.integrations import chroma

from .conftest import QUERY, TEXTS, TOO_LONG, same, same_ranking


def test_it_is_the_same_function():
    assert chroma.FineTunedEmbeddingFunction is chroma_function.FineTunedEmbeddingFunction
    assert chroma.embedding_function is chroma_function.embedding_function


def test_its_own_store(tiny, ranked, tuned):
    function = chroma.FineTunedEmbeddingFunction(str(tiny), device="cpu")
    client = chromadb.EphemeralClient()
    books = client.create_collection("of_integrations", embedding_function=function)
    try:
        books.add(ids=[str(n) for n in range(4)], documents=TEXTS)
        found = books.query(query_texts=[QUERY], n_results=4)
        same_ranking(
            [(text, 1 - gap) for text, gap in zip(found["documents"][0], found["distances"][0], strict=True)], ranked
        )
        same(books.get(ids=["1"], include=["embeddings"])["embeddings"][0], tuned.embed_documents(TEXTS)[1])
        with pytest.raises(TokenLimitError, match="exceed the limit of 64 tokens"):
            books.add(ids=["5"], documents=[TOO_LONG])
    finally:
        client.delete_collection("of_integrations")
