"""Records in the forms of other tools, each made one record per pair in ours."""

import ast
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

QUERIES = ("query", "anchor", "question", "user_input")
POSITIVES = ("positive_text", "positive", "answer", "passage")
NEGATIVES = ("negative_texts", "negatives", "hard_negatives", "neg", "negative", "hard_negative")
_PASSAGES = {
    "pos": "FlagEmbedding",
    "reference_contexts": "RAGAS",
    "ground_truth_context": "RAGAS",
    "contexts": "RAGAS",
    "context": "SQuAD",
}
"""Fields that hold one passage or a list of them, each a positive; and whose form has them."""
FORMS = (
    "query + positive_text or pos, anchor + positive, question + context, user_input + reference_contexts, with or "
    "without negatives; SQuAD's and LlamaIndex's JSON; a BEIR folder"
)
"""The forms that are known, for error messages."""


def form_of(record: Mapping[str, Any]) -> str | None:
    """Return the name of the form that holds passages under a name of its own; None of a plain pair."""
    name = _passages_in(record)
    return _PASSAGES[name] if name else None


def pair_records(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the pairs of a record as `query`, `positive_text`, the negatives, and the rest untouched.

    One for each passage of FlagEmbedding's `pos`, RAGAS's contexts or SQuAD's context; none where SQuAD says that the
    passage does not answer. A plain pair stays as it is.
    """
    name = _passages_in(record)
    rest = {key: _listed(value) if key in NEGATIVES else value for key, value in record.items() if key != name}
    if "query" not in rest and "user_input" in rest:
        rest["query"] = rest.pop("user_input")
    if name is None:
        return [rest]
    answers = rest.get("answers")
    if isinstance(answers, Mapping) and not answers.get("text", True):
        return []
    passages = _listed(record[name])
    return [
        {**rest, "positive_text": each} for each in (passages if isinstance(passages, (list, tuple)) else [passages])
    ]


def _passages_in(record: Mapping[str, Any]) -> str | None:
    if any(record.get(name) is not None for name in POSITIVES):
        return None
    return next((name for name in _PASSAGES if record.get(name) is not None), None)


def _listed(value: Any) -> Any:
    """Return the list of texts that a cell of a table holds as JSON, or as pandas writes it; else the value."""
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        for read in (json.loads, ast.literal_eval):
            with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                found = read(value)
                if isinstance(found, list) and found and all(isinstance(each, str) for each in found):
                    return found
    return value
