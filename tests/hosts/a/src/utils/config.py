"""A stand-in for generation A of Dragon's Codex, written from its contract: settings built at import, `.env` wins."""

import os
from pathlib import Path

from dotenv import load_dotenv


class Config:
    _instance = None

    def __new__(cls):
        if cls._instance is None:
            cls._instance = super().__new__(cls)
            load_dotenv(Path(os.environ.get("PROJECT_ROOT", ".")) / ".env", override=True)
            cls._instance.OLLAMA_BASE_URL = os.getenv("OLLAMA_BASE_URL", "http://localhost:11434")
            cls._instance.EMBEDDING_MODEL = os.getenv("EMBEDDING_MODEL", "nomic-embed-text-num_batch-2048:latest")
        return cls._instance


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
    return Config()


CONFIG, PATHS = get_config(), Paths()
