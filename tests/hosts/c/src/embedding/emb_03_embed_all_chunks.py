import json
import pickle
from datetime import timedelta

from src.config import ROOT, get_config
from src.embedding.embedding_factory import create_embedding_manager

if __name__ == "__main__":
    manager = create_embedding_manager(get_config().RETRIEVAL_EMBEDDING)
    size = int(manager.get_manager_config()["EMBEDDING_BATCH_SIZE"])
    (ROOT / "data" / "embeddings").mkdir(parents=True, exist_ok=True)
    for file in sorted((ROOT / "data" / "chunks").glob("*.jsonl")):
        rows = [json.loads(line) for line in open(file, encoding="utf-8")]
        vectors, total = [], timedelta()
        for start in range(0, len(rows), size):
            texts = [row["text"] for row in rows[start : start + size]]
            found, _, most, elapsed = manager.embed_chunks(texts, show_progress=False, chunk_type="DOCUMENT")
            vectors, total = vectors + list(found), total + elapsed
        stored = {f"chunk_{n}": {"embedding": v, "text": r["text"], "metadata": r} for n, (r, v) in enumerate(zip(rows, vectors))}
        with open(ROOT / "data" / "embeddings" / f"{file.stem}.embeddings.pkl", "wb") as out:
            pickle.dump(stored, out)
        print(f"{file.name}: {len(stored)} chunks, {len(rows) / total.total_seconds():.3f} per second, {most}")
