"""The embedder that a host calls. Vectors have unit length and come back in the order of the texts."""

import sys
import time
import warnings
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dragon_finetune.errors import DataError, ModelError, SettingsError, TokenLimitError
from dragon_finetune.records import check_text
from dragon_finetune.settings import OnOverflow, suggest
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


class FineTunedEmbedder:
    """Embeds queries and documents with the prompts and the limit of a model folder.

    Building one is cheap: the model is loaded at the first text, once per process and folder.

    Args:
        model_path: a trained folder, a hub name, or "embedded".
        precision: "auto" or "fp32"; both compute in fp32 here.
        on_overflow: what to do with a text over the model's limit: "error" refuses the whole call and names the
            texts; "split" embeds token-exact pieces and pools them by token count; "truncate" cuts, counts and warns.
        device: a torch device name; default: the best one at hand.
        truncate_dim: keep only the first dimensions of each vector (Matryoshka), then normalise again.
        trust_remote_code: run the model author's code; only with a pinned `revision`.
        revision: the hub revision.
        store: where the host's Chroma lies. Kept for the freshness check.
        collections: the collections of `store` that matter; empty: all.
        prompts: prompts by role ("query", "document") that replace the folder's own.
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
    ) -> None:
        if precision not in ("auto", "fp32"):
            raise SettingsError(f"precision is {precision!r}; this version computes in fp32. Known: auto, fp32.")
        if on_overflow not in ("error", "split", "truncate"):
            raise SettingsError(
                f"on_overflow is {on_overflow!r}. {suggest(on_overflow, ('error', 'split', 'truncate'))}"
            )
        self.model_path = str(model_path)
        self.on_overflow = on_overflow
        self.truncate_dim = truncate_dim
        self.store, self.collections = store, tuple(collections)
        self._device, self._trust, self._revision, self._prompts = device, trust_remote_code, revision, prompts
        self._counters: dict[Role | None, TokenCounter] = {}

    @cached_property
    def folder(self) -> ModelFolder:
        """The model folder: prompts, limit, path. Raises ModelError if it is missing or incomplete."""
        return ModelFolder.open(self.model_path, revision=self._revision, prompts=self._prompts)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that changes a vector (see `embedding.model.fingerprint`)."""
        from dragon_finetune.embedding.model import fingerprint  # imports torch, which takes seconds

        return fingerprint(self.folder, truncate_dim=self.truncate_dim)

    @cached_property
    def model(self) -> "SentenceTransformer":
        """The loaded model, shared by all embedders of this process on the same folder."""
        from dragon_finetune.embedding.model import cached_model  # imports torch, which takes seconds

        return cached_model(self.folder, device=self._device, trust_remote_code=self._trust, revision=self._revision)

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        full = self.model.get_embedding_dimension()
        if full is None:
            raise ModelError(f"{self.folder.path} does not say its dimension.")
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
        started = time.perf_counter()
        vectors, tokens = self._embed(texts, self._role(prefix), batch_size, show_progress)
        elapsed = timedelta(seconds=max(time.perf_counter() - started, 1e-6))
        mean = sum(tokens) / len(tokens) if tokens else 0.0
        return vectors.tolist(), mean, max(tokens, default=0), elapsed

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one unit vector per document, in order. Raises as `embed_chunks` does."""
        return self.encode(texts, role="document").tolist()  # type: ignore[no-any-return]

    def embed_query(self, text: str) -> list[float]:
        """Return the unit vector of one query. Raises as `embed_chunks` does."""
        return self.encode([text], role="query")[0].tolist()  # type: ignore[no-any-return]

    def encode(
        self, texts: Sequence[str], *, role: Role | None, batch_size: int = 32, show_progress: bool = False
    ) -> npt.NDArray[np.float32]:
        """Return an array (texts, dimension) of float32 unit vectors, in the order of the texts."""
        return self._embed(texts, role, batch_size, show_progress)[0]

    def test_connection(self) -> bool:
        """Tell whether the model loads and embeds; never raises. The reason of a failure is warned about."""
        try:
            return len(self.embed_query("test")) == self.dimension
        except Exception as error:  # the host's contract: a bool, whatever happens
            warnings.warn(f"the embedder does not work: {error}", stacklevel=2)
            return False

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

    def _embed(
        self, texts: Sequence[str], role: Role | None, batch_size: int, show_progress: bool
    ) -> tuple[npt.NDArray[np.float32], list[int]]:
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
            vectors = self._embed_split(texts, over, role, batch_size, show_progress)
        else:
            vectors = self._forward(texts, role, batch_size, show_progress)
        return _checked(vectors, texts), tokens

    def _counter(self, role: Role | None) -> TokenCounter:
        if role not in self._counters:
            self._counters[role] = TokenCounter(self.model.tokenizer, prompt=role, prompts=self.folder.prompts)
        return self._counters[role]

    def _too_long(self, texts: Sequence[str], tokens: list[int], over: list[int]) -> TokenLimitError:
        named = "; ".join(f"text {i} has {tokens[i]} ({texts[i][:40]!r})" for i in over[:_OFFENDERS_SHOWN])
        return TokenLimitError(
            f"{len(over)} of {len(texts)} texts exceed the limit of {self.folder.limit} tokens of {self.model_path} "
            f"(special tokens and prompt included): {named}. Chunk them smaller (`dragon-finetune chunk`), or set "
            "on_overflow to `split` (embed the pieces and pool them) or `truncate` (cut them off)."
        )

    def _embed_split(
        self, texts: Sequence[str], over: list[int], role: Role | None, batch_size: int, show_progress: bool
    ) -> npt.NDArray[np.float32]:
        chunker = TokenChunker(self._counter(role), max_tokens=self.folder.limit)
        too_long = set(over)
        owners: list[int] = []
        pieces: list[str] = []
        weights: list[float] = []
        for index, text in enumerate(texts):
            parts = [(part.text, part.tokens) for part in chunker.chunk(text)] if index in too_long else [(text, 1)]
            owners += [index] * len(parts)
            pieces += [part for part, _ in parts]
            weights += [tokens for _, tokens in parts]
        vectors = self._forward(pieces, role, batch_size, show_progress)
        pooled = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
        np.add.at(pooled, owners, vectors * np.asarray(weights, dtype=np.float32)[:, None])
        pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
        return pooled

    def _forward(
        self, texts: Sequence[str], role: Role | None, batch_size: int, show_progress: bool
    ) -> npt.NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        vectors: Any = self.model.encode(
            list(texts),
            prompt=self.folder.prompts.of(role),
            batch_size=batch_size,
            show_progress_bar=show_progress and sys.stderr.isatty(),
            normalize_embeddings=True,
            truncate_dim=self.truncate_dim,
        )
        return np.asarray(vectors, dtype=np.float32)


def _checked(vectors: npt.NDArray[np.float32], texts: Sequence[str]) -> npt.NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1)
    bad = np.flatnonzero(~(np.abs(norms - 1) < 1e-3))
    if bad.size:
        index = int(bad[0])
        raise ModelError(
            f"{bad.size} vectors are not finite or have no direction; the first is of text {index} "
            f"({texts[index][:60]!r}, norm {norms[index]}). The model is damaged: train or copy it again."
        )
    return vectors
