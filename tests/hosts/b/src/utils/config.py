"""A stand-in for generation B of Dragon's Codex, written from its contract: settings are literals of `__init__`."""

import os
from enum import Enum
from pathlib import Path

_config = None


class EmbeddingManagers(Enum):
    OLLAMA = "ollama"
    SENTENCE_TRANSFORMER = "sentence_transformer"


class Config:
    def __init__(self):
        self.EMBEDDING_MANAGER = EmbeddingManagers.OLLAMA.value
        self.EMBEDDING_MODEL = {
            "EMBEDDING_MODEL_NAME": "nomic-embed-text",
            "EMBEDDING_MODEL_MAX_TOKENS": 2046,
            "EMBEDDING_MODEL_DIMENSION": 768,
            "EMBEDDING_MODEL_RAW_PREFIX": None,
            "EMBEDDING_MODEL_SEARCH_PREFIX": "search_query",
            "EMBEDDING_MODEL_DOCUMENT_PREFIX": "search_document",
        }
        self.OLLAMA = {
            "OLLAMA_BASE_URL": "http://localhost:11434",
            "EMBEDDING_METHOD": "BATCH",
            "EMBEDDING_BATCH_SIZE": 32,
            "EMBEDDING_MODEL": self.EMBEDDING_MODEL,
        }
        self.CHUNKING_STRATEGY = {"BOOKS_CHUNKING_STRATEGY_NAME": os.environ.get("HOST_STRATEGY", "legacy")}


def get_config():
    global _config
    if _config is None:
        _config = Config()
    return _config


def get_embedding_manager_config(backend):
    if backend == EmbeddingManagers.OLLAMA.value:
        return get_config().OLLAMA
    raise ValueError(f"Unknown embedding backend: {backend}")


ROOT = Path(os.environ.get("PROJECT_ROOT", "."))
