import json

from src.utils.chunking.chunking_strategies import get_chunker
from src.utils.config import ROOT, get_config

chunker = get_chunker(get_config().CHUNKING_STRATEGY["BOOKS_CHUNKING_STRATEGY_NAME"])

if __name__ == "__main__":
    for file in sorted((ROOT / "data" / "raw" / "books").glob("*.txt")):
        pieces = []
        for piece in chunker(file.read_text(encoding="utf-8")):
            if len(piece) < 300:
                if pieces:
                    pieces[-1] += " " + piece
            else:
                pieces.append(piece)
        with open(ROOT / "data" / "chunks" / f"{file.stem}_chunks.jsonl", "w", encoding="utf-8") as out:
            for number, piece in enumerate(pieces):
                out.write(json.dumps({"chunk_id": f"{file.stem}_{number}", "source": "book", "text": piece}) + "\n")
        print(f"{file.name}: {len(pieces)} chunks, the longest of {max(map(len, pieces))} characters")
