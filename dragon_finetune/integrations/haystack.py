"""The embedder as Haystack knows one: a component for queries, and one for documents."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.errors import DataError
from dragon_finetune.integrations.extras import missing

try:
    from haystack import Document, component, default_from_dict, default_to_dict
    from haystack.utils import ComponentDevice
except ImportError as error:
    raise missing("haystack", error) from error


@component
class FineTunedTextEmbedder:
    """Embeds a query in a Haystack pipeline.

    Args:
        model: a trained folder, a hub name, or "embedded".
        options: further arguments of FineTunedEmbedder (`on_overflow`, `precision`, `truncate_dim`, ...); `device` may
            be Haystack's ComponentDevice.

    Raises:
        SettingsError: an option has an unknown value.
    """

    def __init__(self, model: str | Path, **options: Any) -> None:
        self.embedder = _embedder(model, options)

    def warm_up(self) -> None:
        """Load the model. Raises ModelError where there is none."""
        _ = self.embedder.dimension

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` needs."""
        return default_to_dict(self, model=self.embedder.model_path, **self.embedder.options.to_dict())

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "FineTunedTextEmbedder":
        """Return the component that `to_dict` described."""
        return default_from_dict(cls, data)

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        """Return the unit vector of a query as `embedding`. Raises as `FineTunedEmbedder.embed_chunks` does."""
        return {"embedding": self.embedder.embed_query(text)}

    @component.output_types(embedding=list[float])
    async def run_async(self, text: str) -> dict[str, Any]:
        """Return what `run` does, which a thread does meanwhile."""
        return await asyncio.to_thread(self.run, text)


@component
class FineTunedDocumentEmbedder:
    """Embeds documents in a Haystack pipeline.

    Args:
        model: a trained folder, a hub name, or "embedded".
        batch_size: documents per forward pass at most; default: as many as the token budget holds.
        progress_bar: say on stderr how far it is.
        meta_fields_to_embed: fields of a document's `meta` that go before its content, where it has them.
        embedding_separator: what stands between those fields and the content.
        options: as for FineTunedTextEmbedder.

    Raises:
        SettingsError: an option has an unknown value.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        batch_size: int | None = None,
        progress_bar: bool = True,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
        **options: Any,
    ) -> None:
        self.embedder = _embedder(model, options)
        self.batch_size, self.progress_bar = batch_size, progress_bar
        self.meta_fields_to_embed = meta_fields_to_embed or []
        self.embedding_separator = embedding_separator

    def warm_up(self) -> None:
        """Load the model. Raises ModelError where there is none."""
        _ = self.embedder.dimension

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` needs."""
        return default_to_dict(
            self,
            model=self.embedder.model_path,
            batch_size=self.batch_size,
            progress_bar=self.progress_bar,
            meta_fields_to_embed=self.meta_fields_to_embed,
            embedding_separator=self.embedding_separator,
            **self.embedder.options.to_dict(),
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "FineTunedDocumentEmbedder":
        """Return the component that `to_dict` described."""
        return default_from_dict(cls, data)

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """Return copies of the documents with their unit vectors, in order, as `documents`.

        Raises:
            DataError: what is given are no documents, or one has no text; otherwise as
                `FineTunedEmbedder.embed_chunks` does. Texts are named by their place among the documents.
        """
        texts = [self._text_of(document) for document in _documents(documents)]
        vectors = self.embedder.encode(
            texts, role="document", batch_size=self.batch_size, show_progress=self.progress_bar
        ).tolist()
        return {"documents": [replace(each, embedding=vector) for each, vector in zip(documents, vectors, strict=True)]}

    @component.output_types(documents=list[Document])
    async def run_async(self, documents: list[Document]) -> dict[str, Any]:
        """Return what `run` does, which a thread does meanwhile."""
        return await asyncio.to_thread(self.run, documents)

    def _text_of(self, document: Document) -> str:
        values = [document.meta.get(field) for field in self.meta_fields_to_embed]
        told = [str(value) for value in values if value is not None]
        return self.embedding_separator.join([*told, document.content or ""])


def _embedder(model: str | Path, options: dict[str, Any]) -> FineTunedEmbedder:
    device = options.get("device")
    if isinstance(device, ComponentDevice):
        options = {**options, "device": device.to_torch_str()}
    return FineTunedEmbedder(model, **options)


def _documents(given: Any) -> list[Document]:
    if not isinstance(given, list):
        raise DataError(f"documents is {type(given).__name__} {given!r:.60}; give a list of Documents.")
    for index, each in enumerate(given):
        if not isinstance(each, Document):
            raise DataError(f"document {index} is {type(each).__name__} {each!r:.60}; make it Document(content=...).")
    return given
