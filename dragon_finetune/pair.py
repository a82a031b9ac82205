"""A training pair: one query and its passages, read from the shapes that people have."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError
from dragon_finetune.reading.pair_files import read_pair_records
from dragon_finetune.reading.pair_records import FORMS, NEGATIVES, POSITIVES, QUERIES, pair_records
from dragon_finetune.text import check_text

_NUMBERED_NEGATIVE = re.compile(r"negative_\d+")
# What tells of negatives without being their texts: metadata, as it comes from the codex's own pairs.
_ABOUT_NEGATIVES = re.compile(r"_(ids?|scores?|sources?)$")


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
        item: a mapping with `query` and `positive_text` (or `anchor` and `positive`) and optional `negative_texts`
            (or `negatives`, `hard_negatives`, `neg`, `negative`, `negative_1`...; a list of texts, or one text); or an
            object with `texts` = [query, positive, negatives...].
        where: the item's place, for error messages.

    Raises:
        DataError: no query, no positive, a text that is empty or not a string, or a name that is nearly one for
            negatives; names the place and the value.
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
        return any(name in item for name in (*QUERIES, *POSITIVES)) and "text" not in item
    return isinstance(item, Pair) or isinstance(getattr(item, "texts", None), (list, tuple))


def _pair_from_mapping(item: Mapping[str, Any], where: str) -> Pair:
    query = _first(item, QUERIES, where)
    positive = _first(item, POSITIVES, where)
    names = [name for name in item if name in NEGATIVES or _NUMBERED_NEGATIVE.fullmatch(str(name))]
    negatives = tuple(text for name in names for text in _texts(item[name], f"{where}, negative"))
    taken = {*QUERIES, *POSITIVES, *names}
    metadata = {name: value for name, value in item.items() if name not in taken}
    _refuse_near_misses(metadata, where)
    return Pair(query, positive, negatives, metadata)


def _texts(value: Any, where: str) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, (list, tuple)):
        return list(value)
    raise DataError(f"{where}: expected a list of texts, found {type(value).__name__} {value!r:.60}.")


def _refuse_near_misses(metadata: Mapping[str, Any], where: str) -> None:
    for name, value in metadata.items():
        meant = re.match(r"(hard_?)?neg", str(name), re.IGNORECASE) and isinstance(value, (str, list, tuple))
        if meant and value and not _ABOUT_NEGATIVES.search(str(name)):
            raise DataError(f"{where}: nobody reads {name!r}, which looks like negatives. Call it 'negative_texts'.")


def _pair_from_texts(texts: Any, where: str) -> Pair:
    if len(texts) < 2:
        raise DataError(f"{where}: an InputExample needs texts=[query, positive, ...], found {len(texts)} text(s).")
    return Pair(texts[0], texts[1], tuple(texts[2:]))


def _first(item: Mapping[str, Any], names: tuple[str, ...], where: str) -> Any:
    for name in names:
        if item.get(name) is not None:
            return item[name]
    raise DataError(f"{where}: the pair has no {names[0]!r}; it has {sorted(item)}. Pairs are known as: {FORMS}.")


GENERAL = "general"
"""The `source` of pairs from outside the domain."""
QUESTION = "original_question_id"
GROUP_KEYS = ("positive_chunk_id", QUESTION)
"""Metadata that tells from which document or question a pair was made."""
ASKED_FROM = "query_chunk_id"
"""Metadata: the chunk that a query's words are from, where that is not the positive."""


def read_pairs(source: "Iterable[Any] | str | Path") -> list[Pair]:
    """Return pairs from a file or folder, a list of dicts, Pairs or legacy InputExamples, or a Hugging Face Dataset.

    Files may be of any kind and form that `reading.pair_files` knows; how one was read is said on stderr, unless it is
    JSON lines of plain pairs. A BEIR folder gives those of qrels/train.tsv; its other judgements are named as files.

    Raises:
        DataError: a form that nobody knows, a pair without query or positive, or with an empty text; no pair at all.
            Names file and line, row or item.
    """
    if isinstance(source, (str, Path)):
        pairs = [as_pair(record, where) for where, record in read_pair_records(source)]
    else:
        pairs = [pair for index, item in enumerate(source) for pair in pairs_of(item, f"pair {index}")]
    if not pairs:
        raise DataError(f"{source if isinstance(source, (str, Path)) else 'the input'} holds no pairs.")
    return pairs


def pairs_of(item: Any, where: str) -> list[Pair]:
    """Return the pairs of one record: of a form that holds several positives, one for each. Raises as `as_pair`."""
    return [as_pair(each, where) for each in (pair_records(item) if isinstance(item, Mapping) else [item])]


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
