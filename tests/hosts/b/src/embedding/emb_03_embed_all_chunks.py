import json
import pickle
from datetime import timedelta

from src.utils.config import ROOT, get_config, get_embedding_manager_config
from src.utils.embedding.embedding_factory import create_embedding_manager

if __name__ == "__main__":
    name = get_config().EMBEDDING_MANAGER
    manager = create_embedding_manager(name, get_embedding_manager_config(name))
    settings = manager.get_manager_config()
    size = int(settings["EMBEDDING_BATCH_SIZE"])
    prefix = settings["EMBEDDING_MODEL"]["EMBEDDING_MODEL_DOCUMENT_PREFIX"]
    (ROOT / "data" / "embeddings").mkdir(parents=True, exist_ok=True)
    for file in sorted((ROOT / "data" / "chunks").glob("*.jsonl")):
        rows = [json.loads(line) for line in open(file, encoding="utf-8")]
        vectors, total = [], timedelta()
        for start in range(0, len(rows), size):
            texts = [row["text"] for row in rows[start : start + size]]
            found, _, most, elapsed = manager.embed_chunks(texts=texts, show_progress=False, prefix=prefix)
            vectors, total = vectors + list(found), total + elapsed
        stored = {f"chunk_{n}": {"embedding": v, "text": r["text"], "metadata": r} for n, (r, v) in enumerate(zip(rows, vectors))}
        with open(ROOT / "data" / "embeddings" / f"{file.stem}.embeddings.pkl", "wb") as out:
            pickle.dump(stored, out)
        print(f"{file.name}: {len(stored)} chunks, {len(rows) / total.total_seconds():.3f} per second, {most}")
