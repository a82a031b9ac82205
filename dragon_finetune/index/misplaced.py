"""Vectors that belong to other texts: found by asking whose they are."""

from collections.abc import Sequence

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.index.agreement import SAME, cosines_to_stored
from dragon_finetune.index.batches import Batches
from dragon_finetune.index.chunk_files import ChunkFiles
from dragon_finetune.index.health import Finding
from dragon_finetune.index.sample import Sample
from dragon_finetune.index.ties import maker_of_untied
from dragon_finetune.model_folder import Role

_NEIGHBOURS = 128  # rows after a record in its file whose text a misplaced vector may belong to
_ASKED, _ASKED_OF_MANY = 8, 4  # records that are asked about, and where each has many rivals
ROLES: tuple[Role | None, ...] = ("document", None, "query")
_FAULT = (
    " One vector was kept per batch, for the first text of the batch: a fault of the host's embedder. Scores of such "
    "an index are those of random vectors. Embed it again."
)
_MIXED_UP = " Vectors and texts were stored out of step. Embed it again."


def find_misplaced(
    makers: Sequence[FineTunedEmbedder],
    wrong: Sample,
    everywhere: Sample,
    files: ChunkFiles | None,
    stored: Sequence[str],
) -> Finding | None:
    """Return what is wrong where vectors are some other text's; None if that can't be shown.

    Args:
        makers: whose the vectors may be.
        wrong: records whose vectors are none of these encoders' of their own texts.
        everywhere: those of all collections of the store.
        files: the chunk files, if they are known.
        stored: the texts of the collection (of a sample, where the files are not known).
    """
    if files:
        batches = Batches(files, set(stored))
        few = wrong.part(slice(_ASKED))
        lasts = [[batches.last_of[text]] if text in batches.last_of else [] for text in few.texts]
        found = _owner(makers, ROLES, few, lasts)
        if found or batches.evidence:
            return Finding("misplaced", _said(found) + batches.evidence + _FAULT)
    few = wrong.part(slice(_ASKED_OF_MANY))
    found = _owner(makers, ROLES[:1], few, _neighbours(few.texts, files) if files else [stored] * len(few))
    if found:
        return Finding("misplaced", _said(found) + (_MIXED_UP if files else _FAULT))
    maker = maker_of_untied(makers, ROLES, wrong, everywhere)
    if maker is None:
        return None
    return Finding(
        "misplaced",
        f"Its vectors belong to other texts: they are like those of {maker.model_path}, but no nearer to their own "
        f"texts than to those of other records.{_FAULT} --chunks FILE says whose they are.",
    )


def _said(found: tuple[str, str] | None) -> str:
    whose = f": {found[0]} holds the vector of {found[1][:50]!r}" if found else ""
    return f"Its vectors belong to other texts{whose}."


def _neighbours(texts: Sequence[str], files: ChunkFiles) -> list[Sequence[str]]:
    of_text: dict[str, Sequence[str]] = {}
    for chunks in files.by_file.values():
        all_texts = [chunk.text for chunk in chunks]
        for row, text in enumerate(all_texts):
            if text in texts:
                of_text.setdefault(text, all_texts[row : row + _NEIGHBOURS])
    return [of_text.get(text, texts) for text in texts]


def _owner(
    makers: Sequence[FineTunedEmbedder], roles: Sequence[Role | None], few: Sample, rivals: Sequence[Sequence[str]]
) -> tuple[str, str] | None:
    """Return the id of a record and the text whose vector it holds, if that is one of its rivals and not its own."""
    texts = list(dict.fromkeys(text for each in rivals for text in each))
    if not texts:
        return None
    places = {text: place for place, text in enumerate(texts)}
    for maker in makers:
        for role in roles:
            scores = few.unit @ maker.like(on_overflow="split").encode(texts, role=role).T
            own = cosines_to_stored(maker, few, role)
            for row, identity in enumerate(few.ids):
                best = max(rivals[row], key=lambda text: scores[row, places[text]], default=few.texts[row])
                if best != few.texts[row] and scores[row, places[best]] >= max(SAME, own[row]):
                    return identity, best
    return None
