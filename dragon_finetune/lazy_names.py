"""Public names of a package that are loaded at first use (PEP 562), so that importing it costs milliseconds."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: dict[str, Any], homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package.

    Args:
        package: its `globals()`.
        homes: public name -> the module within the package that has it.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package['__name__']}.{homes[name]}"), name)
        package[name] = value
        return value

    return get, lambda: sorted({*package, *homes})
