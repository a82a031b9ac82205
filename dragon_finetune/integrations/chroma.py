"""Chroma's embedding function, where the other integrations are."""

from dragon_finetune.index.chroma_function import FineTunedEmbeddingFunction, embedding_function

__all__ = ["FineTunedEmbeddingFunction", "embedding_function"]
