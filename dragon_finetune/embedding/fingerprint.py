"""What a vector depends on: its encoder's fingerprint and its text's key. Needs no torch: a check takes no time."""

import hashlib
import json

from dragon_finetune.embedding.model_files import content_hash, contents, contents_of_documents, raw_hash
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.model_place import CARD, LEVEL, LEXICON, TRAINING_QUERIES

# What the first version left out of a fingerprint; it took everything else that lay in the folder.
_FIRST_LEFT_OUT = {
    CARD,
    TRAINING_QUERIES,
    "README.md",
    "config_sentence_transformers.json",
    ".gitattributes",
    "data_config.json",
}
_JOINED = (LEXICON, LEVEL)


def fingerprint(folder: ModelFolder, *, truncate_dim: int | None = None, dense_only: bool = False) -> str:
    """Return a hash (32 hex digits, BLAKE2b) of everything that changes a vector, and of nothing else.

    That is: weights, tokenizer, pooling and the other modules' settings (`model_files`), the prompts, the limit, the
    dimension; the lexicon and the level of distances, unless it is of the dense vectors only. Vectors are always
    normalised here, so that needs no entry. Which of its two forms a folder is written in (`model_forms`) is no matter.
    """
    return _mark(folder, truncate_dim, dense_only)


def document_fingerprint(folder: ModelFolder, *, truncate_dim: int | None = None, dense_only: bool = False) -> str:
    """Return the fingerprint of what documents go through: what stored vectors depend on, an index, a shard.

    Without a router that is `fingerprint`. Behind one it is that of the documents' way alone, as if it lay in a folder
    of its own: of a model whose queries alone were trained it is the base's, so that the base's index is its own.
    """
    return _mark(folder, truncate_dim, dense_only, documents=folder.routed)


def has_common_layout(folder: ModelFolder) -> bool:
    """Tell whether a folder without a router is laid out so that its fingerprint is found again behind one."""
    return folder.routed or _mark(folder, None, False, documents=True) == fingerprint(folder)


def _mark(
    folder: ModelFolder,
    truncate_dim: int | None,
    dense_only: bool,
    as_written: bool = False,
    documents: bool = False,
) -> str:
    digest = _begun(folder, truncate_dim)
    joined = [] if dense_only else [file for name in _JOINED if (file := folder.path / name).is_file()]
    read = contents_of_documents if documents else contents
    more = [(file.name, content_hash(file, as_written=as_written)) for file in joined]
    for place, content in [*read(folder.path, as_written=as_written), *more]:
        if content:
            digest.update(place.encode())
            digest.update(content)
    return str(digest.hexdigest())


def is_mark_of(mark: str, folder: ModelFolder, *, truncate_dim: int | None = None, dense_only: bool = False) -> bool:
    """Tell whether a document's vector has this fingerprint by this encoder, today or by a version before."""
    # The second version told a folder's two forms apart; the third did not tell the ways behind a router apart.
    marks = (
        _mark(folder, truncate_dim, dense_only, as_written, documents)
        for documents in {folder.routed, False}
        for as_written in (False, True)
    )
    if mark in marks:
        return True
    has_more = any((folder.path / name).is_file() for name in _JOINED)
    return not has_more and mark == _first_fingerprint(folder, truncate_dim)


def _first_fingerprint(folder: ModelFolder, truncate_dim: int | None) -> str:
    digest = _begun(folder, truncate_dim)
    for file in sorted(folder.path.rglob("*")):
        inside = file.relative_to(folder.path)
        hidden = any(part.startswith(".") for part in inside.parts)
        if file.is_file() and not hidden and inside.as_posix() not in _FIRST_LEFT_OUT:
            digest.update(inside.as_posix().encode())
            digest.update(raw_hash(file))
    return str(digest.hexdigest())


def _begun(folder: ModelFolder, truncate_dim: int | None) -> "hashlib.blake2b":
    inputs = {"prompts": vars(folder.prompts), "limit": folder.limit, "truncate_dim": truncate_dim}
    return hashlib.blake2b(json.dumps(inputs, sort_keys=True).encode(), digest_size=16)


def vector_key(text: str, overflow: str = "") -> bytes:
    """Return the key (16 bytes, BLAKE2b) under which an encoder's vector of a document is kept.

    Args:
        text: of the document.
        overflow: for a text over the model's limit the rule that brought it within ("split", "truncate"), which its
            vector depends on; for any other text nothing.
    """
    return hashlib.blake2b(text.encode(), digest_size=16, person=overflow.encode()).digest()
