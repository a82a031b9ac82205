"""What both protocols ask for: texts in, vectors and counts out."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.embedding.unit import unit
from dragon_finetune.errors import DataError
from dragon_finetune.model_folder import Role
from dragon_finetune.serve.catalogue import Catalogue, Served
from dragon_finetune.serve.gathering import Gatherer, Item
from dragon_finetune.serve.request_error import RequestError
from dragon_finetune.settings import OnOverflow

MAX_TEXTS = 2048
"""Texts in one request, as OpenAI has it."""
_SHOWN = 5


class Embedded(NamedTuple):
    """Unit vectors, (texts, dimension), and the tokens that they cost."""

    vectors: Vectors
    tokens: int


@dataclass(frozen=True)
class Service:
    """Embeds texts for requests.

    Attributes:
        catalogue: the models.
        gatherer: what embeds.
        on_overflow: what to do with a text over a model's limit where the request does not say.
    """

    catalogue: Catalogue
    gatherer: Gatherer
    on_overflow: OnOverflow = "error"

    async def embed(
        self, served: Served, texts: Sequence[str], *, truncate: bool | None = None, dimensions: int | None = None
    ) -> Embedded:
        """Return the vectors of texts.

        Args:
            served: the model.
            texts: at most 2048.
            truncate: cut texts that are over the limit; False refuses them; None: the server's own rule.
            dimensions: numbers of a vector to keep, normalised again.

        Raises:
            RequestError: 400, too many texts, an empty one, one over the limit, or more dimensions than there are.
        """
        if len(texts) > MAX_TEXTS:
            raise RequestError(400, f"{len(texts):,} texts in one request; at most {MAX_TEXTS:,}. Send them in parts")
        _require_dimensions(served, dimensions)
        rule: OnOverflow = self.on_overflow if truncate is None else "truncate" if truncate else "error"
        # Counting takes a while for many texts, and others are to be answered meanwhile.
        items = await asyncio.to_thread(_items, served, texts, rule)
        vectors = await self.gatherer.embed(served.embedder, items)
        if dimensions:
            vectors = unit(vectors[:, :dimensions])
        return Embedded(vectors, sum(item.tokens for item in items))

    async def texts_of(self, served: Served, ids: Sequence[Sequence[int]]) -> list[str]:
        """Return the texts of token ids.

        Raises:
            RequestError: 400, ids that this model's tokenizer does not make of any text: another's, most likely.
        """
        return await asyncio.to_thread(lambda: [_decoded(served, each, place) for place, each in enumerate(ids)])


def _items(served: Served, texts: Sequence[str], rule: OnOverflow) -> list[Item]:
    placed = [served.placed(text) for text in texts]
    try:
        counts = _counts(served, placed)
    except DataError as error:
        raise RequestError(400, str(error)) from None
    limit = served.embedder.folder.limit
    over = [place for place, count in enumerate(counts) if limit is not None and count > limit]
    if over and rule == "error":
        named = "; ".join(f"text {place} has {counts[place]} ({texts[place][:40]!r})" for place in over[:_SHOWN])
        raise RequestError(
            400,
            f"{len(over)} of {len(texts)} texts exceed the limit of {limit} tokens of {served.name} (special tokens "
            f"and prompt included): {named}. Chunk them smaller, send truncate: true where the protocol has it, or "
            "start the server with --on-overflow split",
        )
    return [Item(text, role, count, rule) for (text, role), count in zip(placed, counts, strict=True)]


def _counts(served: Served, placed: Sequence[tuple[str, Role]]) -> list[int]:
    counts = np.zeros(len(placed), dtype=int)
    for role in {role for _, role in placed}:
        rows = [row for row, (_, each) in enumerate(placed) if each == role]
        counts[rows] = served.embedder.dense.counts([placed[row][0] for row in rows], role)
    return counts.tolist()


def _require_dimensions(served: Served, dimensions: int | None) -> None:
    full = served.embedder.dimension
    if dimensions is None or dimensions == full:
        return
    if not 1 <= dimensions < full:
        raise RequestError(400, f"dimensions is {dimensions}; {served.name} makes {full}")
    if served.embedder.joiner is not None:
        raise RequestError(
            400,
            f"dimensions is {dimensions}, but the vectors of {served.name} hold words, which no part of them keeps; "
            "leave it out, or serve the model without its words",
        )


def _decoded(served: Served, ids: Sequence[int], place: int) -> str:
    tokenizer = served.embedder.engine.tokenizer_of(served.role or "document")
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if ids and max(ids) < backend.get_vocab_size() and min(ids) >= 0:
        text: str = backend.decode(list(ids))
        again = [backend.encode(text, add_special_tokens=special).ids for special in (False, True)]
        if list(ids) in again:
            return text
    raise RequestError(
        400,
        f"input {place}: these {len(ids)} numbers are not tokens of {served.name}, but of another tokenizer; send "
        "texts (LangChain's OpenAIEmbeddings: check_embedding_ctx_length=False)",
    )
