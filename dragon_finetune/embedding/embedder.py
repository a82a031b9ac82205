"""The embedder that a host calls. Vectors have unit length and come back in the order of the texts."""

import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dragon_finetune.embedding.choice import EngineChoice
from dragon_finetune.embedding.engine import Engine, Vectors, embed_sorted
from dragon_finetune.embedding.fingerprint import fingerprint, is_mark_of, vector_key
from dragon_finetune.embedding.options import EmbedderOptions
from dragon_finetune.embedding.roles import role_of_prefix
from dragon_finetune.embedding.unit import pooled, require_sound, unit
from dragon_finetune.errors import DataError, TokenLimitError
from dragon_finetune.known_prompts import warn_without_prompts
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


class _Options(NamedTuple):
    max_rows: int | None
    show: bool


class FineTunedEmbedder:
    """Embeds queries and documents with the prompts and the limit of a model folder.

    Building one is cheap: the model is loaded at the first text, once per process and folder.

    Args:
        model_path: a trained folder, a hub name, or "embedded".
        precision: "fp32", "bf16", "fp16", or "auto": the fastest that the hardware has and whose vectors of 32 probe
            texts have a cosine of at least 0.999 to those of fp32.
        on_overflow: what to do with a text over the model's limit: "error" refuses the whole call and names the
            texts; "split" embeds token-exact pieces and pools them by token count; "truncate" cuts, counts and warns.
        device: a torch device name; default: the best one at hand.
        truncate_dim: keep only the first dimensions of each vector (Matryoshka), then normalise again.
        trust_remote_code: run the model author's code; only with a pinned `revision`.
        revision: the hub revision.
        prompts: prompts by role ("query", "document") that replace the folder's own.
        engine: "torch", "openvino" (CPU only), or "auto".
        budget: tokens per padded batch; default: what a short measurement finds fastest, remembered per machine.
        first_query_check: called once with this embedder, before its first query: a host's check of its index
            (`index.freshness`).
    """

    def __init__(
        self,
        model_path: str | Path,
        *,
        precision: str = "auto",
        on_overflow: OnOverflow = "error",
        device: str | None = None,
        truncate_dim: int | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        prompts: Mapping[str, str] | None = None,
        engine: str = "auto",
        budget: int | None = None,
        first_query_check: "Callable[[FineTunedEmbedder], None] | None" = None,
    ) -> None:
        self.model_path = str(model_path)
        self.options = EmbedderOptions(
            precision=precision,
            on_overflow=on_overflow,
            device=device,
            truncate_dim=truncate_dim,
            trust_remote_code=trust_remote_code,
            revision=revision,
            prompts=prompts,
            engine=engine,
            budget=budget,
        )
        self._first_query_check = first_query_check
        self._engine: Engine | None = None
        self._opening = threading.Lock()
        self._counters: dict[Role | None, TokenCounter] = {}

    def like(self, model_path: str | Path | None = None, **changes: Any) -> "FineTunedEmbedder":
        """Return an embedder with these options but for `changes`, of this model or of another; it checks no store."""
        return FineTunedEmbedder(model_path or self.model_path, **{**self.options.to_dict(), **changes})

    @cached_property
    def folder(self) -> ModelFolder:
        """The model folder: prompts, limit, path. Raises ModelError if it is missing or incomplete."""
        folder = ModelFolder.open(self.model_path, revision=self.options.revision, prompts=self.options.prompts)
        warn_without_prompts(folder, self.options.prompts)
        return folder

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that changes a vector (see `embedding.fingerprint`)."""
        return fingerprint(self.folder, truncate_dim=self.options.truncate_dim)

    def recognises(self, mark: str) -> bool:
        """Tell whether a fingerprint found beside stored vectors is this encoder's (see `fingerprint.is_mark_of`)."""
        return is_mark_of(mark, self.folder, truncate_dim=self.options.truncate_dim)

    @cached_property
    def model(self) -> "SentenceTransformer":
        """The loaded model, shared by all embedders of this process on the same folder."""
        from dragon_finetune.embedding.model import cached_model  # imports torch, which takes seconds

        given = self.options
        return cached_model(
            self.folder, device=given.device, trust_remote_code=given.trust_remote_code, revision=given.revision
        )

    @cached_property
    def _choice(self) -> EngineChoice:
        return EngineChoice(
            self.folder,
            lambda: self.model,
            engine=self.options.engine,
            precision=self.options.precision,
            device=self.options.device,
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

    def embed_chunks(
        self,
        texts: Sequence[str],
        batch_size: int = 100,
        show_progress: bool = True,
        prefix: str | None = None,
    ) -> tuple[list[list[float]], float, int, timedelta]:
        """Embed documents as Dragon's Codex asks for them.

        Args:
            texts: the chunks.
            batch_size: texts per forward pass at most.
            show_progress: say on stderr how far it is (`progress`).
            prefix: "search_query" or "search_document" chooses that role's prompt of the model, "" none;
                default: the document prompt. The prompt itself always comes from the model.

        Returns:
            Unit vectors, one list of floats per text in the order of the texts; mean and maximum tokens per text
            (special tokens and prompt included, before any cut); elapsed wall time, always above zero.

        Raises:
            DataError: a text is empty or not a string.
            TokenLimitError: texts exceed the limit and on_overflow is "error"; nothing is embedded.
            SettingsError: an unknown prefix.
        """
        role = role_of_prefix(prefix, self.folder.prompts)
        if role == "query":
            self._check_before_first_query()
        started = time.perf_counter()
        vectors, tokens = self._embed(texts, role, _Options(batch_size, show_progress))
        elapsed = timedelta(seconds=max(time.perf_counter() - started, 1e-6))
        mean = sum(tokens) / len(tokens) if tokens else 0.0
        return vectors.tolist(), mean, max(tokens, default=0), elapsed

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one unit vector per document, in order. Raises as `embed_chunks` does."""
        return self.encode(texts, role="document").tolist()  # type: ignore[no-any-return]

    def embed_query(self, text: str) -> list[float]:
        """Return the unit vector of one query. Raises as `embed_chunks` does."""
        self._check_before_first_query()
        return self.encode([text], role="query")[0].tolist()  # type: ignore[no-any-return]

    def encode(
        self, texts: Sequence[str], *, role: Role | None, batch_size: int | None = None, show_progress: bool = False
    ) -> Vectors:
        """Return an array (texts, dimension) of float32 unit vectors, in the order of the texts.

        Args:
            texts: any number of texts.
            role: whose prompt goes before them; None: none.
            batch_size: texts per batch at most; default: as many as the token budget holds.
            show_progress: say on stderr how far it is (`progress`).

        Raises:
            As `embed_chunks`.
        """
        return self._embed(texts, role, _Options(batch_size, show_progress))[0]

    def vector_keys(self, texts: Sequence[str]) -> list[bytes]:
        """Return the keys under which the vectors of documents are kept (`fingerprint.vector_key`), in order.

        Raises:
            TokenLimitError: texts exceed the limit and on_overflow is "error".
        """
        over = set(self._counted(texts, "document")[1])
        return [vector_key(text, self.options.on_overflow if n in over else "") for n, text in enumerate(texts)]

    def test_connection(self) -> bool:
        """Tell whether the model loads and embeds; never raises. The reason of a failure is warned about."""
        try:
            return len(self.embed_query("test")) == self.dimension
        except Exception as error:  # the host's contract: a bool, whatever happens
            warnings.warn(f"the embedder does not work: {error}", stacklevel=2)
            return False

    def _check_before_first_query(self) -> None:
        check, self._first_query_check = self._first_query_check, None
        if check is not None:
            check(self)

    def _embed(self, texts: Sequence[str], role: Role | None, options: _Options) -> tuple[Vectors, list[int]]:
        if isinstance(texts, str):
            raise DataError("texts is one string; give a list of strings.")
        texts = [check_text(text, f"text {index}") for index, text in enumerate(texts)]
        tokens, over = self._counted(texts, role)
        if over and self.options.on_overflow == "truncate":
            limit = self.folder.limit or 0
            lost = sum(tokens[index] - limit for index in over)
            warnings.warn(f"{len(over)} of {len(texts)} texts cut to {limit} tokens; {lost} tokens lost.", stacklevel=4)
        if over and self.options.on_overflow == "split":
            vectors = self._embed_split(texts, tokens, over, role, options)
        else:
            vectors = self._forward(texts, tokens, role, options)
        return require_sound(vectors, texts), tokens

    def _counted(self, texts: Sequence[str], role: Role | None) -> tuple[list[int], list[int]]:
        """Return each text's tokens, and which texts are over the limit; refuse them where that is the rule."""
        tokens = list(self._counter(role).counts(texts))
        limit = self.folder.limit
        over = [index for index, count in enumerate(tokens) if limit is not None and count > limit]
        if over and self.options.on_overflow == "error":
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
            f"{len(over)} of {len(texts)} texts exceed the limit of {self.folder.limit} tokens of {self.model_path} "
            f"(special tokens and prompt included): {named}. Chunk them smaller (`dragon-finetune chunk`), or "
            f"{WAYS_TO_SPLIT}."
        )

    def _embed_split(
        self, texts: Sequence[str], tokens: list[int], over: list[int], role: Role | None, options: _Options
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
        vectors = self._forward([text for text, _ in pieces], lengths, role, options)
        return pooled(vectors, owners, lengths, len(texts))

    def _forward(self, texts: Sequence[str], tokens: Sequence[int], role: Role | None, options: _Options) -> Vectors:
        """Return unit vectors of texts within the limit (or to be cut to it), in order."""
        engine = self.engine
        limit = self.folder.limit
        lengths = [min(count, limit or count) for count in tokens]
        batcher = TokenBatcher(self._batch_budget(engine, sum(lengths)), options.max_rows)
        with progress(total=sum(lengths), desc="embed", unit="token", show=options.show) as bar:
            prompt = self.folder.prompts.of(role)
            vectors = embed_sorted(engine, texts, lengths, prompt, batcher, role=role, bar=bar)
        return unit(vectors[:, : self.options.truncate_dim]) if self.options.truncate_dim else vectors

    def _batch_budget(self, engine: Engine, tokens: int) -> int:
        if self.options.budget is not None:
            return self.options.budget
        worth_it = tokens >= _WORTH_MEASURING
        return self._choice.budget(engine) if worth_it else self._choice.default_budget(engine)
