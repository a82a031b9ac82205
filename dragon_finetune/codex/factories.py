"""The factories of managers of generations B and C, and B's table of their settings, exchanged for ours in memory."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from dragon_finetune.codex.made import our_embedder
from dragon_finetune.codex.manager import Manager
from dragon_finetune.codex.modules import OURS


def replace_factory(module: Any) -> None:
    """Let the host's factory give our manager, where the switch says so.

    Generation B has a registry and `create_embedding_manager(name, config_dict)`; C's takes the dict alone.

    Raises:
        LookupError: the module has another form.
    """
    create = getattr(module, "create_embedding_manager", None)
    registry = getattr(module, "EMBEDDING_MANAGERS", None)
    if callable(create) and len(_required(create)) == 1:
        module.create_embedding_manager = _ours_or(create, module.__name__)
    elif isinstance(registry, dict):
        for name, plain in list(registry.items()):
            registry[name] = _ours_or(plain, module.__name__)
        for name in OURS:
            registry.setdefault(name, _ours_or(None, module.__name__))
        replace_settings(module)
    else:
        raise LookupError("it has neither a registry EMBEDDING_MANAGERS nor create_embedding_manager(config_dict)")


def replace_settings(module: Any) -> None:
    """Let `get_embedding_manager_config` answer for our names too; the host's knows its own alone."""
    look_up = getattr(module, "get_embedding_manager_config", None)
    if callable(look_up):
        module.get_embedding_manager_config = _settings_or(look_up)


def _required(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [each.name for each in parameters if each.default is each.empty and each.kind < each.VAR_POSITIONAL]


def _ours_or(plain: Callable[..., Any] | None, factory: str) -> Callable[..., Any]:
    def build(config_dict: Any = None) -> Any:
        embedder = our_embedder()
        if embedder is not None:
            return Manager(embedder, config_dict, factory)
        if plain is None:
            raise ValueError("The switch says `host`, whose own embedder has another name. Set EMBEDDER=finetuned.")
        return plain(config_dict)

    return wraps(plain)(build) if plain else build


def _settings_or(look_up: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(look_up)
    def get(*arguments: Any, **options: Any) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = look_up(*arguments, **options)
        except (ValueError, KeyError):
            asked = [getattr(each, "value", each) for each in (*arguments, *options.values())]
            if not any(isinstance(each, str) and each in OURS for each in asked):
                raise
            return {}
        return found

    return get
