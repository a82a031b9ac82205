"""The lines of docs/integrations.md are run as they stand, in a folder that has the model."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
FOUND = """
text = found["documents"][0][0] if isinstance(found, dict) else found[0]
print(next((getattr(text, name) for name in ("content", "page_content", "text") if hasattr(text, name)), text))
"""


def test_there_are_lines_to_run():
    assert len(BLOCKS) == 4


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.search(r"(?:from|import) (\w+)", block)[1])
def test_the_lines_that_one_types(tiny, tmp_path, block):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "finetuned").symlink_to(tiny)
    done = subprocess.run(
        [sys.executable, "-c", block + FOUND], cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("The Ledger lies.", "The lamp is out.")
