"""What a search found, with the winner's score on the test questions, taken once; and its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragon_finetune.evaluation.curves import curve, parallel
from dragon_finetune.evaluation.judging import Outcome, Request, judge
from dragon_finetune.files import write_text
from dragon_finetune.search.result import SearchResult
from dragon_finetune.search.space import PARAMETERS


@dataclass(frozen=True)
class SearchOutcome:
    """A search's result, and the comparison of its winner with the base, if questions were given."""

    result: SearchResult
    questions: Outcome | None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-safe values."""
        return {**self.result.to_dict(), "questions": self.questions.to_dict() if self.questions else None}

    def __str__(self) -> str:
        scored = f"\nthe winner on the test questions, asked once:\n{self.questions}" if self.questions else ""
        return f"{self.result}{scored}"

    def write_html(self, path: Path) -> None:
        """Write the page: table, importance, parallel coordinates, learning curves."""
        from jinja2 import Environment, PackageLoader
        from markupsafe import Markup

        environment = Environment(loader=PackageLoader("dragon_finetune.evaluation"), autoescape=True)
        rows = [([trial.settings[name] for name in PARAMETERS], trial.score) for trial in self.result.trials]
        page = environment.get_template("search.html").render(
            result=self.result,
            parameters=PARAMETERS,
            verdict=self.questions.comparisons[0].verdict.sentence if self.questions else None,
            parallel=Markup(parallel(PARAMETERS, rows)),
            curves=[
                Markup(curve(trial.curve, self.result.base_score, f"{trial.folder.name}: {trial.state}"))
                for trial in self.result.trials
                if trial.curve
            ],
        )
        write_text(path, page)


def finish(
    result: SearchResult,
    base_model: str,
    files: Sequence[Path],
    questions: Path | None,
    html: Path | None,
    text_field: str | None = None,
) -> SearchOutcome:
    """Return the outcome: the winner alone is asked the test questions, if files and questions are given."""
    scored = None
    if files and questions and result.best:
        scored = judge(Request(base_model, (str(result.best),), tuple(files), questions, text_field=text_field))
    outcome = SearchOutcome(result, scored)
    if html:
        outcome.write_html(html)
    return outcome
