"""The page of an improvement: what was found, and what to do."""

from dragon_finetune.files import write_text
from dragon_finetune.improve.improvement import Improvement
from dragon_finetune.improve.judging import Gain
from dragon_finetune.improve.request import Request


def write_page(made: Improvement, request: Request) -> None:
    """Write the page, without any outside address and without times: the same work gives the same page."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("dragon_finetune.improve"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("improvement.html").render(made=made, request=request, rows=_rows(made))
    write_text(made.page, page)


def _rows(made: Improvement) -> list[tuple[str, dict[str, str]]]:
    """Return (kind of question, candidate -> cell), all questions first."""
    if made.judgement is None:
        return []
    everything = f"all {made.judgement.questions}"
    kinds = {everything: made.judgement.gains, **made.judgement.kinds}
    return [
        (kind, {"base": f"{gains['joined'].before:.3f}", **{name: _cell(gain) for name, gain in gains.items()}})
        for kind, gains in kinds.items()
    ]


def _cell(gain: Gain) -> str:
    return f"{gain.after:.3f}, {gain.difference:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
