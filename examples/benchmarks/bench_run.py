"""What `dragon-finetune run` costs at start-up over plain `python -m`, in an empty host, interleaved.

python examples/benchmarks/bench_run.py
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 7


def main() -> None:
    command = str(Path(sys.executable).with_name("dragon-finetune"))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "nothing.py").write_text("", encoding="utf-8")
        (Path(folder) / ".env").write_text("EMBEDDER=base\nBASE_MODEL_PATH=embedded\n", encoding="utf-8")
        forms = {
            "python -m": [sys.executable, "-m", "nothing"],
            "dragon-finetune run -m": [command, "run", "-m", "nothing"],
        }
        seconds: dict[str, list[float]] = {name: [] for name in forms}
        for _ in range(ROUNDS):
            for name, form in forms.items():
                started = time.perf_counter()
                subprocess.run(form, cwd=folder, check=True, stderr=subprocess.DEVNULL)
                seconds[name].append(time.perf_counter() - started)
    plain, ours = (statistics.median(each) for each in seconds.values())
    print(f"python -m {plain:.3f} s, dragon-finetune run -m {ours:.3f} s: {ours - plain:+.3f} s (median of {ROUNDS})")


if __name__ == "__main__":
    main()
