"""Where each generation of Dragon's Codex keeps what is replaced."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# HOST_CONTRACT 0, 2, 11; the last is generation C's; the second is for hosts started inside `src`.
PACKAGES = ("src.utils.", "utils.", "src.")
EMBEDDING_A = "util_embedding"
CHUNKING_A = "util_chunking_functions"
CHUNKING_B = "chunking.chunking_strategies"
CONFIG = ("config", "util_config", "config.config")
FACTORY = "embedding.embedding_factory"
_FACTORY_MARK = b"def create_embedding_manager("
OURS = ("base", "finetuned")
OPTIONS = ("EMBEDDER", "CHUNKER", "BASE_", "FINETUNED_")


def file_of(module: str) -> Path | None:
    """Return the file of a module named without its package, as it lies in the current folder."""
    roots = (Path(*package.rstrip(".").split(".")) for package in PACKAGES)
    files = (root.joinpath(*module.split(".")).with_suffix(".py") for root in roots)
    return next((file for file in files if file.is_file()), None)


def factories() -> dict[str, Path]:
    """Return the modules of the current folder that define a factory of managers, by full name, with their files.

    Generation C moved it, so it is looked for; milliseconds for the hundred files of a codex.
    """
    files = [*Path("src").rglob("*.py"), *Path().glob("utils/embedding/*.py")]
    return {".".join(file.with_suffix("").parts): file for file in files if _FACTORY_MARK in _bytes_of(file)}


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def loaded(names: tuple[str, ...]) -> Iterator[Any]:
    """Yield the host's modules of these names that are imported already."""
    for package in PACKAGES:
        for name in names:
            if (module := sys.modules.get(package + name)) is not None:
                yield module
