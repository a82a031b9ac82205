"""Each error that the page on troubleshooting quotes is one that the source raises, word for word."""

import ast
import re

import pytest
from pages_of_docs import ROOT

ROWS = re.findall(
    r"^\| `([^`]+)` \| ", (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE
)
_SAID = (ast.JoinedStr, ast.Constant)


def said(node: ast.AST) -> str:
    """Return a text of the source with an ellipsis for each value in it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@pytest.fixture(scope="module")
def texts() -> list[str]:
    files = (ROOT / "dragon_finetune").rglob("*.py")
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    return [said(node) for tree in trees for node in ast.walk(tree) if isinstance(node, _SAID)]


def test_there_are_errors_quoted():
    assert len(ROWS) >= 40
    assert len(set(ROWS)) == len(ROWS)


@pytest.mark.parametrize("quoted", ROWS)
def test_it_stands_in_the_source(texts, quoted):
    assert any(quoted in text for text in texts)
