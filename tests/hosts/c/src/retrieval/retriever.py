import chromadb
from src.config import ROOT, get_config
from src.embedding.embedding_factory import create_embedding_manager


class Retriever:
    def __init__(self):
        self.vsm = create_embedding_manager(get_config().RETRIEVAL_EMBEDDING)
        settings = chromadb.Settings(anonymized_telemetry=False)
        client = chromadb.PersistentClient(str(ROOT / "vector_stores"), settings=settings)
        self.books = client.get_collection("books", embedding_function=None)

    def retrieve(self, question):
        vectors, _, _, _ = self.vsm.embed_chunks([question], show_progress=False, chunk_type="SEARCH")
        found = self.books.query(query_embeddings=[vectors[0]], n_results=10)
        rows = zip(found["documents"][0], found["distances"][0])
        return [{"text": text, "distance": distance} for text, distance in rows]
