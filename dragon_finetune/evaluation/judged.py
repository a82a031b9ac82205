"""Questions with the chunks that answer them: how well two models rank those, by kind of question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dragon_finetune.errors import DataError
from dragon_finetune.evaluation.beir import is_test_set, questions_of
from dragon_finetune.evaluation.metrics import Ranking
from dragon_finetune.evaluation.relevance import Passage, Relevance, rank_results
from dragon_finetune.evaluation.retrieval import retrieve
from dragon_finetune.evaluation.statistics import PairedTest, paired_test
from dragon_finetune.files import read_json
from dragon_finetune.text import check_text

if TYPE_CHECKING:
    from dragon_finetune.embedding.embedder import FineTunedEmbedder


def load_judged(path: Path | str, corpus: Sequence[Passage]) -> list[dict[str, Any]]:
    """Return the questions of `{"questions": [{"question_id", "question", "answers": [chunk ids], "kind"?}]}`, or of a
    BEIR folder (`beir.questions_of`).

    Each is given `relevant_chunk_ids`, its answers.

    Raises:
        DataError: no such file or form, no question, an id twice, a question without text or answers, or an answer
            that is no chunk of the corpus; names the question.
    """
    content = {"questions": questions_of(path)} if is_test_set(path) else read_json(path)
    questions = content.get("questions") if isinstance(content, Mapping) else None
    if not isinstance(questions, list) or not questions:
        raise DataError(f'{path} holds no judged questions; it must be {{"questions": [...]}}.')
    known = {chunk.id for chunk in corpus}
    seen: set[Any] = set()
    for place, question in enumerate(questions, start=1):
        _check(question, f"{path}, question {place}", known)
        if question["question_id"] in seen:
            raise DataError(f"{path}: question_id {question['question_id']!r} is there twice. Number them anew.")
        seen.add(question["question_id"])
    return [{**question, "relevant_chunk_ids": question["answers"]} for question in questions]


def told_apart(questions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the questions with ids that no host's question has: "judged 1"."""
    return [{**question, "question_id": f"judged {question['question_id']}"} for question in questions]


def _check(question: Any, where: str, known: set[str]) -> None:
    for name in ("question_id", "question", "answers"):
        if not isinstance(question, Mapping) or question.get(name) in (None, [], ""):
            raise DataError(f"{where} has no {name!r}. A judged question has question_id, question and answers.")
    if not isinstance(question["question_id"], (int, str)):
        raise DataError(f"{where}: question_id is {question['question_id']!r:.60}; expected int or str.")
    check_text(question["question"], where)
    if not isinstance(question["answers"], list):
        raise DataError(f"{where}: answers is {question['answers']!r:.60}; it must be a list of chunk ids.")
    for answer in question["answers"]:
        if str(answer) not in known:
            raise DataError(f"{where}: no chunk has the id {answer!r}. Give all chunk files that were judged.")


@dataclass(frozen=True)
class Found:
    """Mean nDCG@10 and recall@10 of base and tuned, and their paired tests."""

    base: tuple[float, float]
    tuned: tuple[float, float]
    ndcg: PairedTest
    recall: PairedTest

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe values by metric."""
        tests = zip(("nDCG@10", "recall@10"), self.base, self.tuned, (self.ndcg, self.recall), strict=True)
        return {name: {"base": base, "tuned": tuned, **test.to_dict()} for name, base, tuned, test in tests}

    def cells(self) -> list[str]:
        """Return "0.4 -> 0.5 +0.1 [+0.0, +0.2]" of both metrics."""
        return [
            f"{base:.3f} -> {tuned:.3f} {test.difference:+.3f} [{test.low:+.3f}, {test.high:+.3f}]"
            for base, tuned, test in zip(self.base, self.tuned, (self.ndcg, self.recall), strict=True)
        ]


@dataclass(frozen=True)
class JudgedComparison:
    """What judged questions say of two models: over all, and by kind where there are several."""

    all: Found
    kinds: dict[str, Found]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe values."""
        return {**self.all.to_dict(), "kinds": {kind: found.to_dict() for kind, found in self.kinds.items()}}

    def rows(self) -> list[tuple[str, Found]]:
        """Return (name, what was found), all questions first."""
        return [
            (f"{self.all.ndcg.questions} judged questions", self.all),
            *((f"{kind} ({found.ndcg.questions})", found) for kind, found in self.kinds.items()),
        ]

    def __str__(self) -> str:
        lines = [f"{'':<26} {'nDCG@10':<38} recall@10"]
        lines += [f"{name:<26} {found.cells()[0]:<38} {found.cells()[1]}" for name, found in self.rows()]
        return "\n".join(lines)


def rank_judged(
    embedder: "FineTunedEmbedder",
    files: Sequence[Path],
    questions: Sequence[Mapping[str, Any]],
    relevance: Relevance,
    *,
    vectors: Path | None = None,
    text_field: str | None = None,
) -> list[Ranking]:
    """Return how a model ranks the answers of each question, over the chunks of the files (see `retrieve`)."""
    found = rank_results(retrieve(embedder, files, questions, vectors=vectors, text_field=text_field), relevance)
    rankings = [found[question["question_id"]] for question in questions]
    assert all(ranking is not None for ranking in rankings), "load_judged let a question without answers pass"
    return [ranking for ranking in rankings if ranking is not None]


def compare_judged(
    questions: Sequence[Mapping[str, Any]], base: Sequence[Ranking], tuned: Sequence[Ranking], *, seed: int = 0
) -> JudgedComparison:
    """Return the paired comparison of two models' rankings of the same questions."""
    kinds: dict[str, list[int]] = {}
    for place, question in enumerate(questions):
        kinds.setdefault(str(question.get("kind", "")), []).append(place)

    def found(places: Sequence[int]) -> Found:
        one, two = ([ranks[place] for place in places] for ranks in (base, tuned))
        values = [([rank.ndcg for rank in ranks], [rank.recall[10] for rank in ranks]) for ranks in (one, two)]
        means = [(sum(ndcg) / len(ndcg), sum(recall) / len(recall)) for ndcg, recall in values]
        tests = [paired_test(*each, seed=seed) for each in zip(*values, strict=True)]
        return Found(means[0], means[1], tests[0], tests[1])

    several = kinds if len(kinds) > 1 else {}
    return JudgedComparison(found(range(len(questions))), {kind: found(places) for kind, places in several.items()})
