"""The page of what was measured claims no figure that the page it names has not, by a file that is not there."""

import re

import pytest
from pages_of_docs import ROOT

PAGE = (ROOT / "docs" / "measured.md").read_text(encoding="utf-8")
ROWS = [
    cells
    for row in re.findall(r"^\| (.*) \|$", PAGE, re.MULTILINE)
    if len(cells := row.split(" | ")) == 4 and cells[-1].startswith("[")
]
FIGURE = re.compile(r"\[[^\]]+\]|[+-]?\d[\d.,]*\d%?")


def plain(text: str) -> str:
    return " ".join(text.replace(",", "").split())


def test_there_are_claims():
    assert len(ROWS) >= 20


@pytest.mark.parametrize(("claim", "figure", "found_by", "pages"), ROWS, ids=[row[0][:50] for row in ROWS])
def test_the_figures_stand_where_it_says(claim, figure, found_by, pages):
    files = [ROOT / "docs" / name for name in re.findall(r"\(([\w-]+\.md)", pages)]
    text = plain(" ".join(file.read_text(encoding="utf-8") for file in files))
    assert [each for each in FIGURE.findall(figure) if plain(each) not in text] == []
    for path in re.findall(r"`((?:examples|tests)/[\w/.]+)", found_by):
        assert (ROOT / path).is_file()
