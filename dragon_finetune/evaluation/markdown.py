"""A comparison as markdown, and the rows of its table."""

import re

from dragon_finetune.evaluation.comparison import NAMES, Comparison
from dragon_finetune.evaluation.statistics import PairedTest
from dragon_finetune.text import printable

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#!])")


def cell(text: str) -> str:
    """Return a text as one cell of a markdown table shows it: on one line, without any markup of its own."""
    return _MARKUP.sub(r"\\\1", " ".join(printable(text).split()))


def markdown(comparison: Comparison) -> str:
    """Return the comparison as markdown, for a pull request."""
    lines = [comparison.verdict.sentence, "", f"Judged by {cell(str(comparison.era))}.", ""]
    lines.append("| | base | tuned | difference | 95% interval | p |")
    lines.append("|---|---:|---:|---:|---:|---:|")
    lines += [
        f"| {row['name']} | {row['base']} | {row['tuned']} | {row['difference']} | {row['interval']} | {row['p']} |"
        for row in rows_of(comparison)
    ]
    for key, groups in comparison.groups.items():
        lines += [
            "",
            f"| {key} | base | tuned | difference | 95% interval | questions |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        lines += [
            f"| {cell(name)} | {group.base:.2f} | {group.tuned:.2f} | {group.test.difference:+.2f} | "
            f"{group.test.low:+.2f} to {group.test.high:+.2f} | {group.test.questions} |"
            for name, group in groups.items()
        ]
    if comparison.leaks is not None:
        lines += ["", cell(str(comparison.leaks).split("\n", 1)[0])]
    return "\n".join(lines) + "\n"


def rows_of(comparison: Comparison) -> list[dict[str, str]]:
    """Return the rows of the comparison's table, each value as it is printed."""

    def row(name: str, base: float | None, tuned: float | None, test: PairedTest, digits: int) -> dict[str, str]:
        return {
            "name": name,
            "base": "" if base is None else f"{base:.{digits}f}",
            "tuned": "" if tuned is None else f"{tuned:.{digits}f}",
            "difference": f"{test.difference:+.{digits}f}",
            "interval": f"{test.low:+.{digits}f} to {test.high:+.{digits}f}",
            "p": f"{test.p:.4f}",
        }

    names = NAMES[comparison.era.name]
    rows = []
    for name, found in comparison.judged.rows() if comparison.judged else ():
        rows.append(row(f"nDCG@10, {name}", found.base[0], found.tuned[0], found.ndcg, 3))
        rows.append(row(f"recall@10, {name}", found.base[1], found.tuned[1], found.recall, 3))
    rows.append(row(names.score, comparison.base, comparison.tuned, comparison.score, 2))
    rows += [row(names.coverage, None, None, comparison.coverage, 2)] if names.coverage else []
    rows.append(row(names.topics, None, None, comparison.topics, 3))
    rows += [row(name, base, tuned, test, 4) for name, (base, tuned, test) in comparison.metrics.items()]
    if comparison.clean and comparison.clean_means:
        rows.append(row(f"{names.score} of what did not leak", *comparison.clean_means, comparison.clean, 2))
    return rows
