"""A training pair: one query and its passages, read from the shapes that people have."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError
from dragon_finetune.files import read_jsonl
from dragon_finetune.text import check_text

_QUERY_NAMES = ("query", "anchor", "question")
_POSITIVE_NAMES = ("positive_text", "positive", "answer", "passage")


@dataclass(frozen=True)
class Pair:
    """One training example. `metadata` is what the record held beside its texts, untouched."""

    query: str
    positive: str
    negatives: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield (field, text), the query first."""
        yield "query", self.query
        yield "positive", self.positive
        for negative in self.negatives:
            yield "negative", negative


def as_pair(item: Any, where: str) -> Pair:
    """Return a pair from a Pair, a mapping (pairs file, Dataset row) or a legacy InputExample.

    Args:
        item: a mapping with `query` and `positive_text` (or `anchor` and `positive`) and optional `negative_texts`,
            `negative` or `negative_1`...; or an object with `texts` = [query, positive, negatives...].
        where: the item's place, for error messages.

    Raises:
        DataError: no query, no positive, or a text that is empty or not a string; names the place and the value.
    """
    if isinstance(item, Pair):
        pair = item
    elif isinstance(item, Mapping):
        pair = _pair_from_mapping(item, where)
    elif isinstance(getattr(item, "texts", None), (list, tuple)):
        pair = _pair_from_texts(item.texts, where)
    else:
        raise DataError(f"{where}: {type(item).__name__} is no pair; give an object with `query` and `positive_text`.")
    for name, text in pair.texts():
        check_text(text, f"{where}, {name}")
    return pair


def is_pair_like(item: Any) -> bool:
    """Tell whether `item` is meant as a pair (rather than a single text or a chunk)."""
    if isinstance(item, Mapping):
        return any(name in item for name in (*_QUERY_NAMES, *_POSITIVE_NAMES)) and "text" not in item
    return isinstance(item, Pair) or isinstance(getattr(item, "texts", None), (list, tuple))


def _pair_from_mapping(item: Mapping[str, Any], where: str) -> Pair:
    query = _first(item, _QUERY_NAMES, where)
    positive = _first(item, _POSITIVE_NAMES, where)
    negatives, used = _negatives(item)
    taken = {*_QUERY_NAMES, *_POSITIVE_NAMES, *used}
    return Pair(query, positive, negatives, {name: value for name, value in item.items() if name not in taken})


def _pair_from_texts(texts: Any, where: str) -> Pair:
    if len(texts) < 2:
        raise DataError(f"{where}: an InputExample needs texts=[query, positive, ...], found {len(texts)} text(s).")
    return Pair(texts[0], texts[1], tuple(texts[2:]))


def _first(item: Mapping[str, Any], names: tuple[str, ...], where: str) -> Any:
    for name in names:
        if item.get(name) is not None:
            return item[name]
    raise DataError(f"{where}: the pair has no {names[0]!r}; it has {sorted(item)}.")


def _negatives(item: Mapping[str, Any]) -> tuple[tuple[str, ...], set[str]]:
    if isinstance(item.get("negative_texts"), (list, tuple)):
        return tuple(item["negative_texts"]), {"negative_texts"}
    names = [name for name in item if name == "negative" or (name.startswith("negative_") and name[9:].isdigit())]
    return tuple(item[name] for name in names if item[name] is not None), {*names, "negative_texts"}


GENERAL = "general"
"""The `source` of pairs from outside the domain."""
GROUP_KEYS = ("positive_chunk_id", "original_question_id")
"""Metadata that tells from which document or question a pair was made."""
ASKED_FROM = "query_chunk_id"
"""Metadata: the chunk that a query's words are from, where that is not the positive."""


def read_pairs(source: "Iterable[Any] | str | Path") -> list[Pair]:
    """Return pairs from a JSON-lines file, a list of dicts, Pairs or legacy InputExamples, or a Hugging Face Dataset.

    Raises:
        DataError: a pair without query or positive, or with an empty text; no pair at all. Names file and line.
    """
    if isinstance(source, (str, Path)):
        pairs = [as_pair(record, f"{source}, line {number}") for number, record in read_jsonl(source)]
    else:
        pairs = [as_pair(item, f"pair {index}") for index, item in enumerate(source)]
    if not pairs:
        raise DataError(f"{source if isinstance(source, (str, Path)) else 'the input'} holds no pairs.")
    return pairs


def documents_of(pair: Pair) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of what says from which document or question a pair was made."""
    nested = pair.metadata.get("metadata")
    for holder in (pair.metadata, nested if isinstance(nested, Mapping) else {}):
        yield from ((key, holder[key]) for key in GROUP_KEYS if holder.get(key) is not None)


def asked_from(pairs: Sequence[Pair], among: Iterable[Pair]) -> list[set[str]]:
    """Return for each pair the passages that its query's words are from (`ASKED_FROM`), without its own positive.

    That passage would be the best answer of all to its own words; to rank it is not what such a pair teaches.

    Args:
        pairs: any pairs.
        among: pairs whose passages are looked through, by `positive_chunk_id` and `negative_chunk_ids`.
    """
    texts: dict[str, set[str]] = {}
    for pair in among:
        ids = [pair.metadata.get("positive_chunk_id"), *(pair.metadata.get("negative_chunk_ids") or ())]
        for identity, text in zip(ids, (pair.positive, *pair.negatives), strict=False):
            texts.setdefault(str(identity), set()).add(text)
    return [
        texts.get(str(pair.metadata[ASKED_FROM]), set()) - {pair.positive} if ASKED_FROM in pair.metadata else set()
        for pair in pairs
    ]
