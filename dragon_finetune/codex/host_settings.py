"""What the host's Config says: of the object where there is one, else of its source, of which nothing is run."""

import ast
import os
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from dragon_finetune.codex.modules import CONFIG, file_of, loaded
from dragon_finetune.files import read_env_file


def host_setting(name: str) -> Any:
    """Return an attribute of the host's Config, or what a dict in it has under that key; None where nothing has it.

    The host makes its Config when it first needs it, in the module's `_config` (HOST_CONTRACT 11). Before that, and for
    `--explain`, which imports nothing, the source is read, so that both answer alike.
    """
    return next(host_settings(name), None)


def host_settings(name: str) -> Iterator[Any]:
    """Yield all that the host's Config says of a name: the attribute first, then the dicts (one per use)."""
    made = [module._config for module in loaded(CONFIG) if getattr(module, "_config", None) is not None]
    yield from _of_objects(name, made) if made else _of_source(name)


def is_computed(name: str) -> bool:
    """Tell whether the source sets an attribute to something that can't be read without running it."""
    return any(_names(node, name) and _literal(node.value) is None for node in _nodes() if isinstance(node, _ASSIGN))


def _of_objects(name: str, owners: list[Any]) -> Iterator[Any]:
    for owner in owners:
        value = getattr(owner, name, None)
        if value is not None:
            yield value.value if isinstance(value, Enum) else value
    for owner in owners:
        for held in [*vars(owner).values(), *vars(type(owner)).values()]:
            yield from _of_dicts(name, held)


def _of_dicts(name: str, held: Any) -> Iterator[Any]:
    if isinstance(held, Mapping):
        if (value := held.get(name)) is not None:
            yield value.value if isinstance(value, Enum) else value
        for each in held.values():
            yield from _of_dicts(name, each)


_ASSIGN = (ast.Assign, ast.AnnAssign)


def _of_source(name: str) -> Iterator[Any]:
    nodes = list(_nodes())
    said = [_literal(node.value) for node in nodes if isinstance(node, _ASSIGN) and _names(node, name)]
    # What is assigned last counts, as when it runs.
    yield from (value for value in reversed(said) if value is not None)
    for node in nodes:
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            values = [_literal(value) for key, value in pairs if key is not None and _literal(key) == name]
            yield from (value for value in values if value is not None)


def _names(node: ast.Assign | ast.AnnAssign, name: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(getattr(target, "attr", getattr(target, "id", None)) == name for target in targets)


def _nodes() -> Iterator[ast.AST]:
    for file in filter(None, map(file_of, CONFIG)):
        try:
            tree = ast.parse(file.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        yield from sorted(ast.walk(tree), key=lambda node: getattr(node, "lineno", 0))


def _literal(value: ast.expr | None) -> Any:
    if isinstance(value, ast.Call):
        return _of_environment(value)
    try:
        return ast.literal_eval(value) if value is not None else None
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _of_environment(call: ast.Call) -> Any:
    """Return what `os.getenv(NAME, default)` or `os.environ.get(...)` will give the host."""
    if getattr(call.func, "attr", getattr(call.func, "id", None)) not in ("getenv", "get") or not call.args:
        return None
    name = _literal(call.args[0])
    default = _literal(call.args[1]) if len(call.args) > 1 else None
    return variables().get(name, default) if isinstance(name, str) else None


def variables() -> dict[str, str]:
    """Return the environment as the host sees it: its `.env` beats what is exported (HOST_CONTRACT 3)."""
    return {**os.environ, **read_env_file()}
