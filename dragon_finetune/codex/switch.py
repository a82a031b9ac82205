"""What the host's settings say of the switch, wherever it keeps them; asked by `--explain` and by what runs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from dragon_finetune.codex.host_settings import host_setting, host_settings
from dragon_finetune.codex.modules import OPTIONS, OURS
from dragon_finetune.errors import SettingsError
from dragon_finetune.files import read_env_file


class Choice(NamedTuple):
    """What the switch says: an embedder ("host": its own), and a chunker (None: its own)."""

    embedder: str
    chunker: str | None


def chosen() -> Choice:
    """Return what the switch says.

    Raises:
        SettingsError: a setting can't be read, or a chunker of ours is to cut for no model of ours.
    """
    from dragon_finetune.settings import read_switch

    with host_order():
        switch = read_switch(read_config())
    chunker = None if switch.chunker in (None, "", "host") else switch.chunker
    if chunker and switch.embedder == "host":
        raise SettingsError(
            f"the switch names the chunker {chunker!r} and no embedder: it cuts to a model's limit, and the host's own "
            "model has none that we know. Set EMBEDDER=finetuned or EMBEDDER=base too."
        )
    return Choice(switch.embedder or "host", chunker)


def is_silent() -> bool:
    """Tell whether no place names anything near the switch, so that nothing has to be read; costs milliseconds."""
    near = ("EMB", "CHUN", "FINE", "BASE_")  # misspelt ones are named (`settings.read_switch`)
    files = [file for file in ("codex.yaml", ".env") if Path(file).is_file()]
    exported = [name for name in os.environ if name.upper().startswith(near)]
    return not (files or exported or _said_by_config() or _model_folder())


def said_in_places(name: str) -> dict[str, str | None]:
    """Return what each place says of "embedder" or "chunker"; the later beats the earlier."""
    return {
        "codex.yaml": _yaml().get(name),
        "Config": _said_by_config().get(name),
        "environment": os.environ.get(name.upper()),
        ".env": read_env_file().get(name.upper()),
    }


def overruled() -> Iterator[str]:
    """Yield what the environment says of the switch and `.env` beats: whoever set it for this run means it."""
    for name in ("embedder", "chunker"):
        places = said_in_places(name)
        beaten, winning = places["environment"], places[".env"]
        if beaten and winning and beaten != winning:
            variable = name.upper()
            yield f"{variable}={beaten} in the environment has no effect: .env says {variable}={winning}, and wins."


def read_config() -> dict[str, Any]:
    """Return the settings that concern us below the environment: codex.yaml, under what the host's Config says."""
    config = {**_yaml(), **_said_by_config()}
    folder = _model_folder()
    if folder is None:
        return config
    finetuned = dict(config.get("finetuned") or {})
    config["finetuned"] = {"model_path": folder, **{name: value for name, value in finetuned.items() if value}}
    if host_setting("EMBEDDING_MANAGER") in (None, "ollama"):
        # A folder is nothing that Ollama could load, so it is meant for us; generation C's own manager can load one.
        config.setdefault("embedder", "finetuned")
    return config


def _yaml() -> dict[str, Any]:
    from dragon_finetune.settings import read_yaml

    file = Path("codex.yaml")
    return read_yaml(file) if file.is_file() else {}


def _said_by_config() -> dict[str, str]:
    manager = next((name for name in host_settings("EMBEDDING_MANAGER") if name in OURS), None)
    said = {"embedder": host_setting("EMBEDDER") or manager, "chunker": host_setting("CHUNKER")}
    return {name: value for name, value in said.items() if isinstance(value, str) and value}


def _model_folder() -> str | None:
    """Return the model folder that the host's settings name as its model, None if they name none."""
    for name in (*host_settings("EMBEDDING_MODEL"), *host_settings("EMBEDDING_MODEL_NAME")):
        if isinstance(name, str) and name and (Path(name).expanduser() / "modules.json").is_file():
            return name
    return None


@contextmanager
def host_order() -> Iterator[None]:
    """Let `.env` beat the environment for our keys, as the host itself does it, while settings are read."""
    ours = {name: value for name, value in read_env_file().items() if name.upper().startswith(OPTIONS)}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
