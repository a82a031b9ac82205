"""A stand-in for generation C of Dragon's Codex, written from its contract: one dict per use."""

import os
from pathlib import Path

_config = None


class Config:
    def __init__(self):
        self.EMBEDDING_MODEL_NOMIC = {
            "EMBEDDING_MODEL_NAME": "nomic-embed-text",
            "EMBEDDING_MODEL_MAX_TOKENS": 2046,
            "EMBEDDING_MODEL_DIMENSION": 768,
            "EMBEDDING_MODEL_RAW_PREFIX": None,
            "EMBEDDING_MODEL_SEARCH_PREFIX": "search_query",
            "EMBEDDING_MODEL_DOCUMENT_PREFIX": "search_document",
        }
        self.CHUNKING_EMBEDDING = {
            "EMBEDDING_MANAGER": "ollama",
            "EMBEDDING_METHOD": "BATCH",
            "EMBEDDING_BATCH_SIZE": 32,
            "EMBEDDING_MODEL_CONFIG": self.EMBEDDING_MODEL_NOMIC,
        }
        self.RETRIEVAL_EMBEDDING = dict(self.CHUNKING_EMBEDDING)


def get_config():
    global _config
    if _config is None:
        _config = Config()
    return _config


ROOT = Path(os.environ.get("PROJECT_ROOT", "."))
