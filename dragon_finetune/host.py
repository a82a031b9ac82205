"""What a host calls: find the plugins, and build the embedder, chunker or trainer that its configuration names."""

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from dragon_finetune import hookspecs
from dragon_finetune.errors import DragonFinetuneError, PluginError, suggest
from dragon_finetune.hookspecs import Chunker, Embedder, Trainer
from dragon_finetune.settings import read_switch

Factory = Callable[[Mapping[str, Any]], Any]
_LONGEST_REASON = 500
_MADE: dict[str, type] = {"embedder": Embedder, "chunker": Chunker, "trainer": Trainer}
KINDS = {"embedder": "codex_embedders", "chunker": "codex_chunkers", "trainer": "codex_trainers"}


@dataclass(frozen=True)
class Offer:
    """One name that one plugin offers."""

    kind: str
    name: str
    plugin: str
    factory: Factory = field(repr=False)


@dataclass(frozen=True)
class Plugins:
    """The installed plugins: what they offer, and which could not be used and why."""

    manager: pluggy.PluginManager
    offers: list[Offer]
    failures: dict[str, str]


def plugin_manager() -> pluggy.PluginManager:
    """Return a new manager with every plugin that loads; see `find_plugins` for those that do not."""
    return find_plugins().manager


def find_plugins() -> Plugins:
    """Return all installed plugins. One that fails is named with its reason and skipped; it takes nobody down."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    failures: dict[str, str] = {}
    for entry in entry_points(group=hookspecs.PROJECT):
        label = _label(entry)
        reason = _reason_of_failure(partial(_load, manager, entry, label))
        if reason is not None:
            failures[label] = reason
            if manager.has_plugin(label):
                manager.unregister(name=label)
    offers = [offer for kind in KINDS for offer in _offers(manager, kind, failures)]
    return Plugins(manager, offers, failures)


def _reason_of_failure(act: Callable[[], Any]) -> str | None:
    """Run what a plugin does and return why it failed, None if it did not; what it prints goes to stderr.

    A plugin may raise anything, or exit; only Ctrl-C is the user's own.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            act()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
    return None


def _label(entry: EntryPoint) -> str:
    distribution = f" ({entry.dist.name} {entry.dist.version})" if entry.dist else ""
    return f"{entry.name}{distribution}"


def _load(manager: pluggy.PluginManager, entry: EntryPoint, label: str) -> None:
    _register(manager, entry.load(), label)


def _register(manager: pluggy.PluginManager, plugin: Any, label: str) -> None:
    if isinstance(plugin, type):
        raise PluginError("the entry point is a class; point it at a module or an instance")
    manager.register(plugin, name=label)
    manager.check_pending()  # pluggy accepts a mistyped hook until asked
    if not any(caller.name in KINDS.values() for caller in manager.get_hookcallers(plugin) or ()):
        raise PluginError(f"it implements none of the hooks {', '.join(KINDS.values())}")


def _offers(manager: pluggy.PluginManager, kind: str, failures: dict[str, str]) -> list[Offer]:
    offers = []
    for implementation in getattr(manager.hook, KINDS[kind]).get_hookimpls():
        # One by one, so that a plugin that raises is skipped and the others still answer.
        factories: dict[str, Factory] = {}
        reason = _reason_of_failure(partial(_fill, factories, implementation))
        if reason is not None:
            failures[implementation.plugin_name] = f"{KINDS[kind]}: {reason}"
            continue
        offers += [Offer(kind, name, implementation.plugin_name, factory) for name, factory in factories.items()]
    return sorted(offers, key=lambda offer: (offer.name, offer.plugin))


def _fill(factories: dict[str, Factory], hook: Any) -> None:
    answer = dict(hook.function())
    for name, factory in answer.items():
        if not isinstance(name, str) or not callable(factory):
            raise PluginError(f"it offers {name!r:.60}: {factory!r:.60}; expected a name with a factory to call")
    factories.update(answer)


def create_embedder(config: Mapping[str, Any], *, name: str | None = None) -> Embedder:
    """Return the embedder that the switch names (`embedder:`, or EMBEDDER in .env or the environment).

    Args:
        config: the host's whole configuration (the parsed codex.yaml).
        name: an embedder's name that beats the switch.

    Raises:
        PluginError: no plugin offers that name (the known ones are listed), or two do. `host` means that the host's
            own embedder is to run, so a host asks only when the switch says something else.
        SettingsError: bad options of that embedder.
    """
    chosen: Embedder = _create("embedder", name or read_switch(config).embedder, config)
    return chosen


def create_chunker(config: Mapping[str, Any], *, name: str | None = None) -> Chunker:
    """Return the chunker that the switch names (`chunker:`; default `token_aware`). Raises as `create_embedder`."""
    chosen: Chunker = _create("chunker", name or read_switch(config).chunker or "token_aware", config)
    return chosen


def create_trainer(config: Mapping[str, Any], *, name: str = "sentence_transformers") -> Trainer:
    """Return the trainer `name`, set up from the section `training:`. Raises as `create_embedder`."""
    chosen: Trainer = _create("trainer", name, config)
    return chosen


def _create(kind: str, name: str, config: Mapping[str, Any]) -> Any:
    plugins = find_plugins()
    offers = [offer for offer in plugins.offers if offer.kind == kind]
    matching = [offer for offer in offers if offer.name == name]
    if not matching:
        failed = "".join(f" Plugin {label} failed to load: {why}." for label, why in plugins.failures.items())
        raise PluginError(f"No plugin offers the {kind} {name!r}. {suggest(name, {o.name for o in offers})}{failed}")
    if len(matching) > 1:
        owners = " and ".join(offer.plugin for offer in matching)
        raise PluginError(f"The {kind} {name!r} is offered by {owners}. Uninstall one of them.")
    return _made_by(matching[0], config)


def _made_by(offer: Offer, config: Mapping[str, Any]) -> Any:
    try:
        made = offer.factory(config)
    except (DragonFinetuneError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise PluginError(
            f"{offer.plugin} could not make the {offer.kind} {offer.name!r} ({type(error).__name__}: {error})."
        ) from error
    if not isinstance(made, _MADE[offer.kind]):
        wanted = _MADE[offer.kind].__name__
        raise PluginError(f"{offer.plugin} made the {offer.kind} {offer.name!r} as {made!r:.60}, which is no {wanted}.")
    return made
