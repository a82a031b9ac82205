"""Test questions and retrieval results, read and checked before anything is scored."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError, suggest
from dragon_finetune.evaluation.era import Era, era_of
from dragon_finetune.files import read_json
from dragon_finetune.text import check_text

DIFFICULTIES = ("easy", "medium", "hard")


def load_questions(path: Path | str) -> list[dict[str, Any]]:
    """Return the questions of a host's questions file (`{"questions": [...]}`), keys untouched.

    Raises:
        DataError: the file is no questions file, or a question lacks its text, id, difficulty, category or topics, or
            repeats an id; names the file and the question.
    """
    return _checked(path, "questions", ("question_id", "question", "category", "difficulty", "expected_topics"))[0]


def load_results(path: Path | str) -> list[dict[str, Any]]:
    """Return the answers of a host's retrieval run (`{"results": [...]}`), keys untouched.

    Each holds the question's keys and `retrieved_chunks`, nearest first, of {text, distance, ...}.

    Raises:
        DataError: as `load_questions`, or a retrieved chunk without text or with a distance that is no finite number.
    """
    results, _ = load_answers(path)
    require_judgeable(results, path, "a")
    return results


def load_answers(path: Path | str) -> tuple[list[dict[str, Any]], Era]:
    """Return the answers of a host's run of either era, and which it is; what only one era reads is not looked at.

    Raises:
        DataError: as `load_results`, but for distances.
    """
    keys = ("question_id", "question", "category", "difficulty", "expected_topics", "retrieved_chunks")
    results, content = _checked(path, "results", keys)
    for result in results:
        where = f"{path}, question {result['question_id']}"
        chunks = result["retrieved_chunks"]
        if not isinstance(chunks, list):
            raise DataError(f"{where}: retrieved_chunks is {chunks!r:.60}; it must be a list. Run the retrieval again.")
        for rank, chunk in enumerate(chunks, start=1):
            text = chunk.get("text") if isinstance(chunk, Mapping) else None
            if not isinstance(text, str):
                raise DataError(f"{where}, chunk {rank}: the text is {text!r:.60}. Run the retrieval again.")
    return results, era_of(path, content)


def require_judgeable(results: Sequence[Mapping[str, Any]], path: Path | str, era: str) -> None:
    """Raise DataError for a chunk that an era can't judge: "a" reads distances, "b" orders in time."""
    for result in results:
        for rank, chunk in enumerate(result["retrieved_chunks"], start=1):
            where = f"{path}, question {result['question_id']}, chunk {rank}"
            if era == "a" and not _is_number(distance := chunk.get("distance")):
                raise DataError(f"{where}: the distance is {distance!r}. Run the retrieval again.")
            for name in ("temporal_order", "book_number") if era == "b" else ():
                if chunk.get(name) is not None and not _is_number(chunk[name]):
                    raise DataError(f"{where}: {name} is {chunk[name]!r:.60}; it must be a number or null.")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")


def _checked(path: Path | str, key: str, needed: tuple[str, ...]) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    content = read_json(path, any_number=True)
    items = content.get(key) if isinstance(content, Mapping) else None
    if not isinstance(items, list) or not items:
        raise DataError(f'{path}: expected {{"{key}": [...]}} with at least one entry.')
    seen: set[Any] = set()
    for number, item in enumerate(items, start=1):
        where = f"{path}, entry {number} of {key}"
        if not isinstance(item, Mapping):
            raise DataError(f"{where}: expected an object, found {type(item).__name__}.")
        for name in needed:
            if item.get(name) is None:
                raise DataError(f"{where}: {name!r} is missing.")
        _check_types(item, where)
        if item["difficulty"] not in DIFFICULTIES:
            raise DataError(
                f"{where}: difficulty is {item['difficulty']!r}. {suggest(str(item['difficulty']), DIFFICULTIES)}"
            )
        _check_topics(item["expected_topics"], where)
        if item["question_id"] in seen:
            raise DataError(f"{where}: question_id {item['question_id']!r} occurs twice.")
        seen.add(item["question_id"])
    return items, content


def _check_topics(topics: Any, where: str) -> None:
    if not isinstance(topics, (list, tuple)):
        raise DataError(f"{where}: expected_topics is {topics!r:.60}; write a list of texts, [...] around it.")
    if not topics:
        raise DataError(f"{where}: expected_topics is empty; a question without topics can't be scored.")
    for number, topic in enumerate(topics, start=1):
        check_text(topic, f"{where}, topic {number}")


def _check_types(question: Mapping[str, Any], where: str) -> None:
    kinds = {"question_id": (int, str), "question": (str,), "temporal_limit": (int, float, type(None))}
    for name, allowed in kinds.items():
        if not isinstance(question.get(name), allowed):
            expected = " or ".join(kind.__name__ for kind in allowed if kind is not type(None))
            raise DataError(f"{where}: {name} is {question[name]!r:.60}; expected {expected}.")
