"""What the tests of this room share: texts, pairs, questions and the requests made of them."""

import json
from pathlib import Path

from conftest import make_pairs

from dragon_finetune.improve.request import Request

HOUSES = 120
TRAINING = {
    "epochs": 3,
    "learning_rate": 1e-3,
    "max_seq_length": 56,
    "batch_size": 8,
    "patience": None,
    "device": "cpu",
    "logging_steps": 5,
}


def write_works(folder: Path) -> dict[str, Path]:
    """Write chunks (one a house), pairs of the first 80 houses, and judged questions on the others."""
    made = make_pairs(HOUSES)
    chunks = [{"chunk_id": f"house-{n}", "text": pair["positive_text"], "book": n % 3} for n, pair in enumerate(made)]
    asked = [
        {"question_id": n, "question": f"{made[n]['query']}, where", "answers": [f"house-{n}"], "kind": "ab"[n % 2]}
        for n in range(80, HOUSES)
    ]
    files = {name: folder / f"{name}.jsonl" for name in ("chunks", "pairs")} | {"questions": folder / "questions.json"}
    write_lines(files["chunks"], chunks)
    write_lines(files["pairs"], made[:80])
    files["questions"].write_text(json.dumps({"questions": asked}), encoding="utf-8")
    return files


def write_lines(path: Path, records: list) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def request_of(works: dict[str, Path], base: Path, output: Path, **changes) -> Request:
    values = {"chunks": (works["chunks"],), "questions": works["questions"], "pairs": works["pairs"]}
    return Request(**{**values, "base_model": str(base), "output": output, "training": TRAINING, **changes})
