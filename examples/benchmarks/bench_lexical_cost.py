"""What words in the vector cost: learning a lexicon, sketching beside embedding, a query, joining a collection.

    pip install "dragon-finetune[demo]"
    python examples/benchmarks/bench_lexical_cost.py [--chunks 25000]

The chunks are the example codex's words drawn anew by how often they stand there, 120 to a chunk, and a tenth of them
made up, ten times as many as a long series has. The lexicon is learned in a process of its own, whose peak memory is
printed beside that of one that only reads the chunks. The same texts are embedded without and with words, in turns; the
ratio is that of the medians.
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

try:
    import resource
except ImportError:
    raise SystemExit("this benchmark reads peak memory by getrusage, which Windows has not") from None

import numpy as np

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.chunks import read_chunks
from dragon_finetune.embedding.lexical_folder import Words, make_lexical_folder
from dragon_finetune.files import write_jsonl
from dragon_finetune.index.chroma import Record, open_client, upsert
from dragon_finetune.index.joined_copy import join_collection

CODEX = Path(__file__).parents[1] / "dragons_codex" / "data" / "chunks"
WORDS, ROUNDS = 120, 5


def synthetic(count: int, seed: int = 0) -> list[str]:
    dice = random.Random(seed)
    words = " ".join(chunk.text for chunk in read_chunks(sorted(CODEX.glob("*.jsonl")))).split()
    texts = []
    for _ in range(count):
        drawn = dice.choices(words, k=WORDS)
        for place in dice.sample(range(WORDS), WORDS // 10):
            drawn[place] = f"{drawn[place]}{dice.choice('aeiou')}{dice.randrange(3000)}"
        texts.append(" ".join(drawn))
    return texts


def learn_in_process(file: Path, only_read: bool) -> tuple[float, float]:
    """Return seconds and peak MiB of a process that reads chunks, and learns their lexicon."""
    task = (
        "import sys, time; from dragon_finetune.chunks import read_chunks;"
        "from dragon_finetune.lexical import learning;"
        "import sklearn.feature_extraction.text; texts = [c.text for c in read_chunks([sys.argv[1]])];"
        "t = time.perf_counter(); sys.argv[2] == 'read' or learning.learn(texts); print(time.perf_counter() - t);"
        "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    command = [sys.executable, "-c", task, str(file), "read" if only_read else "learn"]
    seconds, peak = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.split()
    return float(seconds), float(peak)


def in_turns(functions: dict[str, object]) -> dict[str, float]:
    """Return the median seconds of each function, called in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            started = time.perf_counter()
            function()  # type: ignore[operator]
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=25_000)
    options = parser.parse_args()
    texts = synthetic(options.chunks)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_jsonl(work / "chunks.jsonl", ({"text": text} for text in texts))
        (_, reading), (seconds, peak) = (learn_in_process(work / "chunks.jsonl", only) for only in (True, False))
        print(
            f"lexicon of {len(texts):,} chunks: {seconds:.1f} s, peak {peak:.0f} MiB ({reading:.0f} MiB to read them)"
        )
        made = make_lexical_folder("embedded", work / "model", Words(texts))
        size = (work / "model" / "lexicon.json").stat().st_size
        print(f"{made.words:,} words, lexicon.json {size / 2**20:.1f} MiB; with the level: {made.seconds:.1f} s")
        dense, joined = FineTunedEmbedder(made.path, dense_only=True), FineTunedEmbedder(made.path)
        sample = texts[:500]
        for embedder in (dense, joined):
            embedder.encode(sample[:50], role="document")
        took = in_turns(
            {
                "without": lambda: dense.encode(sample, role="document"),
                "with": lambda: joined.encode(sample, role="document"),
            }
        )
        print(f"embedding {len(sample)} chunks: with words {took['with'] / took['without']:.3f}x the time without")
        queries = [" ".join(text.split()[:10]) for text in sample[:200]]
        vectors = dense.encode(queries, role="query")
        assert joined.joiner is not None
        turns = [
            in_turns({"": partial(joined.joiner.join, vectors[n : n + 1], queries[n : n + 1], "query")})
            for n in range(len(queries))
        ]
        each = [turn[""] for turn in turns]
        print(f"a query: {1000 * statistics.median(each):.2f} ms more (median; at most {1000 * max(each):.2f} ms)")
        client = open_client(work / "store")
        collection = client.create_collection("dense", configuration={"hnsw": {"space": "l2"}})
        count = min(10_000, len(texts))
        noise = dense.encode(texts[:64], role="document")
        places = np.arange(count) % len(noise)
        upsert(collection, (Record(f"c{n}", texts[places[n]], noise[places[n]], {}) for n in range(count)))
        started = time.perf_counter()
        records = join_collection(joined, work / "store", "dense", "joined")
        print(f"joining a collection of {records:,} records: {time.perf_counter() - started:.1f} s")
        print(f"this process at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
