"""The embedder as other frameworks know one. Each is loaded at first use, so that one needs none of the others."""

from typing import TYPE_CHECKING

from dragon_finetune.lazy_names import lazily

if TYPE_CHECKING:
    from dragon_finetune.integrations.chroma import FineTunedEmbeddingFunction as FineTunedEmbeddingFunction
    from dragon_finetune.integrations.chroma import embedding_function as embedding_function
    from dragon_finetune.integrations.haystack import FineTunedDocumentEmbedder as FineTunedDocumentEmbedder
    from dragon_finetune.integrations.haystack import FineTunedTextEmbedder as FineTunedTextEmbedder
    from dragon_finetune.integrations.langchain import FineTunedEmbeddings as FineTunedEmbeddings
    from dragon_finetune.integrations.llama_index import FineTunedEmbedding as FineTunedEmbedding

_HOMES = {
    "FineTunedDocumentEmbedder": "haystack",
    "FineTunedEmbedding": "llama_index",
    "FineTunedEmbeddingFunction": "chroma",
    "FineTunedEmbeddings": "langchain",
    "FineTunedTextEmbedder": "haystack",
    "embedding_function": "chroma",
}

__all__ = sorted(_HOMES)
__getattr__, __dir__ = lazily(globals(), _HOMES)
