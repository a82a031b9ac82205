"""The embedder that a host calls. Vectors have unit length and come back in the order of the texts."""

import threading
import time
import warnings
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from dragon_finetune.embedding.choice import ENGINES, PRECISIONS, EngineChoice
from dragon_finetune.embedding.engines import Engine, Vectors, embed_sorted
from dragon_finetune.embedding.fingerprint import fingerprint
from dragon_finetune.embedding.freshness import warn_if_stale
from dragon_finetune.errors import DataError, ModelError, SettingsError, TokenLimitError
from dragon_finetune.records import check_text
from dragon_finetune.settings import OnOverflow, suggest
from dragon_finetune.tokens.batching import TokenBatcher
from dragon_finetune.tokens.chunking import TokenChunker
from dragon_finetune.tokens.counting import TokenCounter
from dragon_finetune.tokens.folder import ModelFolder, Role

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# What hosts pass as `prefix`, without colon or space, and the role it stands for.
_PREFIX_ROLES: dict[str, Role | None] = {
    "": None,
    "search_query": "query",
    "query": "query",
    "search_document": "document",
    "document": "document",
    "passage": "document",
}
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
        store: where the host's Chroma lies on disk. Then the first query of this embedder warns (StaleIndexWarning) if
            the vectors there are not its own; how that is found out: `embedding.freshness`.
        collections: the collections of `store` that matter; empty: all.
        prompts: prompts by role ("query", "document") that replace the folder's own.
        engine: "torch", "openvino" (CPU only), or "auto".
        budget: tokens per padded batch; default: what a short measurement finds fastest, remembered per machine.
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
        store: str | None = None,
        collections: Sequence[str] = (),
        prompts: dict[str, str] | None = None,
        engine: str = "auto",
        budget: int | None = None,
    ) -> None:
        for name, value, known in (("engine", engine, ENGINES), ("precision", precision, PRECISIONS)):
            if value not in known:
                raise SettingsError(f"{name} is {value!r}. {suggest(value, known)}")
        if on_overflow not in ("error", "split", "truncate"):
            raise SettingsError(
                f"on_overflow is {on_overflow!r}. {suggest(on_overflow, ('error', 'split', 'truncate'))}"
            )
        self.model_path = str(model_path)
        self.on_overflow = on_overflow
        self.truncate_dim = truncate_dim
        self.store, self.collections = store, tuple(collections)
        self._device, self._trust, self._revision, self._prompts = device, trust_remote_code, revision, prompts
        self._engine_name, self._precision, self._budget = engine, precision, budget
        self.options: dict[str, Any] = {
            "precision": precision,
            "on_overflow": on_overflow,
            "device": device,
            "truncate_dim": truncate_dim,
            "trust_remote_code": trust_remote_code,
            "revision": revision,
            "prompts": prompts,
            "engine": engine,
            "budget": budget,
        }
        self._engine: Engine | None = None
        self._opening = threading.Lock()
        self._checked = False
        self._counters: dict[Role | None, TokenCounter] = {}

    @cached_property
    def folder(self) -> ModelFolder:
        """The model folder: prompts, limit, path. Raises ModelError if it is missing or incomplete."""
        return ModelFolder.open(self.model_path, revision=self._revision, prompts=self._prompts)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that changes a vector (see `embedding.model.fingerprint`)."""
        return fingerprint(self.folder, truncate_dim=self.truncate_dim)

    @cached_property
    def model(self) -> "SentenceTransformer":
        """The loaded model, shared by all embedders of this process on the same folder."""
        from dragon_finetune.embedding.model import cached_model  # imports torch, which takes seconds

        return cached_model(self.folder, device=self._device, trust_remote_code=self._trust, revision=self._revision)

    @cached_property
    def _choice(self) -> EngineChoice:
        return EngineChoice(
            self.folder,
            lambda: self.model,
            engine=self._engine_name,
            precision=self._precision,
            device=self._device,
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
        return min(full, self.truncate_dim or full)

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
            show_progress: show a bar on stderr (never when stderr is no terminal).
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
        if self._role(prefix) == "query":
            self._check_store()
        started = time.perf_counter()
        vectors, tokens = self._embed(texts, self._role(prefix), _Options(batch_size, show_progress))
        elapsed = timedelta(seconds=max(time.perf_counter() - started, 1e-6))
        mean = sum(tokens) / len(tokens) if tokens else 0.0
        return vectors.tolist(), mean, max(tokens, default=0), elapsed

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one unit vector per document, in order. Raises as `embed_chunks` does."""
        return self.encode(texts, role="document").tolist()  # type: ignore[no-any-return]

    def embed_query(self, text: str) -> list[float]:
        """Return the unit vector of one query. Raises as `embed_chunks` does."""
        self._check_store()
        return self.encode([text], role="query")[0].tolist()  # type: ignore[no-any-return]

    def encode(
        self, texts: Sequence[str], *, role: Role | None, batch_size: int | None = None, show_progress: bool = False
    ) -> Vectors:
        """Return an array (texts, dimension) of float32 unit vectors, in the order of the texts.

        Args:
            texts: any number of texts.
            role: whose prompt goes before them; None: none.
            batch_size: texts per batch at most; default: as many as the token budget holds.
            show_progress: show a bar on stderr (never when stderr is no terminal).

        Raises:
            As `embed_chunks`.
        """
        return self._embed(texts, role, _Options(batch_size, show_progress))[0]

    def test_connection(self) -> bool:
        """Tell whether the model loads and embeds; never raises. The reason of a failure is warned about."""
        try:
            return len(self.embed_query("test")) == self.dimension
        except Exception as error:  # the host's contract: a bool, whatever happens
            warnings.warn(f"the embedder does not work: {error}", stacklevel=2)
            return False

    def _check_store(self) -> None:
        if self.store and not self._checked:
            self._checked = True
            warn_if_stale(self.folder, self.fingerprint, self.options, self.store, self.collections)

    def _role(self, prefix: str | None) -> Role | None:
        if prefix is None:
            return "document"
        name = prefix.strip().rstrip(":").strip()
        if name in _PREFIX_ROLES:
            return _PREFIX_ROLES[name]
        for role in ("query", "document"):
            if prefix.strip() == self.folder.prompts.of(role).strip():
                return role
        raise SettingsError(f"prefix is {prefix!r}. {suggest(name, _PREFIX_ROLES)} The prompt comes from the model.")

    def _embed(self, texts: Sequence[str], role: Role | None, options: _Options) -> tuple[Vectors, list[int]]:
        if isinstance(texts, str):
            raise DataError("texts is one string; give a list of strings.")
        texts = [check_text(text, f"text {index}") for index, text in enumerate(texts)]
        tokens = list(self._counter(role).counts(texts))
        limit = self.folder.limit
        over = [index for index, count in enumerate(tokens) if limit is not None and count > limit]
        if over and self.on_overflow == "error":
            raise self._too_long(texts, tokens, over)
        if over and self.on_overflow == "truncate":
            lost = sum(tokens[index] - (limit or 0) for index in over)
            warnings.warn(f"{len(over)} of {len(texts)} texts cut to {limit} tokens; {lost} tokens lost.", stacklevel=4)
        if over and self.on_overflow == "split":
            vectors = self._embed_split(texts, tokens, over, role, options)
        else:
            vectors = self._forward(texts, tokens, role, options)
        return _sound(vectors, texts), tokens

    def _counter(self, role: Role | None) -> TokenCounter:
        if role not in self._counters:
            self._counters[role] = TokenCounter(self.engine.tokenizer, prompt=role, prompts=self.folder.prompts)
        return self._counters[role]

    def _too_long(self, texts: Sequence[str], tokens: list[int], over: list[int]) -> TokenLimitError:
        named = "; ".join(f"text {i} has {tokens[i]} ({texts[i][:40]!r})" for i in over[:_OFFENDERS_SHOWN])
        return TokenLimitError(
            f"{len(over)} of {len(texts)} texts exceed the limit of {self.folder.limit} tokens of {self.model_path} "
            f"(special tokens and prompt included): {named}. Chunk them smaller (`dragon-finetune chunk`), or set "
            "on_overflow to `split` (embed the pieces and pool them) or `truncate` (cut them off)."
        )

    def _embed_split(
        self, texts: Sequence[str], tokens: list[int], over: list[int], role: Role | None, options: _Options
    ) -> Vectors:
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
        pooled = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
        np.add.at(pooled, owners, vectors * np.asarray(lengths, dtype=np.float32)[:, None])
        return _unit(pooled)

    def _forward(self, texts: Sequence[str], tokens: Sequence[int], role: Role | None, options: _Options) -> Vectors:
        """Return unit vectors of texts within the limit (or to be cut to it), in order."""
        engine = self.engine
        limit = self.folder.limit
        lengths = [min(count, limit or count) for count in tokens]
        batcher = TokenBatcher(self._batch_budget(engine, sum(lengths)), options.max_rows)
        with tqdm(total=sum(lengths), desc="embed", unit="token", disable=None if options.show else True) as bar:
            vectors = embed_sorted(engine, texts, lengths, self.folder.prompts.of(role), batcher, bar)
        return _unit(vectors[:, : self.truncate_dim]) if self.truncate_dim else vectors

    def _batch_budget(self, engine: Engine, tokens: int) -> int:
        if self._budget is not None:
            return self._budget
        worth_it = tokens >= _WORTH_MEASURING
        return self._choice.budget(engine) if worth_it else self._choice.default_budget(engine)


def _unit(vectors: Vectors) -> Vectors:
    # A vector of length zero stays one: the check that follows names its text.
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return unit


def _sound(vectors: Vectors, texts: Sequence[str]) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1)
    bad = np.flatnonzero(~(np.abs(norms - 1) < 1e-3))
    if bad.size:
        index = int(bad[0])
        raise ModelError(
            f"{bad.size} vectors are not finite or have no direction; the first is of text {index} "
            f"({texts[index][:60]!r}, norm {norms[index]}). The model is damaged: train or copy it again."
        )
    return vectors
