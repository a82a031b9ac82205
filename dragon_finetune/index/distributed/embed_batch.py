"""What any engine can run over batches of columns: texts in, vectors and whose they are out."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.embedding.hardware import limit_threads
from dragon_finetune.errors import DataError, SettingsError, TokenLimitError, suggest
from dragon_finetune.files import absolute
from dragon_finetune.settings import WAYS_TO_SPLIT
from dragon_finetune.text import check_text

OnError = Literal["raise", "column"]
_SHOWN = 5


class EmbedBatch:
    """Embeds the documents of a batch of columns, as `FineTunedEmbedder` does: same vectors, same overflow rule.

    Needs no engine: Ray Data's `map_batches`, `datasets.map(batched=True)`, a Daft class or Spark's `mapInPandas` runs
    it. It is pickled as a few settings; the model is loaded where the first batch comes, once per process.

    Args:
        model: a trained folder, a hub name, or "embedded"; where workers run elsewhere, they need it at that path.
        text_column: the column that holds the texts.
        id_column: the column by which a refused row is named, if the batch has it; else its place in the batch is told.
        on_error: "raise" stops at a row that can't be embedded; "column" adds a column `error`: the reason there,
            "" for the others. A row that is refused gets NaN for a vector and "" for a fingerprint.
        threads: CPU threads of the engine in each process; default: as many as there are cores.
        options: keyword arguments of `FineTunedEmbedder` (on_overflow, precision, engine, device, ...).

    Raises:
        SettingsError: an option of an unknown name or value.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        text_column: str = "text",
        id_column: str = "chunk_id",
        on_error: OnError = "raise",
        threads: int | None = None,
        **options: Any,
    ) -> None:
        if on_error not in get_args(OnError):
            raise SettingsError(f"on_error is {on_error!r}. {suggest(str(on_error), get_args(OnError))}")
        self._model = wherever(model)
        self._text_column, self._id_column, self._on_error = text_column, id_column, on_error
        self._threads, self._options = threads, options
        FineTunedEmbedder(self._model, **options)  # refuses wrong options here, not in a worker

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "embedder"}

    @cached_property
    def embedder(self) -> FineTunedEmbedder:
        """The embedder of this process."""
        if self._threads:
            limit_threads(self._threads)
        return FineTunedEmbedder(self._model, **self._options)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the batch's columns and `embedding`, an array (rows, dimension) of float32, and `fingerprint`.

        That is the `document_fingerprint`, by which an index and a shard go too.

        Args:
            batch: name -> list or array, all of one length.

        Raises:
            DataError: no such column; or a row that is empty or not a text, and on_error is "raise".
            TokenLimitError: a row over the limit, on_overflow is "error" and on_error is "raise".
        """
        if self._text_column not in batch:
            raise DataError(f"the batch has no column {self._text_column!r}; it has {sorted(batch)}. Name text_column.")
        texts, names = _listed(batch[self._text_column]), list(self._names(batch))
        refused = dict(_unfit(texts, names))
        self._stop_at(refused, DataError)
        vectors = self._vectors(texts, names, refused)
        mark = self.embedder.document_fingerprint
        rows = range(len(texts))
        done = {**{name: batch[name] for name in batch}, "embedding": vectors}
        done["fingerprint"] = ["" if row in refused else mark for row in rows]
        if self._on_error == "column":
            done["error"] = [refused.get(row, "") for row in rows]  # "": a first batch of None has no type in Arrow
        return done

    def _names(self, batch: Mapping[str, Any]) -> Iterator[str]:
        if self._id_column in batch:
            return (f"{self._id_column} {identity!r}" for identity in _listed(batch[self._id_column]))
        return (f"row {row} of the batch" for row in range(len(batch[self._text_column])))

    def _vectors(self, texts: Sequence[Any], names: Sequence[str], refused: dict[int, str]) -> Vectors:
        """Return the vectors of the texts, NaN where they are refused; note in `refused` what is over the limit."""
        sound = [row for row in range(len(texts)) if row not in refused]
        try:
            made = self.embedder.encode([texts[row] for row in sound], role="document")
        except TokenLimitError:
            over = dict(self._too_long(texts, names, sound))
            self._stop_at(over, TokenLimitError)
            refused.update(over)
            return self._vectors(texts, names, refused)
        vectors = np.full((len(texts), made.shape[1]), np.nan, dtype=np.float32)
        vectors[sound] = made
        return vectors

    def _too_long(self, texts: Sequence[Any], names: Sequence[str], rows: Sequence[int]) -> Iterator[tuple[int, str]]:
        limit = self.embedder.folder.limit or 0
        counts = self.embedder.dense.counts([texts[row] for row in rows], "document")
        for row, count in zip(rows, counts, strict=True):
            if count > limit:
                told = f"{count} tokens ({texts[row][:40]!r}), over the limit of {limit} tokens of {self._model}"
                yield row, f"{names[row]}: {told}"

    def _stop_at(self, refused: Mapping[int, str], kind: type[DataError]) -> None:
        if refused and self._on_error == "raise":
            said = "; ".join(list(refused.values())[:_SHOWN])
            ways = "" if kind is DataError else f" Chunk them smaller (`dragon-finetune chunk`), or {WAYS_TO_SPLIT}."
            raise kind(f"{len(refused)} rows can't be embedded: {said}.{ways} Or ask for on_error='column'.")


def wherever(model: str | Path) -> str:
    """Return how a model is called from any current folder: a worker's is another one."""
    return str(absolute(model)) if Path(model).expanduser().exists() else str(model)


def _listed(column: Any) -> list[Any]:
    for name in ("to_pylist", "tolist"):  # Arrow's and Daft's; NumPy's and pandas'
        if hasattr(column, name):
            return list(getattr(column, name)())
    return list(column)


def _unfit(texts: Sequence[Any], names: Sequence[str]) -> Iterator[tuple[int, str]]:
    for row, (text, name) in enumerate(zip(texts, names, strict=True)):
        try:
            check_text(text, name)
        except DataError as error:
            yield row, str(error)
