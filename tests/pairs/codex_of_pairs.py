"""What the tests of this room share."""

import json
from pathlib import Path

from dragon_finetune.files import read_jsonl
from dragon_finetune.pairs.corpus import read_corpus

CODEX = Path(__file__).parents[2] / "examples" / "dragons_codex" / "data"
FILES = sorted((CODEX / "chunks").glob("*.jsonl"))
QUESTIONS = json.loads((CODEX / "testing" / "questions_100.json").read_text(encoding="utf-8"))["questions"]


def corpus_of(texts, **metadata):
    return read_corpus((f"c{n}", {"text": text, **metadata}) for n, text in enumerate(texts))


def read_codex():
    return read_corpus((f"{file.stem}_{n}", record) for file in FILES for n, record in read_jsonl(file))
