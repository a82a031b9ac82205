"""Question in, nearest chunks out."""

import re
from typing import Any

import chromadb
from src.utils.config import VECTOR_STORES, load_config
from src.utils.util_embedding import create_embedder

BOTH = {"narrative": 5, "reference": 5}
ROUTES = (
    ("timeline", re.compile(r"\b(when|what year|which year|in what order|timeline)\b", re.I), {"narrative": 10}),
    ("character", re.compile(r"\b(who|whose|whom)\b", re.I), BOTH),
    ("prophecy", re.compile(r"\b(prophec\w+|foretold|rhyme|verse)\b", re.I), BOTH),
)


class Retriever:
    """Routes a question to collections by its wording and merges what they return, nearest first."""

    def __init__(self) -> None:
        settings = chromadb.Settings(anonymized_telemetry=False)
        self._client = chromadb.PersistentClient(path=str(VECTOR_STORES), settings=settings)
        self._embedder = create_embedder(load_config())

    def retrieve(self, question: str, temporal_limit: int | None = None) -> dict[str, Any]:
        """Return the detected category, the collections asked, and the chunks with their distances."""
        category, wanted = next(
            ((name, want) for name, rule, want in ROUTES if rule.search(question)), ("general", BOTH)
        )
        vector = self._embedder.embed_query(question)
        where = {"temporal_order": {"$lte": temporal_limit}} if temporal_limit is not None else None
        chunks = []
        for name, top_k in wanted.items():
            found = self._client.get_collection(name, embedding_function=None).query(
                query_embeddings=[vector], n_results=top_k, where=where
            )
            rows = zip(found["documents"][0], found["distances"][0], found["metadatas"][0], strict=True)
            chunks += [
                {
                    "text": text,
                    "distance": distance,
                    "source": metadata.get("source"),
                    "source_file": metadata["source_file"],
                    "temporal_order": metadata.get("temporal_order"),
                }
                for text, distance, metadata in rows
            ]
        chunks.sort(key=lambda chunk: chunk["distance"])
        return {
            "detected_category": category,
            "classification_confidence": 1.0 if category != "general" else 0.5,
            "routing_strategy": "regex",
            "collections_used": list(wanted),
            "total_chunks_retrieved": len(chunks),
            "temporal_filter_applied": where is not None,
            "retrieved_chunks": chunks,
        }
