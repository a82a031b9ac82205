"""What a model folder has beside its model: a lexicon, whose words go into the vectors, and a level of distances."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.lexical.joining import join_documents, join_others, join_queries
from dragon_finetune.lexical.level import Level
from dragon_finetune.lexical.lexicon import Lexicon
from dragon_finetune.lexical.sketch import Sketcher
from dragon_finetune.model_folder import Role
from dragon_finetune.model_place import LEVEL, LEXICON


class Joiner:
    """Joins words and level to dense vectors.

    Args:
        lexicon: of the corpus, if words are joined.
        level: of the distances, if they are kept.
    """

    def __init__(self, lexicon: Lexicon | None, level: Level | None) -> None:
        self.lexicon, self.level = lexicon, level
        self.sketcher = Sketcher(lexicon) if lexicon else None
        self.more = (lexicon.dimensions + 1 if lexicon else 0) + (1 if level else 0)
        """Numbers of a vector that are not the dense model's."""

    def join(self, dense: Vectors, texts: Sequence[str], role: Role | None) -> Vectors:
        """Return unit vectors, (texts, dense + more).

        Args:
            dense: unit vectors, (texts, dense), of
            texts: in the role
            role: of which documents and queries differ. Texts without one (a chunker's sentences) are compared with
                their like: their cosines are those of the dense vectors.
        """
        vectors = dense if self.sketcher is None else self._with_words(self.sketcher, dense, texts, role)
        return self.level.apply(vectors, role) if self.level else vectors

    def _with_words(self, sketcher: Sketcher, dense: Vectors, texts: Sequence[str], role: Role | None) -> Vectors:
        share = sketcher.lexicon.share
        if role == "document":
            return join_documents(dense, sketcher.documents(texts), share)
        if role == "query":
            return join_queries(dense, sketcher.queries(texts), share)
        return join_others(dense, sketcher.lexicon.dimensions)


def joiner_of(folder: Path) -> Joiner | None:
    """Return what a model folder joins to its dense vectors; None: nothing. Raises ModelError for damaged files."""
    files = [folder / LEXICON, folder / LEVEL]
    states = [(file.stat().st_mtime_ns, file.stat().st_size) if file.is_file() else None for file in files]
    return _read(folder, *states) if any(states) else None


@lru_cache(maxsize=8)
def _read(folder: Path, lexicon: object, level: object) -> Joiner:
    return Joiner(
        Lexicon.load(folder / LEXICON) if lexicon else None,
        Level.load(folder / LEVEL) if level else None,
    )
