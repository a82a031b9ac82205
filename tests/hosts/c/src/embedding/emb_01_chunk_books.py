import json

from src.config import ROOT
from src.embedding.semantic_chunking import chunk

if __name__ == "__main__":
    (ROOT / "data" / "chunks").mkdir(parents=True, exist_ok=True)
    for file in sorted((ROOT / "data" / "raw" / "books").glob("*.txt")):
        pieces = chunk(file.read_text(encoding="utf-8"))
        with open(ROOT / "data" / "chunks" / f"{file.stem}_chunks.jsonl", "w", encoding="utf-8") as out:
            for number, piece in enumerate(pieces):
                out.write(json.dumps({"chunk_id": f"{file.stem}_{number}", "source": "book", "text": piece}) + "\n")
        print(f"{file.name}: {len(pieces)} chunks")
