import chromadb
from src.utils.config import ROOT, get_config, get_embedding_manager_config
from src.utils.embedding.embedding_factory import create_embedding_manager


class Retriever:
    def __init__(self):
        name = get_config().EMBEDDING_MANAGER
        self.vsm = create_embedding_manager(name, get_embedding_manager_config(name))
        settings = chromadb.Settings(anonymized_telemetry=False)
        client = chromadb.PersistentClient(str(ROOT / "vector_stores"), settings=settings)
        self.books = client.get_collection("books", embedding_function=None)

    def retrieve(self, question):
        prefix = self.vsm.get_manager_config()["EMBEDDING_MODEL"]["EMBEDDING_MODEL_SEARCH_PREFIX"]
        vectors, _, _, _ = self.vsm.embed_chunks(texts=[question], show_progress=False, prefix=prefix)
        found = self.books.query(query_embeddings=[vectors[0]], n_results=10)
        rows = zip(found["documents"][0], found["distances"][0])
        return [{"text": text, "distance": distance} for text, distance in rows]
