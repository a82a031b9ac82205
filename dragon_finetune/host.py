"""What a host calls: find the plugins, and build the embedder, chunker or trainer that its configuration names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from dragon_finetune import hookspecs
from dragon_finetune.errors import DragonFinetuneError, PluginError, suggest
from dragon_finetune.foreign import foreign, told
from dragon_finetune.hookspecs import Chunker, Embedder, Trainer
from dragon_finetune.settings import read_switch

Factory = Callable[[Mapping[str, Any]], Any]
KINDS = {"embedder": "codex_embedders", "chunker": "codex_chunkers", "trainer": "codex_trainers"}
PROTOCOLS: dict[str, type] = {"embedder": Embedder, "chunker": Chunker, "trainer": Trainer}


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
        try:
            with foreign():
                _register(manager, entry.load(), label)
        except DragonFinetuneError as error:
            _note(failures, label, error)
    offers = [offer for kind in KINDS for offer in _offers(manager, kind, failures)]
    return Plugins(manager, offers, failures)


def _note(failures: dict[str, str], label: str, error: DragonFinetuneError, where: str = "") -> None:
    why = where + (told(error) if error.__cause__ is None else str(error))
    failures[label] = f"{failures[label]}; {why}" if label in failures else why


def _label(entry: EntryPoint) -> str:
    named = f" ({entry.dist.name} {entry.dist.version})" if entry.dist and entry.dist.name else ""
    return f"{entry.name}{named}"


def _register(manager: pluggy.PluginManager, plugin: Any, label: str) -> None:
    if isinstance(plugin, type):
        raise PluginError("the entry point is a class; point it at a module or an instance")
    manager.register(plugin, name=label)
    try:
        manager.check_pending()  # pluggy accepts a mistyped hook until asked
        if not any(caller.name in KINDS.values() for caller in manager.get_hookcallers(plugin) or ()):
            raise PluginError(f"it implements none of the hooks {', '.join(KINDS.values())}")
    except BaseException:
        manager.unregister(name=label)
        raise


def _offers(manager: pluggy.PluginManager, kind: str, failures: dict[str, str]) -> list[Offer]:
    offers = []
    for implementation in getattr(manager.hook, KINDS[kind]).get_hookimpls():
        # One by one, so that a plugin that raises is skipped and the others still answer.
        label = implementation.plugin_name
        try:
            with foreign():
                factories = _checked(implementation.function())
        except DragonFinetuneError as error:
            _note(failures, label, error, f"{KINDS[kind]}: ")
            continue
        offers += [Offer(kind, name, label, factory) for name, factory in factories.items()]
    return sorted(offers, key=lambda offer: (offer.name, offer.plugin))


def _checked(offered: Any) -> dict[str, Factory]:
    if not isinstance(offered, Mapping):
        raise PluginError(f"it returned {type(offered).__name__}, not a mapping of names to factories")
    for name, factory in offered.items():
        if not isinstance(name, str) or not name.strip():
            raise PluginError(f"it offers the name {name!r:.60}; a name is a text")
        if not callable(factory):
            raise PluginError(f"its {name!r} is {type(factory).__name__}, which can't be called")
    return dict(offered)


def create_embedder(config: Mapping[str, Any], *, name: str | None = None) -> Embedder:
    """Return the embedder that the switch names (`embedder:`, or EMBEDDER in .env or the environment).

    Args:
        config: the host's whole configuration (the parsed codex.yaml).
        name: an embedder's name that beats the switch.

    Raises:
        PluginError: no plugin offers that name (the known ones are listed), or two do; or the plugin raised something
            of its own (the cause), or built what is no embedder. `host` means that the host's own embedder is to run,
            so a host asks only when the switch says something else.
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
    return _made(matching[0], config)


def _made(offer: Offer, config: Mapping[str, Any]) -> Any:
    try:
        with foreign():
            made = offer.factory(config)
            fits = isinstance(made, PROTOCOLS[offer.kind])
    except PluginError as error:
        if error.__cause__ is None:
            raise
        raise PluginError(
            f"The {offer.kind} {offer.name!r} of plugin {offer.plugin} can't be made ({error}). Mend what it asks for, "
            f"uninstall the plugin, or choose another {offer.kind}."
        ) from error.__cause__
    if not fits:
        raise PluginError(
            f"The {offer.kind} {offer.name!r} of plugin {offer.plugin} is {type(made).__name__}, which lacks what a "
            f"host calls (dragon_finetune.hookspecs.{PROTOCOLS[offer.kind].__name__}). Choose another {offer.kind}."
        )
    return made
