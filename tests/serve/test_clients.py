"""The clients that people have, none of them ours, get the embedder's own vectors."""

import base64
import gc
import warnings

import numpy as np
import pytest

# Several of them leave their sockets to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def same(found, wanted):
    np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), atol=2e-6)


@pytest.fixture(autouse=True)
def no_account(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    yield
    gc.collect()  # here, where the filters above hold, and not at the end of the session


def test_ollama(server, tuned, texts):
    ollama = pytest.importorskip("ollama")
    client = ollama.Client(host=server)
    same(client.embed(model="tuned", input=texts).embeddings, tuned.embed_documents(texts))
    same(client.embed(model="tuned:query", input=texts[0]).embeddings[0], tuned.embed_query(texts[0]))
    same(client.embeddings(model="tuned:document", prompt=texts[1]).embedding, tuned.embed_documents(texts)[1])
    assert {"tuned:latest", "tuned:query", "embedded:latest"} <= {each.model for each in client.list().models}
    shown = client.show("tuned")
    assert shown.capabilities == ["embedding"]
    assert shown.modelinfo["bert.embedding_length"] == tuned.dimension
    with pytest.raises(ollama.ResponseError, match=r"'other' not found; there is tuned, .*embedded:document"):
        client.embed(model="other", input="x")


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_openai(server, tuned, texts, encoding):
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{server}/v1")
    made = client.embeddings.create(model="tuned", input=texts, encoding_format=encoding)
    vectors = [each.embedding for each in made.data]
    if encoding == "base64":
        vectors = [np.frombuffer(base64.b64decode(each), "<f4") for each in vectors]
    same(vectors, tuned.embed_documents(texts))
    assert made.usage.prompt_tokens == sum(tuned.dense.counts(texts, "document"))
    assert "embedded:query" in [model.id for model in client.models.list()]
    assert client.models.retrieve("tuned").id == "tuned"
    with pytest.raises(openai.NotFoundError, match="there is tuned"):
        client.embeddings.create(model="text-embedding-3-small", input="x")


def test_openai_by_tokens_and_by_fewer_dimensions(server, tuned, texts):
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{server}/v1")
    tokenizer = tuned.folder.load_tokenizer("document").backend_tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts[:2]]
    made = client.embeddings.create(model="tuned", input=ids, dimensions=8)
    vectors = np.array(tuned.embed_documents(texts[:2]))[:, :8]
    same([each.embedding for each in made.data], vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    # OpenAI's own tokens, of a vocabulary of 100,000.
    with pytest.raises(openai.BadRequestError, match="of another tokenizer"):
        client.embeddings.create(model="tuned", input=[9906, 1917])


def test_langchain_ollama(server, tuned, texts):
    langchain_ollama = pytest.importorskip("langchain_ollama")
    documents = langchain_ollama.OllamaEmbeddings(model="tuned:document", base_url=server)
    queries = langchain_ollama.OllamaEmbeddings(model="tuned:query", base_url=server)
    same(documents.embed_documents(texts), tuned.embed_documents(texts))
    same(queries.embed_query(texts[0]), tuned.embed_query(texts[0]))


def test_langchain_openai(server, tuned, texts):
    langchain_openai = pytest.importorskip("langchain_openai")
    documents = langchain_openai.OpenAIEmbeddings(
        model="tuned", base_url=f"{server}/v1", check_embedding_ctx_length=False
    )
    same(documents.embed_documents(texts), tuned.embed_documents(texts))


def test_llama_index(server, tuned, texts):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, of pydantic
        ollama = pytest.importorskip("llama_index.embeddings.ollama")
    documents = ollama.OllamaEmbedding(model_name="tuned", base_url=server)
    same(documents.get_text_embedding_batch(texts), tuned.embed_documents(texts))
    queries = ollama.OllamaEmbedding(model_name="tuned:query", base_url=server)
    same(queries.get_query_embedding(texts[0]), tuned.embed_query(texts[0]))


def test_haystack(server, tuned, texts):
    haystack = pytest.importorskip("haystack")
    import openai  # Haystack brings it
    from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder

    at = {"api_base_url": f"{server}/v1"}
    documents = OpenAIDocumentEmbedder(model="tuned:document", progress_bar=False, raise_on_failure=True, **at)
    made = documents.run([haystack.Document(content=text) for text in texts])
    same([each.embedding for each in made["documents"]], tuned.embed_documents(texts))
    queries = OpenAITextEmbedder(model="tuned:query", **at)
    same(queries.run(texts[0])["embedding"], tuned.embed_query(texts[0]))
    too_long = haystack.Document(content="over the grey water " * 40)
    with pytest.raises(openai.BadRequestError, match="exceed the limit of 64 tokens"):
        documents.run([too_long])
    documents.raise_on_failure = False
    assert documents.run([too_long])["documents"][0].embedding is None


def test_chroma_by_its_own_functions(server, tuned, texts):
    pytest.importorskip("ollama")
    pytest.importorskip("openai")
    from chromadb.utils.embedding_functions import OllamaEmbeddingFunction, OpenAIEmbeddingFunction

    wanted = tuned.embed_documents(texts)
    same(OllamaEmbeddingFunction(url=server, model_name="tuned")(texts), wanted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Chroma would rather have the key in the environment
        same(OpenAIEmbeddingFunction(api_key="none", api_base=f"{server}/v1", model_name="tuned")(texts), wanted)
