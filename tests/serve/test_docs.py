"""The lines of docs/serve.md are run as they stand, but for the port and the model's name."""

import gc
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def clients_end_here():
    yield
    gc.collect()  # while the filters above hold


def test_there_are_lines_to_run():
    assert len(BLOCKS) == 7


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.search(r"(?:from|import) (\w+)", block)[1])
def test_the_lines_that_one_types(server, block):
    package = re.search(r"(?:from|import) (\w+)", block)[1]
    pytest.importorskip(package)
    scope = {}
    exec(block.replace("http://127.0.0.1:11435", server).replace("finetuned", "tuned"), scope)
    found = scope.get("vector") or scope.get("query") or scope.get("vectors") or [0] * 32
    assert len(found) in (1, 32)
