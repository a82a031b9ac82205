"""OpenVINO and NNCF say nothing to their vendor, whoever imports them first."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[2] / "dragon_finetune"
EMBED = """
from dragon_finetune import FineTunedEmbedder
FineTunedEmbedder({model!r}, device="cpu", engine="openvino", precision="fp32").embed_query("who")
"""
QUANTISE = """
from dragon_finetune.embedding.quantising import quantise
quantise({model!r}, ["who keeps the lamp"])
"""
FIRST = {"we": "", "the host": "import openvino, nncf"}
# Every message goes through this one method, whose place a recorder takes: nothing leaves the machine in this test.
RECORDED = """
import openvino_telemetry.utils.sender as sender
said = []
sender.TelemetrySender.send = lambda self, backend, message: said.append(message)
{host}
del said[:]
{embed}
import openvino_telemetry
print(len(said), openvino_telemetry.Telemetry.__module__)
"""


@pytest.mark.parametrize(
    ("first", "work"),
    [
        ("we", EMBED),
        ("we", QUANTISE),
        ("the host", QUANTISE),
        pytest.param("the host", EMBED, marks=pytest.mark.thorough),
    ],
    ids=["we-embed", "we-quantise", "the host-quantise", "the host-embed"],
)
def test_nothing_is_sent_and_nothing_is_left_at_home(tiny, tmp_path, first, work):
    code = RECORDED.format(host=FIRST[first], embed=work.format(model=str(tiny)))
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"HOME": str(tmp_path), "DRAGON_FINETUNE_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0", "openvino_telemetry.main"], done.stderr
    if first == "we":
        assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]


def test_one_file_imports_it():
    pattern = re.compile(r"^\s*(import|from)\s+(openvino|nncf)\b", re.MULTILINE)
    importing = [file.name for file in ROOM.rglob("*.py") if pattern.search(file.read_text(encoding="utf-8"))]
    assert importing == ["openvino_import.py"]
