import json
import pickle
import sys
from datetime import timedelta

from src.utils.config import PATHS
from src.utils.util_embedding import VectorStoreManager


def main():
    manager = VectorStoreManager()
    for file in sorted(PATHS.chunks.glob("*.jsonl")):
        rows = [json.loads(line) for line in open(file, encoding="utf-8")]
        vectors, total, average, most = [], timedelta(), 0.0, 0
        for start in range(0, len(rows), 100):
            found, mean, longest, elapsed = manager.embed_chunks(
                [row["text"] for row in rows[start : start + 100]], 100, False
            )
            vectors += list(found)
            total, average, most = total + elapsed, average + mean, max(most, longest)
        stored = {
            f"chunk_{number}": {"embedding": vector, "text": row["text"], "metadata": row}
            for number, (row, vector) in enumerate(zip(rows, vectors))
        }
        with open(PATHS.embeddings / f"{file.stem}.embeddings.pkl", "wb") as out:
            pickle.dump(stored, out)
        print(f"{file.name}: {len(stored)} of {len(rows)} chunks, {len(rows) / total.total_seconds():.3f} per second, {most}")
    print("arguments:", sys.argv[1:])


if __name__ == "__main__":
    main()
