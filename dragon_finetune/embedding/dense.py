"""The dense vectors of a model folder: counted, brought within the limit, embedded."""

import threading
import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from dragon_finetune.embedding.choice import EngineChoice
from dragon_finetune.embedding.engine import Engine, Vectors, embed_sorted
from dragon_finetune.embedding.fingerprint import vector_key
from dragon_finetune.embedding.int8 import Int8, int8_in_use, warn_of_int8
from dragon_finetune.embedding.options import EmbedderOptions
from dragon_finetune.embedding.unit import pooled, require_sound, unit
from dragon_finetune.errors import DataError, TokenLimitError
from dragon_finetune.model_folder import ModelFolder, Role
from dragon_finetune.progress import progress
from dragon_finetune.settings import WAYS_TO_SPLIT, OnOverflow
from dragon_finetune.text import check_text
from dragon_finetune.tokens.batching import TokenBatcher
from dragon_finetune.tokens.counting import TokenCounter

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_OFFENDERS_SHOWN = 5
_WORTH_MEASURING = 50_000  # tokens in one call, below which the measurement of the budget would not pay


class Batching(NamedTuple):
    """How one call is embedded: texts per batch at most, whether stderr hears how far it is, its own overflow rule."""

    max_rows: int | None = None
    show: bool = False
    on_overflow: OnOverflow | None = None


