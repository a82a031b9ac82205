"""What each part of the lexical half gives: every row as the product joins words, but for one thing; nDCG@10.

    python examples/benchmarks/ablate_lexical.py codex
    python examples/benchmarks/ablate_lexical.py oz path/to/oz_chapters.jsonl
    python examples/benchmarks/ablate_lexical.py path/to/judged.json

Collections as of bench_lexical.py. Intervals are paired bootstraps over queries, of the difference to the product.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from bench_lexical import Collection, Vectors, cell, collection_of

from dragon_finetune.evaluation.metrics import ndcg_at_10
from dragon_finetune.lexical import learning, sketch
from dragon_finetune.lexical.joining import join_documents, join_queries
from dragon_finetune.lexical.lexicon import SHARE
from dragon_finetune.lexical.sketch import Sketcher


class AllHashed(Sketcher):
    """No word has a dimension of its own."""

    _own = property(lambda self: 0)  # type: ignore[assignment]


class OneLong(Sketcher):
    """A query's sketch is one long whatever its words tell."""

    def queries(self, texts):
        sketches = super().queries(texts)
        sizes = np.linalg.norm(sketches, axis=1, keepdims=True)
        return np.divide(sketches, sizes, out=np.zeros_like(sketches), where=sizes > 0)


class Squared(Sketcher):
    """A query's sketch is as long as the square of its words' mean rarity."""

    def _rarity(self, words):
        return super()._rarity(words) ** 2 / sketch._TELLING


def scores(vectors: Vectors, collection: Collection, kind: type[Sketcher], share: float, endings: bool) -> np.ndarray:
    """Return nDCG@10 of each query with one thing changed."""
    before = learning.Sketcher, learning.endings_of
    learning.Sketcher = kind  # type: ignore[misc]
    if not endings:
        learning.endings_of = lambda texts: None
    try:
        sketcher = kind(learning.learn(collection.texts, share=share))
    finally:
        learning.Sketcher, learning.endings_of = before  # type: ignore[misc]
    texts = join_documents(vectors.texts, sketcher.documents(collection.texts), share)
    queries = join_queries(vectors.queries, sketcher.queries(collection.queries), share)
    found = zip(queries @ texts.T, collection.right, strict=True)
    return np.array([ndcg_at_10(row, right) for row, right in found])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection")
    parser.add_argument("chapters", type=Path, nargs="?")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        collection = collection_of(options.collection, options.chapters, Path(folder))
    vectors = Vectors(collection, "embedded")
    product = scores(vectors, collection, Sketcher, SHARE, True)
    rows = {
        "the product": (Sketcher, SHARE, True),
        "no dimension of its own for any word": (AllHashed, SHARE, True),
        "endings kept": (Sketcher, SHARE, False),
        "a query's words one long": (OneLong, SHARE, True),
        "as long as rarity squared": (Squared, SHARE, True),
        **{f"share {share}": (Sketcher, share, True) for share in (0.2, 0.3, 0.4, 0.6, 0.7, 0.8)},
    }
    for name, changed in rows.items():
        print(f"{name:<38} {cell(product, scores(vectors, collection, *changed))}", flush=True)


if __name__ == "__main__":
    main()
