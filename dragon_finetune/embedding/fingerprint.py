"""What a vector depends on: its encoder's fingerprint and its text's key. Needs no torch: a check takes no time."""

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.model_place import CARD, TRAINING_QUERIES

# Files of a model folder that no vector depends on.
_BESIDE_THE_POINT = {
    CARD,
    TRAINING_QUERIES,
    "README.md",
    "config_sentence_transformers.json",
    ".gitattributes",
    "data_config.json",
}


def fingerprint(folder: ModelFolder, *, truncate_dim: int | None = None) -> str:
    """Return a hash (32 hex digits, BLAKE2b) of everything that changes a vector.

    That is: weights, tokenizer, pooling and the other module settings as they lie in the folder, the prompts, the
    limit, the dimension. Vectors are always normalised here, so that needs no entry.
    """
    digest = hashlib.blake2b(digest_size=16)
    inputs = {"prompts": vars(folder.prompts), "limit": folder.limit, "truncate_dim": truncate_dim}
    digest.update(json.dumps(inputs, sort_keys=True).encode())
    for file in _model_files(folder.path):
        state = file.stat()
        digest.update(file.relative_to(folder.path).as_posix().encode())
        digest.update(_file_hash(file, state.st_size, state.st_mtime_ns))
    return digest.hexdigest()


def vector_key(text: str, overflow: str = "") -> bytes:
    """Return the key (16 bytes, BLAKE2b) under which an encoder's vector of a document is kept.

    Args:
        text: of the document.
        overflow: for a text over the model's limit the rule that brought it within ("split", "truncate"), which its
            vector depends on; for any other text nothing.
    """
    return hashlib.blake2b(text.encode(), digest_size=16, person=overflow.encode()).digest()


@lru_cache(maxsize=256)
def _file_hash(file: Path, size: int, modified_ns: int) -> bytes:
    # Size and time are arguments so that a file rewritten within one process is hashed again.
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").digest()


def _model_files(path: Path) -> Iterator[Path]:
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        hidden = any(part.startswith(".") for part in inside.parts)
        if file.is_file() and not hidden and inside.as_posix() not in _BESIDE_THE_POINT:
            yield file
