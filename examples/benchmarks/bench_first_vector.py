"""Time from nothing to the first vector, in new processes: seconds, best of five, interleaved.

pip install "dragon-finetune[demo,openvino]"
python examples/benchmarks/bench_first_vector.py
"""

import subprocess
import sys
import time

EMBED = (
    "from dragon_finetune import FineTunedEmbedder as E; E('embedded', device='cpu', engine={!r}).embed_query('who')"
)
CASES = {
    "python alone": "pass",
    "our own modules": "import dragon_finetune.embedding.embedder, dragon_finetune.tokens.chunking",
    "numpy, tokenizers, tqdm, platformdirs": "import numpy, tokenizers, tqdm, platformdirs",
    "first vector, OpenVINO, converted before": EMBED.format("openvino"),
    "import sentence_transformers": "import sentence_transformers",
    "first vector, torch": EMBED.format("torch"),
}


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(6):  # the first round converts and warms the disk's cache; the best is taken anyway
        for name, code in CASES.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
            times[name].append(time.perf_counter() - started)
    for name, taken in times.items():
        print(f"{name:<42} {min(taken):>6.2f} s")


if __name__ == "__main__":
    main()
