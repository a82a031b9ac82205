"""Where the parts of a model folder lie: in every layout that sentence-transformers writes, or once wrote."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dragon_finetune.errors import DataError, ModelError
from dragon_finetune.files import read_json

# Asym is what Router was called before sentence-transformers 5.
_ROUTERS = ("Router", "Asym")


@dataclass(frozen=True)
class Module:
    """One module: the last part of its class's name ("Transformer"), and the folder of its files."""

    kind: str
    path: Path


@dataclass(frozen=True)
class Layout:
    """The modules of a folder.

    Attributes:
        modules: all, those behind a router included.
        inputs: by role ("query", "document", None) the module that reads the text.
        routed: whether a text's way through the model depends on its role.
    """

    modules: tuple[Module, ...]
    inputs: Mapping[str | None, Module]
    routed: bool


def read_layout(path: Path) -> Layout:
    """Return the layout of a sentence-transformers folder, as its modules.json and its routers say.

    Raises:
        ModelError: modules.json or a router's file is missing, damaged, names a place outside the folder, or has no
            way for one of the roles.
    """
    listed = read_optional(path / "modules.json")
    try:
        top = [Module(_kind(entry["type"]), _inside(path, entry.get("path", ""))) for entry in listed]
        first = top[0]
    except (TypeError, KeyError, AttributeError, IndexError):
        raise ModelError(f"{path}/modules.json does not list modules. Train or copy the model again.") from None
    routers = [_Router(module) for module in top if module.kind in _ROUTERS]
    behind = [module for router in routers for module in router.modules()]
    roles = ("query", "document", None)
    ways = {role: [router.first(role) for router in routers] for role in roles}
    inputs = {role: ways[role][0] if first.kind in _ROUTERS else first for role in roles}
    return Layout((*top, *behind), inputs, bool(routers))


class _Router:
    def __init__(self, module: Module) -> None:
        self._path = module.path
        content = read_optional(module.path / "router_config.json") or read_optional(module.path / "config.json")
        try:
            self._types: dict[str, str] = dict(content["types"])
            self._structure: dict[str, list[str]] = dict(content["structure"])
            self._parameters: dict[str, Any] = dict(content.get("parameters") or {})
        except (TypeError, KeyError, ValueError):
            raise ModelError(
                f"{module.path} has no router_config.json with types and structure. Copy it again."
            ) from None

    def modules(self) -> Iterator[Module]:
        return (self._module(name) for name in self._types)

    def first(self, role: str | None) -> Module:
        route = self._route(role)
        try:
            return self._module(self._structure[route or ""][0])
        except (KeyError, IndexError):
            raise ModelError(
                f"{self._path}: the router has no way for {role or 'a text without a role'} (routes: "
                f"{', '.join(self._structure)}). Name its routes query and document, or give it route_mappings."
            ) from None

    def _module(self, name: str) -> Module:
        return Module(_kind(self._types[name]), _inside(self._path, name))

    def _route(self, role: str | None) -> str | None:
        # The order of sentence-transformers' Router._resolve_route, for a text.
        mapped = {ast.literal_eval(key): route for key, route in (self._parameters.get("route_mappings") or {}).items()}
        for key in ((role, "text"), (role, None), (None, "text"), (None, None)):
            if key in mapped:
                return str(mapped[key])
        named = next((name for name in (role, "text") if name in self._structure), None)
        if named or role:
            return named
        default = self._parameters.get("default_route")
        return default or (next(iter(self._structure), None) if self._parameters.get("allow_empty_key", True) else None)


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def _inside(path: Path, part: str) -> Path:
    pure = PurePosixPath(part)
    if pure.is_absolute() or ".." in pure.parts:
        raise ModelError(f"{path} names {part!r} as a module's place, which is outside of it. Do not use this model.")
    return path / part


def read_optional(path: Path) -> Any:
    """Return the content of a model's JSON file, {} if there is none; raises ModelError if it is damaged."""
    if not path.exists():
        return {}
    try:
        return read_json(path)
    except DataError as error:
        raise ModelError(f"{error} Train or copy the model again.") from None
