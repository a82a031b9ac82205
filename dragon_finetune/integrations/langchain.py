"""The embedder as LangChain knows one."""

from pathlib import Path
from typing import Any

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.integrations.extras import missing

try:
    from langchain_core.embeddings import Embeddings
except ImportError as error:
    raise missing("langchain", error) from error


class FineTunedEmbeddings(Embeddings):
    """LangChain's embeddings of a tuned model; its async methods run these in LangChain's executor.

    Args:
        model: a trained folder, a hub name, or "embedded".
        options: further arguments of FineTunedEmbedder (`on_overflow`, `precision`, `device`, `truncate_dim`, ...).

    Attributes:
        embedder: the FineTunedEmbedder; its `document_fingerprint` tells these vectors from another model's.

    Raises:
        SettingsError: an option has an unknown value.
    """

    def __init__(self, model: str | Path, **options: Any) -> None:
        self.embedder = FineTunedEmbedder(model, **options)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one unit vector per document, in order. Raises as `FineTunedEmbedder.embed_chunks` does."""
        return self.embedder.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        """Return the unit vector of a query, with the model's query prompt. Raises as `embed_documents` does."""
        return self.embedder.embed_query(text)
