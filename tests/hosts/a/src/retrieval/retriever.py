import chromadb
from src.utils.config import PATHS, get_config
from src.utils.util_embedding import VectorStoreManager


class Retriever:
    def __init__(self):
        self.vsm = VectorStoreManager(get_config())
        settings = chromadb.Settings(anonymized_telemetry=False)
        self.client = chromadb.PersistentClient(str(PATHS.store), settings=settings)

    def retrieve(self, question, temporal_limit=None):
        chunks = []
        where = {"temporal_order": {"$lte": temporal_limit}} if temporal_limit is not None else None
        for name in ("narrative", "reference"):
            vectors, _, _, _ = self.vsm.embed_chunks([question], show_progress=False)
            collection = self.client.get_collection(name, embedding_function=None)
            found = collection.query(query_embeddings=[vectors[0]], n_results=5, where=where)
            for text, distance, data in zip(found["documents"][0], found["distances"][0], found["metadatas"][0]):
                chunks.append({"text": text, "distance": distance, "source": data.get("source"),
                               "source_file": data["source_file"], "temporal_order": data.get("temporal_order")})
        return sorted(chunks, key=lambda chunk: chunk["distance"])
