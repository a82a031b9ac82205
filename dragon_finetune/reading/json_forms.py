"""JSON in the forms of other tools that are no list of records."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError
from dragon_finetune.reading.kinds import JSON
from dragon_finetune.reading.pair_records import FORMS
from dragon_finetune.reading.records import Placed, items_of

_LISTS = ("pairs", "data", "chunks", "documents")
Form = tuple[str, Iterator[Placed]]
"""In which form something is ("SQuAD, 12 questions"), and its records."""


def of_json(value: Any, path: Path | str) -> Form:
    """Return what a JSON value holds: LlamaIndex's or SQuAD's form as pairs, else its records as they are.

    Raises:
        DataError: none of these, or one that lacks a part; names the file and the place.
    """
    if isinstance(value, Mapping):
        if {"queries", "corpus", "relevant_docs"} <= value.keys():
            return _of_llama_index(value, path)
        data = value.get("data")
        if isinstance(data, list) and data and isinstance(data[0], Mapping) and "paragraphs" in data[0]:
            return _of_squad(data, path)
        if not any(isinstance(each, str) or name in _LISTS for name, each in value.items()):
            raise DataError(f"{path} holds {', '.join(map(repr, value)) or 'nothing'}. Pairs are known as: {FORMS}.")
    return JSON, items_of(value, path, _LISTS)


def _of_llama_index(value: Mapping[str, Any], path: Path | str) -> Form:
    queries, corpus, relevant = (value[name] for name in ("queries", "corpus", "relevant_docs"))
    for name, part in (("queries", queries), ("corpus", corpus), ("relevant_docs", relevant)):
        if not isinstance(part, Mapping):
            raise DataError(f"{path}: {name} is {type(part).__name__}; LlamaIndex writes an object of ids.")

    def records() -> Iterator[Placed]:
        for query, passages in relevant.items():
            where = f"{path}, query {query}"
            if not isinstance(passages, list):
                raise DataError(f"{where}: relevant_docs has {passages!r:.60}; it must be a list of ids.")
            for passage in passages:
                if query not in queries or passage not in corpus:
                    lacking = f"query {query!r}" if query not in queries else f"passage {passage!r}"
                    raise DataError(f"{where}: the {lacking} is judged and is not there. Export the dataset anew.")
                yield where, judged_pair(query, queries[query], passage, corpus[passage])

    return f"LlamaIndex, {len(queries):,} queries, {len(corpus):,} passages", records()


def judged_pair(query: str, asked: Any, passage: str, text: Any) -> dict[str, Any]:
    """Return the record of a query and a passage that is judged to answer it, with the ids of both."""
    return {"query": asked, "positive_text": text, "query_id": query, "positive_chunk_id": passage}


def _of_squad(articles: list[Any], path: Path | str) -> Form:
    records: list[Placed] = []
    unanswered = number = 0
    for place, article in enumerate(articles, start=1):
        try:
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    number += 1
                    if asked.get("is_impossible"):
                        unanswered += 1
                        continue
                    about = {"title": article.get("title"), "query_id": asked.get("id")}
                    record = {"query": asked["question"], "positive_text": paragraph["context"], **about}
                    records.append((f"{path}, question {number}", record))
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}, article {place} is not in SQuAD's form ({error!s:.100} is missing or no object); it is "
                "paragraphs of context and qas of question."
            ) from None
    passed = f", {unanswered:,} of them without an answer passed over" if unanswered else ""
    return f"SQuAD, {number:,} questions{passed}", iter(records)
