"""How time and memory of `pairs` grow with the chunks, and how much the approximate search overlooks.

    python examples/benchmarks/bench_pairs_scale.py --sizes 3000 10000 30000
    python examples/benchmarks/bench_pairs_scale.py --sizes 3000 10000 --exact
    python examples/benchmarks/bench_pairs_scale.py --sizes 10000 30000 --hard-negatives 2

The text is invented and seeded: words by Zipf's law, of which new ones never end; books of chapters and wiki pages
with their own words, names and headings. Vectors are NOT a model's: each word has a random direction of 384 numbers, by
its hash, and a text is the sum of its words'; the directions' spread falls as that of MiniLM's vectors does
(participation ratio about 50). A model would take hours for what is not measured here. So the time is that of reading,
searching, labelling and checking; embedding comes on top, and is linear.

Each size runs in a process of its own. "CPU s" is of all its threads, the same on a machine that does other things too.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

try:
    import resource
except ImportError:
    raise SystemExit("this benchmark reads peak memory by getrusage, which Windows has not") from None

DIMENSION = 384
_SPREAD = np.arange(1, DIMENSION + 1, dtype=np.float32) ** -0.45
_SYLLABLES = [
    a + b for a in "b d f g k l m n p r s t v z th sh br dr gr st".split() for b in "a e i o u ar en il".split()
]
_PEAK_UNIT = 1024 if sys.platform != "darwin" else 1  # Linux reports the peak in KiB, macOS in bytes


def word(rank: int) -> str:
    """Return the invented word of a rank: frequent ones are short."""
    parts, rest = [], rank + 20
    while rest:
        rest, syllable = divmod(rest, len(_SYLLABLES))
        parts.append(_SYLLABLES[syllable])
    return "".join(parts)


def records(count: int, seed: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield chunks: pages of a wiki, and chapters of books that speak of them."""
    dice = np.random.default_rng(seed)
    made, names = 0, ["The Ledger"]
    for page in range(count):
        name = f"{word(int(dice.integers(10**6, 10**9))).title()} {word(int(dice.integers(10**3, 10**6))).title()}"
        own = [word(rank) for rank in dice.integers(200, 100_000, 60).tolist()]
        wiki = page % 4 == 0
        for part in range(1 if wiki else int(dice.integers(5, 25))):
            if made == count:
                return
            place = {"title": name} if wiki else {"book_number": page, "chapter_number": part // 5, "title": name}
            yield f"c{made}", {"text": _text(name, names, own, part, dice), **place}
            made += 1
        names += [name] if wiki else []


def _text(name: str, names: Sequence[str], own: Sequence[str], part: int, dice: np.random.Generator) -> str:
    sentences = [f"Chapter {part // 5} of {name}."] if part % 5 == 0 else []
    for _ in range(int(dice.integers(4, 8))):
        ranks = dice.zipf(1.25, int(dice.integers(7, 18))).clip(max=10**8).tolist()
        words = [own[int(dice.integers(len(own)))] if dice.random() < 0.3 else word(rank) for rank in ranks]
        if dice.random() < 0.3:
            words[0] = name if dice.random() < 0.5 else names[int(dice.integers(len(names)))]
        sentences.append(f"{' '.join(words).capitalize()}.")
    return " ".join(sentences)


class HashedWords:
    """Stands where the embedder does: the vectors of the page's head."""

    fingerprint = "hashed-words"
    options = SimpleNamespace(precision="fp32", on_overflow="split")

    def __init__(self) -> None:
        self._known: dict[str, np.ndarray] = {}

    def encode(self, texts: Sequence[str], *, role: str | None = None) -> np.ndarray:
        del role
        vectors = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        for row, text in enumerate(texts):
            for each in text.lower().replace(".", "").split():
                vectors[row] += self._of(each) * (1.0 if len(each) > 4 else 0.2)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)

    def _of(self, each: str) -> np.ndarray:
        if each not in self._known:
            if len(self._known) > 100_000:
                self._known.clear()
            dice = np.random.default_rng(zlib.crc32(each.encode()))
            self._known[each] = dice.standard_normal(DIMENSION, dtype=np.float32) * _SPREAD
        return self._known[each]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return what one size takes."""
    from dragon_finetune.pairs.corpus import read_corpus
    from dragon_finetune.pairs.negatives import add_hard_negatives
    from dragon_finetune.pairs.searching import search_over
    from dragon_finetune.pairs.synthesis import PairSettings, synthesize

    corpus = read_corpus(records(options.size))
    avoid = [
        {"question_id": n, "question": passage.text[10:70]}
        for n, passage in enumerate(corpus.passages[:: max(1, options.size // 100)])
    ]
    took = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        search: Any = search_over(corpus, HashedWords(), Path(folder), options.size + 1 if options.exact else 0)
        for part in () if options.exact else ("vectors", "neighbours", "lexical"):
            started = time.process_time()
            getattr(search, part)
            took[part] = time.process_time() - started
        made = synthesize(corpus, PairSettings(avoid=avoid), search=search)
        pairs = made.pairs
        if options.hard_negatives:
            pairs, _ = add_hard_negatives(pairs, search, per_pair=options.hard_negatives)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PEAK_UNIT
    recalls = {name: recall.to_dict() for name, recall in search.recalls.items()}
    kinds = {"words": len(corpus.often), "pairs": len(pairs), "disk": disk, "recalls": recalls}
    return {"size": options.size, "wall": wall, "cpu": cpu, "peak": peak, "parts": took, **kinds}


def show(found: dict[str, Any]) -> None:
    parts = " ".join(f"{name} {seconds:.0f}" for name, seconds in found["parts"].items())
    print(
        f"{found['size']:>9,} {found['wall']:>8.0f} {found['cpu']:>8.0f} {found['peak'] / 1e6:>8.0f} "
        f"{found['disk'] / 1e6:>8.0f} {found['words']:>9,} {found['pairs']:>9,}  {parts}"
    )
    for name, recall in found["recalls"].items():
        print(" " * 10 + f"{name}: {json.dumps(recall)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[3_000, 10_000, 30_000])
    parser.add_argument("--exact", action="store_true", help="compare every query with every passage")
    parser.add_argument("--hard-negatives", type=int, default=0)
    parser.add_argument("--folder", help="where vectors go; default: the system's place for such files")
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.size:
        print(json.dumps(measure(options)))
        return
    heads = ("wall s", "CPU s", "peak MB", "disk MB")
    print(f"{'chunks':>9} {' '.join(f'{head:>8}' for head in heads)} {'words':>9} {'pairs':>9}  CPU s of parts")
    found = []
    for size in options.sizes:
        command = [sys.executable, __file__, "--size", str(size), "--hard-negatives", str(options.hard_negatives)]
        command += ["--exact"] * options.exact + (["--folder", options.folder] if options.folder else [])
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
        found.append(json.loads(done.stdout.splitlines()[-1]))
        show(found[-1])
    for name in ("cpu", "peak"):
        fitted = [each for each in found if each["size"] >= 10_000] or found
        if len(fitted) > 1:
            sizes, values = (np.log([each[key] for each in fitted]) for key in ("size", name))
            power, first = np.polyfit(sizes, values, 1)[0], fitted[0]["size"]
            print(f"{name}: grows with the chunks to the power of {power:.2f} from {first:,} on")


if __name__ == "__main__":
    main()
