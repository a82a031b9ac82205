"""Where the parts of a model folder lie, in each layout that sentence-transformers has had."""

from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError, ModelError
from dragon_finetune.files import read_json


def transformer_folders(path: Path) -> list[Path]:
    """Return the folders that hold a transformer and its tokenizer, in order: the root, a module's, or each route's."""
    modules = read_optional(path / "modules.json")
    first = modules[0] if isinstance(modules, list) and modules else {}
    place = path / str(first.get("path", ""))
    if not str(first.get("type", "")).endswith(".Router"):
        return [place]
    structure = read_optional(place / "router_config.json").get("structure", {})
    return list(dict.fromkeys(place / names[0] for names in structure.values() if names))


def read_optional(path: Path) -> Any:
    """Return the content of a model's JSON file, {} if there is none; raises ModelError if it is damaged."""
    if not path.exists():
        return {}
    try:
        return read_json(path)
    except DataError as error:
        raise ModelError(f"{error} Train or copy the model again.") from None
