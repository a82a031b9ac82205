MAX_CHARS, TARGET, OVERLAP = 6956, 5980, 596


def split_into_paragraphs(text):
    blocks, block = [], ""
    for paragraph in text.split("\n\n"):
        if block and len(block) + len(paragraph) + 2 > MAX_CHARS:
            blocks.append(block)
            block = ""
        block = f"{block}\n\n{paragraph}" if block else paragraph
    return [*blocks, block]


def split_paragraph_into_chunks(paragraph):
    return [paragraph[start : start + TARGET] for start in range(0, len(paragraph), TARGET - OVERLAP)]


def chunk_statistics(chunks):
    if max(map(len, chunks)) > MAX_CHARS:
        raise ValueError("a chunk is too long")
