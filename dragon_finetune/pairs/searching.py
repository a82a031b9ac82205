"""Which search a corpus needs: one that compares everything, or one that is done in time."""

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from dragon_finetune.pairs.corpus import Corpus
from dragon_finetune.pairs.far_searcher import FarSearcher
from dragon_finetune.pairs.searcher import Searcher

if TYPE_CHECKING:
    from dragon_finetune.embedding.embedder import FineTunedEmbedder

APPROXIMATE_FROM = 50_000
"""Passages from which comparing every query with each is given up; a round number, not where it was measured to pay."""


def search_over(
    corpus: Corpus,
    embedder: "FineTunedEmbedder",
    folder: Path | None = None,
    approximate_from: int = APPROXIMATE_FROM,
) -> Searcher | FarSearcher:
    """Return the search over a corpus: exact below so many passages, else approximate, its recall measured.

    Args:
        corpus: the passages.
        embedder: of the base.
        folder: where an approximate search keeps vectors, for the next run too; default: one that goes with it.
        approximate_from: how many passages.
    """
    if len(corpus.passages) < approximate_from:
        return Searcher(corpus, embedder)
    if folder is not None:
        return FarSearcher(corpus, embedder, folder)
    passing = tempfile.mkdtemp(prefix="dragon-finetune-")
    search = FarSearcher(corpus, embedder, Path(passing))
    # What is still mapped can't be deleted on Windows.
    weakref.finalize(search, shutil.rmtree, passing, ignore_errors=True)
    return search
