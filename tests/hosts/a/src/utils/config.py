"""A stand-in for generation A of Dragon's Codex, written from its contract: settings built once, `.env` wins."""

import os
from pathlib import Path

from dotenv import load_dotenv

_config = None


class Config:
    def __init__(self):
        load_dotenv(Path(os.environ.get("PROJECT_ROOT", ".")) / ".env", override=True)
        self.OLLAMA_BASE_URL = os.getenv("OLLAMA_BASE_URL", "http://localhost:11434")
        self.EMBEDDING_MODEL = os.getenv("EMBEDDING_MODEL", "nomic-embed-text-num_batch-2048:latest")
        self.EMBEDDING_DIMENSION = int(os.getenv("EMBEDDING_DIMENSION", "768"))
        self.EMBEDDING_MAX_TOKENS = 2046


class Paths:
    def __init__(self):
        self.root = Path(os.environ.get("PROJECT_ROOT", "."))
        self.chunks = self.root / "data" / "chunks"
        self.embeddings = self.root / "data" / "embeddings"
        self.testing = self.root / "data" / "testing"
        self.store = self.root / "vector_stores"
        for folder in (self.chunks, self.embeddings, self.testing, self.root / "data" / "raw" / "books"):
            folder.mkdir(parents=True, exist_ok=True)


def get_config():
    global _config
    if _config is None:
        _config = Config()
    return _config


PATHS = Paths()
