"""The embedder as LlamaIndex knows one."""

import asyncio
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.options import EmbedderOptions
from dragon_finetune.errors import SettingsError, StaleIndexError
from dragon_finetune.integrations.extras import missing

try:
    from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
    from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr
except ImportError as error:
    raise missing("llama-index", error) from error

_OPTIONS = tuple(option.name for option in fields(EmbedderOptions))


class FineTunedEmbedding(BaseEmbedding):
    """LlamaIndex's embedding of a tuned model.

    Args:
        model_name: a trained folder, a hub name, or "embedded".
        given: LlamaIndex's own fields, of which `embed_batch_size` (texts per call, default 100) is one, and the
            options of FineTunedEmbedder.

    Raises:
        SettingsError: an option has an unknown value, or an `embeddings_cache` is given.
        pydantic.ValidationError: a field is unknown or of a wrong type.
    """

    model_config = ConfigDict(extra="forbid")

    embed_batch_size: int = Field(default=100, gt=0, le=2048, description="Texts per call.")
    precision: str = "auto"
    on_overflow: str = "error"
    device: str | None = None
    truncate_dim: int | None = None
    trust_remote_code: bool = False
    revision: str | None = None
    prompts: Mapping[str, str] | None = None
    engine: str = "auto"
    budget: int | None = None
    dense_only: bool = False
    allow_int8: bool = False
    _embedder: FineTunedEmbedder = PrivateAttr()

    def __init__(self, model_name: str | Path, **given: Any) -> None:
        super().__init__(model_name=str(model_name), **given)
        if self.embeddings_cache is not None:
            raise SettingsError(
                "embeddings_cache keeps one vector per text, be it a query or a document, and whichever model made "
                "it. Leave it out; an IngestionPipeline's cache of nodes can be used."
            )
        self._embedder = FineTunedEmbedder(self.model_name, **{name: getattr(self, name) for name in _OPTIONS})

    @property
    def embedder(self) -> FineTunedEmbedder:
        """What embeds; its `document_fingerprint` tells these vectors from another model's."""
        return self._embedder

    @classmethod
    def class_name(cls) -> str:
        """Return the name in LlamaIndex's serialisation."""
        return "FineTunedEmbedding"

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Return the fields and the fingerprint: LlamaIndex keeps nodes by it, and a folder may be trained anew."""
        return {**super().to_dict(**kwargs), "fingerprint": self._embedder.document_fingerprint}

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> "FineTunedEmbedding":
        """Return the embedding that `to_dict` described.

        Raises:
            StaleIndexError: its model has changed since, so that it does not fit the vectors made then.
        """
        made = super().from_dict({name: value for name, value in data.items() if name != "fingerprint"}, **kwargs)
        mark = data.get("fingerprint")
        if mark is not None and not made.embedder.recognises(mark):
            raise StaleIndexError(
                f"{made.model_name} was another encoder (fingerprint {mark[:8]}) when this was written; it is "
                f"{made.embedder.document_fingerprint[:8]} now. Embed again what was embedded then, or bring that "
                "model back."
            )
        return made

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._embedder.embed_query(query)

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._embedder.embed_documents([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._embedder.embed_documents(texts)

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)
