"""Our embedder and chunker, made once per process when the host first needs them."""

import threading
from typing import Any

from dragon_finetune.codex.refusals import reported
from dragon_finetune.codex.switch import chosen, host_order, read_config
from dragon_finetune.errors import SettingsError

lock = threading.RLock()
made: dict[str, Any] = {}


def our_embedder() -> Any:
    """Return our embedder, or None where the host's own is to run. Decided once per process."""
    with lock:
        if "embedder" not in made:
            from dragon_finetune.host import create_embedder

            with reported(), host_order():
                name = chosen().embedder
                made["embedder"] = None if name == "host" else create_embedder(read_config(), name=name)
    return made["embedder"]


def chunker_wanted() -> bool:
    """Tell whether the switch names a chunker other than the host's."""
    return chosen().chunker is not None


class LazyChunker:
    """A chunker that is built at its first text: hosts ask for theirs at import."""

    def __call__(self, text: str) -> list[str]:
        if not text.strip():
            return []
        with reported():
            with lock:
                if "chunker" not in made:
                    made["chunker"] = make_chunker()
            pieces: list[str] = made["chunker"](text)
        return pieces


def make_chunker() -> Any:
    """Return the chunker that the switch names, else `token_aware`; SettingsError where no model of ours is named."""
    from dragon_finetune.host import create_chunker

    choice = chosen()
    if choice.embedder == "host":
        raise SettingsError("token_aware cuts to a model's limit: set EMBEDDER=finetuned or EMBEDDER=base too.")
    with host_order():
        return create_chunker({**read_config(), "embedder": choice.embedder}, name=choice.chunker)
