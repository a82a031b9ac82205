"""What the host's settings say of the switch, wherever it keeps them."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dragon_finetune.codex.modules import CONFIG, OPTIONS, OURS, PACKAGES
from dragon_finetune.files import encoding_of


def read_config() -> dict[str, Any]:
    """Return the host's settings that concern us: codex.yaml, under what its Config object says."""
    from dragon_finetune.settings import read_yaml

    file = Path("codex.yaml")
    config = read_yaml(file) if file.is_file() else {}
    for name in ("embedder", "chunker"):
        value = config_attribute(name.upper())
        if isinstance(value, str) and value:
            config[name] = value
    manager = config_attribute("EMBEDDING_MANAGER")
    if manager in OURS and "EMBEDDER" not in _said_by_config():
        config["embedder"] = manager
    model = config_attribute("EMBEDDING_MODEL")
    finetuned = dict(config.get("finetuned") or {})
    if isinstance(model, str) and not finetuned.get("model_path") and Path(model).is_dir():
        config["finetuned"] = {**finetuned, "model_path": model}
    return config


def _said_by_config() -> list[str]:
    return ["EMBEDDER"] if config_attribute("EMBEDDER") else []


def config_attribute(name: str) -> Any:
    """Return an attribute of the host's Config, if its module is loaded; None otherwise."""
    for package in PACKAGES:
        for module_name in CONFIG:
            module = sys.modules.get(package + module_name)
            if module is None:
                continue
            holder = getattr(module, "Config", None)
            for owner in (getattr(holder, "_instance", None), holder, module):
                value = getattr(owner, name, None)
                if value is not None:
                    return value
    return None


@contextmanager
def host_order() -> Iterator[None]:
    """Let `.env` beat the environment for our keys, as the host itself does it, while settings are read."""
    from dotenv import dotenv_values

    said = dotenv_values(".env", encoding=encoding_of(".env")) if Path(".env").is_file() else {}
    ours = {name: value for name, value in said.items() if value is not None and name.upper().startswith(OPTIONS)}
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


def chosen() -> tuple[str, str | None]:
    """Return what the switch says: the embedder ("host" if nothing does) and the chunker (None if nothing does)."""
    from dragon_finetune.settings import read_switch

    with host_order():
        switch = read_switch(read_config())
    return switch.embedder, switch.chunker
