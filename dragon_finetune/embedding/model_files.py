"""Which files of a model folder a vector depends on, and what of their content counts."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from dragon_finetune.embedding.model_forms import same_in_both
from dragon_finetune.model_layout import read_layout, read_optional

# Of the root only these, for people and other engines keep their things there too.
_AT_THE_ROOT = re.compile(
    r"(modules|config|router_config|adapter_config|sentence_\w+_config|tokenizer|tokenizer_config|special_tokens_map"
    r"|added_tokens|vocab)\.json|(vocab|merges)\.txt"
)
_ANYWHERE = re.compile(r".+\.(safetensors|bin|model|py)")
_IN_A_MODULE = re.compile(r".+\.(json|txt)")
_LISTS = ("modules.json", "router_config.json")
# Who wrote a file, and with what: no vector depends on it.
_WRITERS_NAMES = ("_name_or_path", "name_or_path", "transformers_version")


def model_files(folder: Path) -> Iterator[Path]:
    """Yield the files that a vector depends on: of the root, and of the modules that modules.json names; in order."""
    for place in _module_folders(folder):
        yield from _that_count(folder, place, _AT_THE_ROOT if place == folder else _IN_A_MODULE)


def contents(folder: Path, *, as_written: bool = False) -> Iterator[tuple[str, bytes]]:
    """Yield the place of each file that a vector depends on and the hash of what counts in it (`content_hash`)."""
    for file in model_files(folder):
        yield file.relative_to(folder).as_posix(), content_hash(file, as_written=as_written)


def contents_of_documents(folder: Path, *, as_written: bool = False) -> Iterator[tuple[str, bytes]]:
    """Yield `contents` of what documents go through, as if that lay in a folder of its own, without a router.

    Such a folder is laid out as sentence-transformers does: the first module at the root.
    """
    way = read_layout(folder).ways["document"]
    places = ["", *(f"{number}_{module.kind}" for number, module in enumerate(way[1:], 1))]
    listed = [
        {"idx": number, "name": str(number), "path": place, "type": module.type}
        for number, (place, module) in enumerate(zip(places, way, strict=True))
    ]
    root = {file.name: file for file in _that_count(folder, way[0].path, _AT_THE_ROOT) if file.name not in _LISTS}
    for name in sorted([*root, "modules.json"]):
        file = root.get(name)
        yield name, content_hash(file, as_written=as_written) if file else _hash_of("modules.json", listed, as_written)
    for place, module in sorted(zip(places[1:], way[1:], strict=True)):
        for file in _that_count(folder, module.path, _IN_A_MODULE):
            inside = file.relative_to(module.path).as_posix()
            yield f"{place}/{inside}", content_hash(file, as_written=as_written)


def _that_count(folder: Path, place: Path, private: re.Pattern[str]) -> Iterator[Path]:
    inside: Iterable[Path] = place.iterdir() if private is _AT_THE_ROOT else place.rglob("*")
    files = [file for file in sorted(inside) if file.is_file() and not _is_hidden(file.relative_to(folder))]
    has_safetensors = any(file.suffix == ".safetensors" for file in files)
    for file in files:
        # Libraries take safetensors where both forms of the weights are there.
        superseded = file.suffix == ".bin" and has_safetensors
        if (private.fullmatch(file.name) or _ANYWHERE.fullmatch(file.name)) and not superseded:
            yield file


def _module_folders(folder: Path) -> list[Path]:
    named = {module.path for module in read_layout(folder).modules}
    return [folder, *(place for place in sorted(named) if place != folder and place.is_dir())]


def _is_hidden(inside: Path) -> bool:
    return any(part.startswith(".") for part in inside.parts)


def content_hash(file: Path, *, as_written: bool = False) -> bytes:
    """Return the hash (BLAKE2b) of what counts in a file: JSON by its values, texts without regard to line ends.

    Args:
        file: of a model folder.
        as_written: keep a model's two forms apart (`model_forms`). Default: they are one, and a file that says nothing
            but defaults has the hash b"", as if it were not there.
    """
    return _hashed(file, as_written, *_state(file))


def raw_hash(file: Path) -> bytes:
    """Return the hash (BLAKE2b) of a file's bytes."""
    return _raw_hashed(file, *_state(file))


def _state(file: Path) -> tuple[int, ...]:
    # The time of change too, which nobody can set: a file may be filled again with its old size and time.
    state = file.stat()
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


@lru_cache(maxsize=1024)
def _raw_hashed(file: Path, *_: int) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").digest()


@lru_cache(maxsize=1024)
def _hashed(file: Path, as_written: bool, *state: int) -> bytes:
    if file.suffix == ".json":
        return _hash_of(file.name, _values(file), as_written)
    if file.suffix in (".txt", ".py"):
        return hashlib.blake2b(file.read_bytes().replace(b"\r\n", b"\n")).digest()
    return _raw_hashed(file, *state)


def _hash_of(name: str, values: Any, as_written: bool) -> bytes:
    counted = values if as_written else same_in_both(name, values)
    said = counted or as_written
    return hashlib.blake2b(json.dumps(counted, sort_keys=True).encode()).digest() if said else b""


def _values(file: Path) -> Any:
    values = read_optional(file)
    if isinstance(values, dict):
        return {name: value for name, value in values.items() if name not in _WRITERS_NAMES}
    return values
