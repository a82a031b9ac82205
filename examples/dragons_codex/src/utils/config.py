"""Where things lie, and what codex.yaml says. Paths start at PROJECT_ROOT (default: the current folder)."""

import os
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(os.environ.get("PROJECT_ROOT", "."))
CHUNKS = ROOT / "data" / "chunks"
EMBEDDINGS = ROOT / "data" / "embeddings"
TESTING = ROOT / "data" / "testing"
QUESTIONS = TESTING / "questions_100.json"
ANSWERS = TESTING / "answers_baseline_retrieval_semantic_search.json"
SCORES = TESTING / "baseline_evaluation_detailed.json"
VECTOR_STORES = ROOT / "vector_stores"

NARRATIVE_FILES = ("book_chunks", "wiki_chunks_chronology", "wiki_chunks_chapter_summaries")
REFERENCE_FILES = (
    "wiki_chunks_characters",
    "wiki_chunks_concepts",
    "wiki_chunks_magic_system",
    "wiki_chunks_prophecies",
)
COLLECTIONS = {"narrative": NARRATIVE_FILES, "reference": REFERENCE_FILES}
BATCH_SIZE = 100


def load_config() -> dict[str, Any]:
    """Return codex.yaml as a mapping."""
    return yaml.safe_load((ROOT / "codex.yaml").read_text(encoding="utf-8")) or {}
