"""What importing costs, what the wheel promises, and that nothing reaches the network."""

import subprocess
import sys
from pathlib import Path

import dragon_finetune

ROOT = Path(__file__).parents[1]


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_is_light():
    heavy = run_python(
        "import sys, dragon_finetune, dragon_finetune.host, dragon_finetune.plugin, dragon_finetune.cli.app\n"
        "heavy = ('torch', 'transformers', 'sentence_transformers', 'datasets', 'chromadb')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert heavy.strip() == "[]"


def test_import_takes_under_300_ms():
    timing = "import time; t = time.perf_counter(); import dragon_finetune; print(time.perf_counter() - t)"
    assert min(float(run_python(timing)) for _ in range(3)) < 0.3


def test_public_names_load():
    for name in dragon_finetune.__all__:
        assert getattr(dragon_finetune, name) is not None
    assert set(dragon_finetune.__all__) <= set(dir(dragon_finetune))


def test_unknown_public_name_is_an_attribute_error():
    assert not hasattr(dragon_finetune, "no_such_name")


def test_example_codex_never_imports_us():
    for script in (ROOT / "examples" / "dragons_codex").rglob("*.py"):
        assert "dragon_finetune" not in script.read_text(encoding="utf-8"), script
