"""The prompts that model families document but whose folders often lack, and the warning where they are missing."""

import re
import warnings
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dragon_finetune.errors import SettingsError, suggest
from dragon_finetune.model_folder import ModelFolder, Prompts
from dragon_finetune.model_layout import read_optional
from dragon_finetune.model_place import CARD

NONE = "none"
"""What `--prompts` calls the wish to have none."""


class _Family(NamedTuple):
    prompts: Prompts
    owner: str
    models: str


_SEARCH_TASK = "Given a web search query, retrieve relevant passages that answer the query"
# As each family's model card on the hub documents them for retrieval. A model counts as one of a family only by its
# whole name: whoever tuned it further, and named it otherwise, may have done so with other prompts, or none.
_FAMILIES = {
    "nomic": _Family(
        Prompts("search_query: ", "search_document: "),
        "nomic-ai",
        r"nomic-embed-text-v(1|1\.5|2-moe)(-unsupervised|-ablated)?|modernbert-embed-base",
    ),
    "e5": _Family(
        Prompts("query: ", "passage: "), "intfloat", r"e5-(small|base|large)(-v2)?|multilingual-e5-(small|base|large)"
    ),
    "e5-instruct": _Family(
        Prompts(f"Instruct: {_SEARCH_TASK}\nQuery: "),
        "intfloat",
        r"multilingual-e5-large-instruct|e5-mistral-7b-instruct",
    ),
    "bge": _Family(
        Prompts("Represent this sentence for searching relevant passages: "),
        "baai",
        r"bge-(small|base|large)-en(-v1\.5)?",
    ),
    "embeddinggemma": _Family(
        Prompts("task: search result | query: ", "title: none | text: "), "google", r"embeddinggemma-300m"
    ),
    "qwen3": _Family(Prompts(f"Instruct: {_SEARCH_TASK}\nQuery:"), "qwen", r"qwen3-embedding-(0\.6b|4b|8b)"),
}
_told: set[str] = set()


def prompts_named(name: str) -> Prompts:
    """Return the prompts of a family, or no prompts for "none".

    Raises:
        SettingsError: no such family; names the nearest.
    """
    if name == NONE:
        return Prompts()
    if name not in _FAMILIES:
        raise SettingsError(f"prompts is {name!r}. {suggest(name, [*_FAMILIES, NONE])}")
    return _FAMILIES[name].prompts


def family_of(folder: ModelFolder) -> str | None:
    """Return the family whose name the folder, the hub or the card of its training gives it, or None."""
    names = list(_names(folder))
    return next((name for name, family in _FAMILIES.items() if any(_is_of(family, each) for each in names)), None)


def warn_without_prompts(folder: ModelFolder, asked: Mapping[str, str] | None = None) -> None:
    """Warn, once per process and model, if the model is of a family that wants prompts and has none.

    Args:
        folder: the model, with the prompts that will be used.
        asked: prompts by role that somebody chose: then nothing is missing.
    """
    if asked or folder.prompts != Prompts() or str(folder.path) in _told:
        return
    family = family_of(folder)
    card = read_optional(folder.path / CARD)
    if family is None or (card.get("settings") or {}).get("query_prompt") is not None:
        return
    _told.add(str(folder.path))
    wanted = _FAMILIES[family].prompts
    documented = f"{wanted.query!r} before a query and {wanted.document or 'nothing'!r} before a document"
    if card.get("settings"):
        missing, remedy = "was trained without them", f"Train it again with --prompts {family}"
    else:
        settings = f"query_prompt: {wanted.query!r} and document_prompt: {wanted.document!r}"
        missing, remedy = "has none", f"Train with --prompts {family}; for a model as it is, set {settings}"
    warnings.warn(
        f"{folder.path} is of the family {family}, which documents {documented}, but the folder {missing}. {remedy} "
        f"(--prompts {NONE} for none, on purpose).",
        stacklevel=3,
    )


def _names(folder: ModelFolder) -> Iterator[str]:
    yield folder.path.absolute().name
    # Where the hub's cache keeps a model: models--OWNER--NAME/snapshots/REVISION.
    yield from (part.removeprefix("models--") for part in folder.path.absolute().parts if part.startswith("models--"))
    yield str(read_optional(folder.path / CARD).get("base_model", ""))


def _is_of(family: _Family, name: str) -> bool:
    name = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return bool(re.fullmatch(rf"(?:{family.owner}[-_]{{1,2}})?(?:{family.models})", name, re.IGNORECASE))
