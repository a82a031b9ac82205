"""The embedder that a host calls. Vectors have unit length and come back in the order of the texts."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dragon_finetune.embedding.dense import Batching, DenseEmbedder
from dragon_finetune.embedding.engine import Engine, Vectors
from dragon_finetune.embedding.fingerprint import document_fingerprint, fingerprint, is_mark_of
from dragon_finetune.embedding.int8 import Int8
from dragon_finetune.embedding.options import EmbedderOptions
from dragon_finetune.embedding.roles import role_of_prefix
from dragon_finetune.known_prompts import warn_without_prompts
from dragon_finetune.model_folder import ModelFolder, Role
from dragon_finetune.settings import OnOverflow

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from dragon_finetune.embedding.joiner import Joiner


class FineTunedEmbedder:
    """Embeds queries and documents with the prompts and the limit of a model folder.

    Building one is cheap: the model is loaded at the first text, once per process and folder.

    Args:
        model_path: a trained folder, a hub name, or "embedded".
        precision: "fp32", "bf16", "fp16", or "auto": the fastest that the hardware has and whose vectors of 32 probe
            texts have a cosine of at least 0.999 to those of fp32. "int8": what `dragon-finetune quantize` made and
            judged (`embedding.int8`); fp32, with a warning, where that was refused.
        on_overflow: what to do with a text over the model's limit: "error" refuses the whole call and names the
            texts; "split" embeds token-exact pieces and pools them by token count; "truncate" cuts, counts and warns.
        device: a torch device name; default: the best one at hand.
        truncate_dim: keep only the first dimensions of each vector (Matryoshka), then normalise again.
        trust_remote_code: run the model author's code; only with a pinned `revision`.
        revision: the hub revision.
        prompts: prompts by role ("query", "document") that replace the folder's own.
        engine: "torch", "openvino" (CPU only), or "auto".
        budget: tokens per padded batch; default: what a short measurement finds fastest, remembered per machine.
        dense_only: leave out the words and the level of distances that the folder may hold (`lexical`).
        allow_int8: let "auto" take int8 too, where it was made, measured and accepted.
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
        dense_only: bool = False,
        allow_int8: bool = False,
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
            dense_only=dense_only,
            allow_int8=allow_int8,
        )
        self._first_query_check = first_query_check
        self._form: Int8 | None = None

    def like(self, model_path: str | Path | None = None, **changes: Any) -> "FineTunedEmbedder":
        """Return an embedder with these options but for `changes`, of this model or of another; it checks no store."""
        other = FineTunedEmbedder(model_path or self.model_path, **{**self.options.to_dict(), **changes})
        if model_path is None and "precision" not in changes:
            other._form = self._form
        return other

    def with_int8(self, form: Int8) -> "FineTunedEmbedder":
        """Return an embedder of this model in an int8 form, queries too, whatever was found of it."""
        other = self.like(precision="int8", engine="openvino", device="cpu")
        other._form = replace(form, pairings=())
        return other

    @cached_property
    def folder(self) -> ModelFolder:
        """The model folder: prompts, limit, path. Raises ModelError if it is missing or incomplete."""
        folder = ModelFolder.open(self.model_path, revision=self.options.revision, prompts=self.options.prompts)
        warn_without_prompts(folder, self.options.prompts)
        return folder

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that changes a vector (see `embedding.fingerprint`)."""
        given = self.options
        mark = fingerprint(self.folder, truncate_dim=given.truncate_dim, dense_only=given.dense_only)
        return self._in_its_precision(mark)

    @cached_property
    def document_fingerprint(self) -> str:
        """Hash of everything that changes a document's vector: what an index or a shard depends on."""
        given = self.options
        mark = document_fingerprint(self.folder, truncate_dim=given.truncate_dim, dense_only=given.dense_only)
        return self._in_its_precision(mark)

    def _in_its_precision(self, mark: str) -> str:
        # fp32, bf16 and fp16 agree so nearly that they count as one; int8 is another encoder.
        return self.dense.int8.mark(mark) if self.dense.int8 else mark

    def recognises(self, mark: str) -> bool:
        """Tell whether a fingerprint found beside stored vectors is this encoder's (see `fingerprint.is_mark_of`)."""
        if self.dense.int8:
            return mark == self.document_fingerprint
        return is_mark_of(mark, self.folder, truncate_dim=self.options.truncate_dim, dense_only=self.options.dense_only)

    @cached_property
    def dense(self) -> DenseEmbedder:
        """What makes the dense vectors: all of a vector, unless the folder has a lexicon or a level of distances."""
        return DenseEmbedder(self.folder, self.model_path, self.options, self._form)

    @property
    def model(self) -> "SentenceTransformer":
        """The loaded model, shared by all embedders of this process on the same folder."""
        return self.dense.model

    @property
    def engine(self) -> Engine:
        """What computes the vectors; `.name` says how ("openvino-bf16"). Opened at the first use."""
        return self.dense.engine

    @cached_property
    def joiner(self) -> "Joiner | None":
        """What joins the words to the dense vectors; None: nothing is joined to them."""
        from dragon_finetune.embedding.joiner import joiner_of  # a host's start need not wait for it

        return None if self.options.dense_only else joiner_of(self.folder.path)

    @cached_property
    def without_words(self) -> "FineTunedEmbedder":
        """The embedder of the dense vectors alone: this one, where nothing is joined to them."""
        return self.like(dense_only=True) if self.joiner else self

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return self.dense.dimension + (self.joiner.more if self.joiner else 0)

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
        vectors, tokens = self._embed(texts, role, Batching(batch_size, show_progress))
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
        self,
        texts: Sequence[str],
        *,
        role: Role | None,
        batch_size: int | None = None,
        show_progress: bool = False,
        on_overflow: OnOverflow | None = None,
    ) -> Vectors:
        """Return an array (texts, dimension) of float32 unit vectors, in the order of the texts.

        Args:
            texts: any number of texts.
            role: whose prompt goes before them; None: none.
            batch_size: texts per batch at most; default: as many as the token budget holds.
            show_progress: say on stderr how far it is (`progress`).
            on_overflow: what to do with a text over the limit; default: the embedder's own rule.

        Raises as `embed_chunks` does.
        """
        return self._embed(texts, role, Batching(batch_size, show_progress, on_overflow))[0]

    def vector_keys(self, texts: Sequence[str]) -> list[bytes]:
        """Return the keys under which the vectors of documents are kept (`fingerprint.vector_key`), in order.

        Raises:
            TokenLimitError: texts exceed the limit and on_overflow is "error".
        """
        return self.dense.vector_keys(texts)

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

    def _embed(self, texts: Sequence[str], role: Role | None, batching: Batching) -> tuple[Vectors, list[int]]:
        vectors, tokens = self.dense.embed(texts, role, batching)
        return self.joiner.join(vectors, texts, role) if self.joiner else vectors, tokens
