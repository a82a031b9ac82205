"""Fill the Chroma collections from the embeddings: vector_stores/ is made anew."""

import pickle
from typing import Any

import chromadb
from src.utils.config import COLLECTIONS, EMBEDDINGS, VECTOR_STORES

KEPT = (
    "source", "title", "book_number", "book_title", "chapter_number", "chapter_title", "chapter_type",
    "chunk_index", "total_chunks_in_chapter", "chunk_id",
)  # fmt: skip


def record_metadata(stem: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what Chroma keeps of a chunk. Text without a place in time gets 0, so that no time filter drops it."""
    kept = {name: metadata[name] for name in KEPT if metadata.get(name) is not None}
    return {**kept, "source_file": stem, "temporal_order": metadata.get("temporal_order") or 0}


def main() -> None:
    """Create both collections with Chroma's default distance (squared L2)."""
    client = chromadb.PersistentClient(path=str(VECTOR_STORES), settings=chromadb.Settings(anonymized_telemetry=False))
    for name, stems in COLLECTIONS.items():
        if name in [collection.name for collection in client.list_collections()]:
            client.delete_collection(name)
        collection = client.create_collection(name, metadata={"description": f"{name} text"}, embedding_function=None)
        for stem in stems:
            with (EMBEDDINGS / f"{stem}.embeddings.pkl").open("rb") as stream:
                stored = pickle.load(stream)
            records = list(stored.values())
            collection.add(
                ids=[f"{stem}_{row}" for row in range(len(records))],
                embeddings=[record["embedding"] for record in records],
                documents=[record["text"] for record in records],
                metadatas=[record_metadata(stem, record["metadata"]) for record in records],
            )
        print(f"{name}: {collection.count()} records")


if __name__ == "__main__":
    main()
