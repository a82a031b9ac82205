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
    """One module: its class's name, and the folder of its files."""

    type: str
    path: Path

    @property
    def kind(self) -> str:
        """Return the last part of its class's name ("Transformer")."""
        return self.type.rpartition(".")[2]


@dataclass(frozen=True)
class Layout:
    """The modules of a folder.

    Attributes:
        modules: all, those behind a router included.
        ways: by role ("query", "document", None) the modules that a text goes through, in order.
        routed: whether a text's way through the model depends on its role.
    """

    modules: tuple[Module, ...]
    ways: Mapping[str | None, tuple[Module, ...]]
    routed: bool

    @property
    def inputs(self) -> Mapping[str | None, Module]:
        """Return by role the module that reads the text."""
        return {role: way[0] for role, way in self.ways.items()}


def read_layout(path: Path) -> Layout:
    """Return the layout of a sentence-transformers folder, as its modules.json and its routers say.

    Raises:
        ModelError: modules.json or a router's file is missing, damaged, names a place outside the folder, or has no
            way for one of the roles.
    """
    listed = read_optional(path / "modules.json")
    try:
        top = [Module(str(entry["type"]), _inside(path, entry.get("path", ""))) for entry in listed]
    except (TypeError, KeyError, AttributeError):
        top = []
    if not top:
        raise ModelError(f"{path}/modules.json does not list modules. Train or copy the model again.")
    routers = {module: _Router(module) for module in top if module.kind in _ROUTERS}
    behind = [module for router in routers.values() for module in router.modules()]
    ways = {
        role: tuple(part for each in top for part in (routers[each].way(role) if each in routers else [each]))
        for role in ("query", "document", None)
    }
    return Layout((*top, *behind), ways, bool(routers))


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

    def way(self, role: str | None) -> list[Module]:
        names = self._structure.get(self._route(role) or "") or []
        if not names or not set(names) <= self._types.keys():
            raise ModelError(
                f"{self._path}: the router has no way for {role or 'a text without a role'} (routes: "
                f"{', '.join(self._structure)}). Name its routes query and document, or give it route_mappings."
            )
        return [self._module(name) for name in names]

    def _module(self, name: str) -> Module:
        return Module(self._types[name], _inside(self._path, name))

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
