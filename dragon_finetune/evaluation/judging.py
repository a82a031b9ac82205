"""Everything that `compare` does: runs, leaks, statistics, calibration, and the report."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError
from dragon_finetune.evaluation.asking import JudgedQuestions
from dragon_finetune.evaluation.beir import chunk_files
from dragon_finetune.evaluation.calibration import Calibration, calibrate
from dragon_finetune.evaluation.comparing import compare, correct_for_looking
from dragon_finetune.evaluation.comparison import Comparison
from dragon_finetune.evaluation.judged_alone import require_models
from dragon_finetune.evaluation.markdown import markdown
from dragon_finetune.evaluation.report import Attachments, write_html
from dragon_finetune.evaluation.runs import Corpus, Run, load_runs
from dragon_finetune.evaluation.training_record import distances_of, look_for_leaks, training_card, training_pairs
from dragon_finetune.files import write_text

_RANGES = (32, 64, 128, 256, 512, 1024, 2048, 8192)


@dataclass(frozen=True)
class Request:
    """What to compare.

    Attributes:
        base: an answers file, or a model.
        candidates: the same of one tuned model, or of several.
        files, questions: chunk files and questions file; models need both, answers files gain recall by the first.
        pairs: the training pairs, to look for leaks; default: what the tuned folder tells.
        model: the tuned folder, where the candidate is a file.
        seed: of the resampling.
        era: "a" or "b", by whose rules; default: what the answers files tell.
        judged: questions with the ids of the chunks that answer them, asked of both models; they decide.
        text_field: the field of the chunks that holds the text (`read_chunks`).
    """

    base: str
    candidates: tuple[str, ...]
    files: tuple[Path, ...] = ()
    questions: Path | None = None
    pairs: Path | None = None
    model: str | None = None
    seed: int = 0
    era: str | None = None
    judged: Path | None = None
    text_field: str | None = None

    @property
    def corpus(self) -> Corpus:
        """What runs are scored over."""
        return Corpus(chunk_files(self.judged, self.files), self.questions, text_field=self.text_field)


@dataclass(frozen=True)
class Outcome:
    """The comparisons, best first by mean score; the report is that of the best."""

    names: list[str]
    comparisons: list[Comparison]
    base: Run
    runs: list[Run]
    calibration: Calibration | None
    model: str | None
    corpus: Corpus

    @property
    def exit_code(self) -> int:
        """0 when the best candidate is believably better than the base, else 1."""
        return self.comparisons[0].verdict.exit_code

    def to_dict(self) -> dict[str, Any]:
        """Return the best comparison as JSON-safe values, with the others under "candidates"."""
        best = self.comparisons[0].to_dict()
        best["calibration"] = self.calibration.to_dict() if self.calibration else None
        others = zip(self.names, self.comparisons, strict=True)
        candidates = [{"name": name, "tuned": each.tuned, "p_corrected": each.p} for name, each in others]
        return {**best, "candidates": candidates, "distances": distances_of(self.model)}

    def __str__(self) -> str:
        said = distances_of(self.model)
        distances = [f"distances: {said}"] if said else []
        if len(self.comparisons) == 1:
            return "\n".join([str(self.comparisons[0]), *distances])
        rows = [
            f"  {name:<40.40} {each.tuned:.2f}  {each.difference:+.2f} [{each.low:+.2f}, {each.high:+.2f}]  "
            f"p {each.p:.4f}"
            for name, each in zip(self.names, self.comparisons, strict=True)
        ]
        return "\n".join(
            [f"best of {len(rows)} candidates: {self.names[0]}", str(self.comparisons[0]), *rows, *distances]
        )

    def write_html(self, path: Path) -> None:
        """Write the report of the best candidate."""
        attachments = Attachments(self.calibration, self._tokens(), training_card(self.model))
        write_html(path, self.comparisons[0], self.base.evaluation, self.runs[0].evaluation, attachments)

    def write_markdown(self, path: Path) -> None:
        """Write the comparison of the best candidate as markdown."""
        write_text(path, markdown(self.comparisons[0]))

    def _tokens(self) -> dict[str, int]:
        """Return how many of the corpus's texts, or of the retrieved ones, have how many tokens."""
        if self.model is None:
            return {}
        from dragon_finetune.tokens.counting import TokenCounter

        texts: Iterable[str]
        if self.corpus.files:
            texts = [chunk.text for chunk in self.corpus.chunks]
        else:
            texts = {str(chunk["text"]) for result in self.runs[0].results for chunk in result["retrieved_chunks"]}
        counts = list(TokenCounter(self.model).counts(list(texts)))
        table: dict[str, int] = {}
        for low, high in zip((0, *_RANGES), (*_RANGES, 10**9), strict=True):
            number = sum(low < count <= high for count in counts)
            if number:
                table[f"up to {high}" if high < 10**9 else f"over {low}"] = number
        return table


def judge(request: Request) -> Outcome:
    """Return the comparison of a base with one tuned model, or with several candidates (p corrected by Holm).

    Raises:
        DataError: a bad file, or files over different questions or of different eras.
        SettingsError: a model without chunk files or questions, judged questions without models, or no such era.
    """
    corpus = request.corpus
    asked = _asked(request, corpus)
    base, *runs = load_runs([request.base, *request.candidates], corpus, request.era)
    comparisons = []
    for run in runs:
        model = run.model or request.model
        also = asked.told_apart if asked else ()
        leaks = look_for_leaks(run, training_pairs(request.pairs, model), also=also)
        rankings = (base.rankings, run.rankings) if base.rankings and run.rankings else None
        judged = asked.compare(run.model) if asked and run.model else None
        comparisons.append(
            compare(base.evaluation, run.evaluation, leaks=leaks, rankings=rankings, judged=judged, seed=request.seed)
        )
    corrected = correct_for_looking(comparisons)
    order = sorted(range(len(runs)), key=lambda place: -corrected[place].tuned)
    best = runs[order[0]]
    return Outcome(
        names=[request.candidates[place] for place in order],
        comparisons=[corrected[place] for place in order],
        base=base,
        runs=[runs[place] for place in order],
        calibration=_calibration(base, best),
        model=best.model or request.model,
        corpus=corpus,
    )


def _asked(request: Request, corpus: Corpus) -> JudgedQuestions | None:
    if request.judged is None:
        return None
    require_models((request.base, *request.candidates))
    return JudgedQuestions(request.judged, corpus, request.base, seed=request.seed)


def _calibration(base: Run, tuned: Run) -> Calibration | None:
    try:
        return calibrate(base.evaluation, tuned.evaluation)
    except DataError:  # a run that retrieved nothing has no distances, and era B looks at none
        return None
