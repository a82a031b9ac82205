import json

from src.utils.config import PATHS
from src.utils.util_chunking_functions import chunk_statistics, split_into_paragraphs, split_paragraph_into_chunks

for file in sorted((PATHS.root / "data" / "raw" / "books").glob("*.txt")):
    text = file.read_text(encoding="utf-8")
    pieces = [piece for block in split_into_paragraphs(text) for piece in split_paragraph_into_chunks(block)]
    with open(PATHS.chunks / f"{file.stem}_chunks.jsonl", "w", encoding="utf-8") as out:
        for number, piece in enumerate(pieces):
            out.write(json.dumps({"chunk_id": f"{file.stem}_{number}", "source": "book", "text": piece}) + "\n")
    chunk_statistics(pieces)
    print(f"{file.name}: {len(pieces)} chunks")
