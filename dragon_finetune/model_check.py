"""Whether a model folder is complete: no file missing, no weights cut short."""

import json
import os
import struct
from pathlib import Path
from typing import Any

from dragon_finetune.errors import ModelError
from dragon_finetune.model_layout import Layout, read_layout

_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model",
                    "sentencepiece.bpe.model", "tokenizer_config.json")  # fmt: skip


def check_complete(path: Path) -> Layout:
    """Return the layout of a sentence-transformers folder that lacks no file, and whose weights are whole.

    Raises:
        ModelError: something is missing or cut short; names the file and says what to do.
    """
    if not (path / "modules.json").is_file():
        raise ModelError(
            f"{path} is no sentence-transformers folder: modules.json is missing. For a plain transformers model, "
            "save SentenceTransformer(path) once; for a half-written folder, train or copy it again."
        )
    layout = read_layout(path)
    _check_modules(path, layout)
    files = [file for pattern in ("*.safetensors", "*.bin") for file in path.rglob(pattern)]
    weights = [file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not weights:
        raise ModelError(f"{path} is half-written: it has no weights (*.safetensors). Train or copy it again.")
    for file in weights:
        if file.suffix == ".safetensors" and not is_whole(file):
            raise ModelError(f"{file} is cut short. Train or copy the model again.")
    return layout


def _check_modules(path: Path, layout: Layout) -> None:
    for module in layout.modules:
        if module.kind == "Pooling" and not (module.path / "config.json").is_file():
            missing = (module.path / "config.json").relative_to(path).as_posix()
            raise ModelError(f"{path} is half-written: {missing} is missing. Train or copy it again.")
    kinds = [module.kind for module in layout.modules]
    if any(module.kind == "Transformer" for module in layout.inputs.values()) and "Pooling" not in kinds:
        raise ModelError(
            f"{path} has no pooling: modules.json lists {', '.join(kinds)}. Add a Pooling module and save."
        )
    for module in layout.inputs.values():
        found = any((module.path / name).is_file() for name in _TOKENIZER_FILES)
        if not found and (module.path / "config.json").is_file():
            raise ModelError(
                f"{module.path} has no tokenizer (none of {', '.join(_TOKENIZER_FILES)}). Copy it from the base model."
            )


def tensor_names(file: Path) -> list[str]:
    """Return the names of the tensors in a whole safetensors file."""
    with file.open("rb") as stream:
        return [name for name in _header(stream)[1] if name != "__metadata__"]


def _header(stream: Any) -> tuple[int, dict[str, Any]]:
    # safetensors: 8 bytes header length (little endian), the JSON header, then the tensors' bytes.
    (length,) = struct.unpack("<Q", stream.read(8))
    return length, json.loads(stream.read(min(length, os.fstat(stream.fileno()).st_size)))


def is_whole(file: Path) -> bool:
    """Tell whether a safetensors file holds all that its header promises."""
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            length, header = _header(stream)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (struct.error, ValueError, KeyError, TypeError, AttributeError):  # what stands there is no header
        return False
    return bool(size == 8 + length + max(ends, default=0))
