"""Time and peak memory of chunking and auditing as the input grows: linear time, bounded memory.

Each line is measured in a process of its own, so that peaks do not hide one another.

    python examples/benchmarks/bench_scaling.py
"""

import argparse
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator

try:
    import resource
except ImportError:
    raise SystemExit("this benchmark reads peak memory by getrusage, which Windows has not") from None

SENTENCE = "Ilse Tarrowin walked the bared floor of the Thaul, “counting,” as Mr. Dool said, to 3.5 thousand. "
MEGABYTE = 1_000_000
# Linux reports the peak in KiB, macOS in bytes.
_PEAK_UNIT = 1024 if sys.platform != "darwin" else 1


def texts(megabytes: float, each: int) -> Iterator[str]:
    text = (SENTENCE * (each // len(SENTENCE) + 1))[:each]
    return itertools.repeat(text, round(megabytes * MEGABYTE / each))


CASES = {
    "chunk one word": lambda size: chunk(["x" * round(size * MEGABYTE)]),
    "chunk one character, wide": lambda size: chunk(["漢" * round(size * MEGABYTE)]),
    "chunk one text": lambda size: chunk(texts(size, round(size * MEGABYTE))),
    "chunk a stream of 20 kB texts": lambda size: chunk(texts(size, 20_000)),
    "audit a stream of 20 kB texts": lambda size: audit(texts(size, 20_000)),
}


def chunk(source: Iterator[str] | list[str]) -> int:
    from dragon_finetune import TokenChunker

    return sum(len(chunks) for chunks in TokenChunker("embedded", max_tokens=256).chunk_many(source))


def audit(source: Iterator[str]) -> int:
    from dragon_finetune import audit_tokens

    return sum(field.texts for field in audit_tokens(source, "embedded").fields.values())


def measure(case: str, size: float) -> None:
    CASES[case](0.02)  # imports and the tokenizer are not what is measured
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    made = CASES[case](size)
    seconds = time.perf_counter() - started
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * _PEAK_UNIT / MEGABYTE
    print(f"{case:<30} {size:>7.2f} MB {seconds:>8.2f} s {seconds / size:>7.3f} s/MB {peak:>7.0f} MB more {made:>7}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case")
    parser.add_argument("--size", type=float)
    parser.add_argument("--stream", type=float, default=100, help="megabytes of the longest stream")
    options = parser.parse_args()
    if options.case:
        return measure(options.case, options.size)
    for case in CASES:
        stream = "stream" in case
        for size in [1, 2, 4, 8, *([options.stream] if stream else [])]:
            subprocess.run([sys.executable, __file__, "--case", case, "--size", str(size)], check=True)
    return None


if __name__ == "__main__":
    main()
