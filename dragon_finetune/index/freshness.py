"""The check that is made once, when a host first queries: is the index still this encoder's?"""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from dragon_finetune.embedding.cache import cache_folder, recall, remember
from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.files import is_address
from dragon_finetune.processes import end_with_parent, environment_of_a_child, python_of_ours

_SAMPLE = 8
_SECONDS = 120
_EXAMINING = "DRAGON_FINETUNE_EXAMINING"


class StaleIndexWarning(UserWarning):
    """The index that is about to be queried was not made by this encoder."""


def warn_if_stale(embedder: FineTunedEmbedder, store: str, collections: Sequence[str] = ()) -> None:
    """Warn (StaleIndexWarning) when the host's store does not hold this encoder's vectors.

    A process of its own looks, so that no Chroma client is opened in the host's: two clients with different settings on
    one path can't live together. Its verdict is remembered for this encoder and this state of the store; of a server's
    store nothing tells whether it is the same as before, so that is looked at by every process.

    Args:
        embedder: what is about to be asked for a query's vector.
        store: where the host's Chroma lies: a folder, or a server's address.
        collections: which of them matter; empty: all.
    """
    # The examiner itself embeds queries, when it tries other prompts.
    if os.environ.get(_EXAMINING) or not (is_address(store) or (Path(store) / "chroma.sqlite3").is_file()):
        return
    mark = embedder.fingerprint
    cache = cache_folder(mark)
    key = f"health {Path(store).resolve()} {','.join(sorted(collections))} {mark}"
    known = recall(cache, key)
    if not known or known["state"] != _state(store):
        known = _examine(embedder, store, collections)
        if known["state"]:
            remember(cache, key, known)
    if known["trouble"]:
        message = f"the index in {store} is not fit for {embedder.folder.path}: {known['trouble']}"
        warnings.warn(message, StaleIndexWarning, stacklevel=4)


def _state(store: str) -> str:
    files = [Path(store) / name for name in ("chroma.sqlite3", "chroma.sqlite3-wal")]
    return "|".join(f"{file.stat().st_mtime_ns},{file.stat().st_size}" for file in files if file.is_file())


def _examine(embedder: FineTunedEmbedder, store: str, collections: Sequence[str]) -> dict[str, str]:
    task = {
        "model": str(embedder.folder.path),
        "options": embedder.options.to_dict(),
        "store": store,
        "collections": list(collections),
        "sample": _SAMPLE,
    }
    try:
        done = subprocess.run(
            python_of_ours("dragon_finetune.index.freshness"),
            input=json.dumps(task),
            env=environment_of_a_child(**{_EXAMINING: "1"}),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=True,
        )
        return {"state": _state(store), "trouble": json.loads(done.stdout)["trouble"]}
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        # No verdict is not a good verdict, but it must not stop the host, nor be remembered.
        return {
            "state": "",
            "trouble": f"it could not be examined ({type(error).__name__}); run dragon-finetune doctor",
        }


def _main() -> None:
    end_with_parent()
    from dragon_finetune.index.doctor import examine

    task = json.load(sys.stdin)
    embedder = FineTunedEmbedder(task["model"], **task["options"])
    health = examine(embedder, task["store"], collections=task["collections"], sample=task["sample"])
    print(json.dumps({"trouble": "; ".join(health.troubles())}))


if __name__ == "__main__":
    _main()
