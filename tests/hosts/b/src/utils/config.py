"""A stand-in for generation B of Dragon's Codex, written from its contract: settings are literals."""

import os
from pathlib import Path


class Config:
    EMBEDDING_MANAGER = "ollama"
    EMBEDDING_MODEL = {
        "NAME": "nomic-embed-text",
        "RAW_EMBEDDING_PREFIX": None,
        "SEARCH_EMBEDDING_PREFIX": "search_query",
        "DOCUMENT_EMBEDDING_PREFIX": "search_document",
    }
    OLLAMA = {"OLLAMA_BASE_URL": "http://localhost:11434", "EMBEDDING_BATCH_SIZE": 32, "EMBEDDING_MODEL": EMBEDDING_MODEL}
    CHUNKING_STRATEGY = {"BOOKS_CHUNKING_STRATEGY_NAME": os.environ.get("HOST_STRATEGY", "legacy")}

    def get_embedding_manager_config(self, name):
        if name != "ollama":
            raise ValueError(f"unknown embedding manager {name}")
        return self.OLLAMA


ROOT = Path(os.environ.get("PROJECT_ROOT", "."))
