"""Our embedder and chunker, made once per process when the host first needs them."""

import threading
from typing import Any

from dragon_finetune.codex.switch import chosen, host_order, read_config

lock = threading.RLock()
made: dict[str, Any] = {}


def our_embedder() -> Any:
    """Return our embedder, or None where the host's own is to run. Decided once per process."""
    with lock:
        if "embedder" not in made:
            from dragon_finetune.host import create_embedder

            name, _ = chosen()
            with host_order():
                made["embedder"] = None if name == "host" else create_embedder(read_config(), name=name)
    return made["embedder"]


def chunker_wanted() -> bool:
    """Tell whether the switch names a chunker other than the host's."""
    return chosen()[1] not in (None, "host")


class LazyChunker:
    """A chunker that is built at its first text: hosts ask for theirs at import."""

    def __call__(self, text: str) -> list[str]:
        if not text.strip():
            return []
        with lock:
            if "chunker" not in made:
                from dragon_finetune.host import create_chunker

                name, chunker = chosen()
                with host_order():
                    config = {**read_config(), "embedder": name if name != "host" else "base"}
                    made["chunker"] = create_chunker(config, name=chunker if chunker != "host" else None)
        pieces: list[str] = made["chunker"](text)
        return pieces