class DenseEmbedder:
    """Embeds texts with the prompts and the limit of a model folder, and nothing but its model.

    Args:
        folder: the model, and
        name: what it is called.
        options: how; `embedder.FineTunedEmbedder` says what each means.
        form: the int8 form to use whatever was found of it; None: as the options say.
    """

    def __init__(self, folder: ModelFolder, name: str, options: EmbedderOptions, form: Int8 | None = None) -> None:
        self.folder, self.name, self.options, self._form = folder, name, options, form
        self._engine: Engine | None = None
        self._opening = threading.Lock()
        self._counters: dict[Role | None, TokenCounter] = {}

    @cached_property
    def model(self) -> "SentenceTransformer":
        """The loaded model, shared by all embedders of this process on the same folder."""
        from dragon_finetune.embedding.model import cached_model  # imports torch, which takes seconds

        given = self.options
        return cached_model(
            self.folder, device=given.device, trust_remote_code=given.trust_remote_code, revision=given.revision
        )

    @cached_property
    def int8(self) -> Int8 | None:
        """The int8 form that embeds documents; None: they are embedded in another precision. Raises ModelError."""
        return self._form or int8_in_use(self.folder, self.options)

    @cached_property
    def _choice(self) -> EngineChoice:
        given = self.options
        if given.precision == "int8" and self._form is None:
            warn_of_int8(self.folder, self.int8)
        return EngineChoice(
            self.folder,
            lambda: self.model,
            engine=given.engine,
            precision="fp32" if given.precision == "int8" else given.precision,
            device=given.device,
            int8=self.int8,
        )

    @property
    def engine(self) -> Engine:
        """What computes the vectors; `.name` says how ("openvino-bf16"). Opened at the first use."""
        with self._opening:
            if self._engine is None:
                self._engine = self._choice.open()
            return self._engine

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        full = self.engine.dimension
        return min(full, self.options.truncate_dim or full)

    @property
    def budget(self) -> int:
        """Tokens of a padded batch, as far as is known without measuring."""
        return self.options.budget or self._choice.default_budget(self.engine)

    def embed(self, texts: Sequence[str], role: Role | None, batching: Batching) -> tuple[Vectors, list[int]]:
        """Return unit vectors, (texts, dimension), in order, and each text's tokens. Raises as `embed_chunks` does."""
        if isinstance(texts, str):
            raise DataError("texts is one string; give a list of strings.")
        texts = [check_text(text, f"text {index}") for index, text in enumerate(texts)]
        rule = batching.on_overflow or self.options.on_overflow
        tokens, over = self._counted(texts, role, rule)
        # Who asks one call for it has been told already.
        if over and rule == "truncate" and not batching.on_overflow:
            limit = self.folder.limit or 0
            lost = sum(tokens[index] - limit for index in over)
            warnings.warn(f"{len(over)} of {len(texts)} texts cut to {limit} tokens; {lost} tokens lost.", stacklevel=5)
        if over and rule == "split":
            vectors = self._embed_split(texts, tokens, over, role, batching)
        else:
            vectors = self._forward(texts, tokens, role, batching)
        return require_sound(vectors, texts), tokens

    def vector_keys(self, texts: Sequence[str]) -> list[bytes]:
        """Return the keys of documents' vectors (`fingerprint.vector_key`), in order. Raises TokenLimitError."""
        over = set(self._counted(texts, "document", self.options.on_overflow)[1])
        return [vector_key(text, self.options.on_overflow if n in over else "") for n, text in enumerate(texts)]

    def counts(self, texts: Sequence[str], role: Role | None) -> list[int]:
        """Return each text's tokens, special tokens and prompt included, whatever the limit.

        Raises:
            DataError: a text is empty or not a string; names its place.
        """
        return list(self._counter(role).counts(texts))

    def _counted(self, texts: Sequence[str], role: Role | None, rule: OnOverflow) -> tuple[list[int], list[int]]:
        """Return each text's tokens, and which texts are over the limit; refuse them where that is the rule."""
        tokens = self.counts(texts, role)
        limit = self.folder.limit
        over = [index for index, count in enumerate(tokens) if limit is not None and count > limit]
        if over and rule == "error":
            raise self._too_long(texts, tokens, over)
        return tokens, over

    def _counter(self, role: Role | None) -> TokenCounter:
        if role not in self._counters:
            self._counters[role] = TokenCounter(
                self.engine.tokenizer_of(role), prompt=role, prompts=self.folder.prompts
            )
        return self._counters[role]

    def _too_long(self, texts: Sequence[str], tokens: list[int], over: list[int]) -> TokenLimitError:
        named = "; ".join(f"text {i} has {tokens[i]} ({texts[i][:40]!r})" for i in over[:_OFFENDERS_SHOWN])
        return TokenLimitError(
            f"{len(over)} of {len(texts)} texts exceed the limit of {self.folder.limit} tokens of {self.name} "
            f"(special tokens and prompt included): {named}. Chunk them smaller (`dragon-finetune chunk`), or "
            f"{WAYS_TO_SPLIT}."
        )

    def _embed_split(
        self, texts: Sequence[str], tokens: list[int], over: list[int], role: Role | None, batching: Batching
    ) -> Vectors:
        from dragon_finetune.tokens.chunking import TokenChunker  # a host's start need not wait for it

        chunker = TokenChunker(self._counter(role), max_tokens=self.folder.limit)
        too_long = set(over)
        owners: list[int] = []
        pieces: list[tuple[str, int]] = []
        for index, text in enumerate(texts):
            whole = [(text, tokens[index])]
            parts = [(part.text, part.tokens) for part in chunker.chunk(text)] if index in too_long else whole
            owners += [index] * len(parts)
            pieces += parts
        lengths = [count for _, count in pieces]
        vectors = self._forward([text for text, _ in pieces], lengths, role, batching)
        return pooled(vectors, owners, lengths, len(texts))

    def _forward(self, texts: Sequence[str], tokens: Sequence[int], role: Role | None, batching: Batching) -> Vectors:
        """Return unit vectors of texts within the limit (or to be cut to it), in order; equal texts embedded once."""
        engine = self.engine
        limit = self.folder.limit
        once = dict(zip(texts, tokens, strict=True))
        rows = {text: row for row, text in enumerate(once)}
        lengths = [min(count, limit or count) for count in once.values()]
        batcher = TokenBatcher(self._batch_budget(engine, sum(lengths)), batching.max_rows)
        with progress(total=sum(lengths), desc="embed", unit="token", show=batching.show) as bar:
            prompt = self.folder.prompts.of(role)
            vectors = embed_sorted(engine, list(once), lengths, prompt, batcher, role=role, bar=bar)
        vectors = vectors[[rows[text] for text in texts]] if len(once) < len(texts) else vectors
        return unit(vectors[:, : self.options.truncate_dim]) if self.options.truncate_dim else vectors

    def _batch_budget(self, engine: Engine, tokens: int) -> int:
        if self.options.budget is not None:
            return self.options.budget
        worth_it = tokens >= _WORTH_MEASURING
        return self._choice.budget(engine) if worth_it else self._choice.default_budget(engine)
