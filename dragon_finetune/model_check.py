"""Whether a model folder is complete: no file missing, no weights cut short."""

import json
import struct
from pathlib import Path

from dragon_finetune.errors import ModelError
from dragon_finetune.model_layout import read_optional, transformer_folders

_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model",
                    "sentencepiece.bpe.model", "tokenizer_config.json")  # fmt: skip


def check_complete(path: Path) -> None:
    """Raise ModelError when a sentence-transformers folder lacks a file, or a weights file is cut short."""
    if not (path / "modules.json").is_file():
        raise ModelError(
            f"{path} is no sentence-transformers folder: modules.json is missing. For a plain transformers model, "
            "save SentenceTransformer(path) once; for a half-written folder, train or copy it again."
        )
    modules = read_optional(path / "modules.json")
    for module in modules if isinstance(modules, list) else []:
        if module.get("type", "").endswith("Pooling") and not (path / module["path"] / "config.json").is_file():
            raise ModelError(
                f"{path} is half-written: {module['path']}/config.json is missing. Train or copy it again."
            )
    kinds = [module.get("type", "").rpartition(".")[2] for module in modules if isinstance(modules, list)]
    if kinds[:1] == ["Transformer"] and "Pooling" not in kinds:
        raise ModelError(
            f"{path} has no pooling: modules.json lists {', '.join(kinds)}. Add a Pooling module and save."
        )
    for folder in transformer_folders(path):
        if (folder / "config.json").is_file() and not any((folder / name).is_file() for name in _TOKENIZER_FILES):
            raise ModelError(
                f"{folder} has no tokenizer (none of {', '.join(_TOKENIZER_FILES)}). Copy it from the base model."
            )
    files = [file for pattern in ("*.safetensors", "*.bin") for file in path.rglob(pattern)]
    weights = [file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not weights:
        raise ModelError(f"{path} is half-written: it has no weights (*.safetensors). Train or copy it again.")
    for file in weights:
        if file.suffix == ".safetensors" and not is_whole(file):
            raise ModelError(f"{file} is cut short. Train or copy the model again.")


def is_whole(file: Path) -> bool:
    """Tell whether a safetensors file holds all that its header promises."""
    # safetensors: 8 bytes header length (little endian), the JSON header, then the tensors' bytes.
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(min(length, size)))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (struct.error, ValueError, KeyError, TypeError, AttributeError):  # what stands there is no header
        return False
    return bool(size == 8 + length + max(ends, default=0))
