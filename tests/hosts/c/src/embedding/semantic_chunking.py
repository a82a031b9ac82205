import re

from src.config import get_config
from src.embedding.embedding_factory import create_embedding_manager

MAX_CHARS = 2000


def chunk(text):
    manager = create_embedding_manager(get_config().CHUNKING_EMBEDDING)
    sentences = [sentence for sentence in re.split(r"(?<=[.!?])\s+", text) if sentence]
    counts = [manager.token_count(sentence) for sentence in sentences]
    try:
        vectors, _, _, _ = manager.embed_chunks(sentences, show_progress=False, chunk_type="RAW")
    except Exception as error:
        print(f"Embedding failed ({error}). Falling back to size-based chunking")
        return [text[start : start + MAX_CHARS] for start in range(0, len(text), MAX_CHARS)]
    chunks, size = [[sentences[0]]], counts[0]
    for before, vector, sentence, count in zip(vectors, vectors[1:], sentences[1:], counts[1:]):
        if size + count > 200 or sum(a * b for a, b in zip(before, vector)) < 0.18:
            chunks.append([])
            size = 0
        chunks[-1].append(sentence)
        size += count
    return [" ".join(each) for each in chunks if each]
