"""The truncation audit: every text of an input counted under a model, by field."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dragon_finetune.known_prompts import warn_without_prompts
from dragon_finetune.model_folder import ModelFolder, Role
from dragon_finetune.pair import is_pair_like, pairs_of
from dragon_finetune.progress import progress
from dragon_finetune.reading.fields import text_field_of
from dragon_finetune.reading.pair_files import read_any
from dragon_finetune.text import check_text
from dragon_finetune.tokens.advice import DensityTally
from dragon_finetune.tokens.audit_report import FieldAudit, TokenAudit
from dragon_finetune.tokens.counting import TokenCounter
from dragon_finetune.tokens.tally import Tally, Text

_ROLES: dict[str, Role] = {"query": "query"}


def audit_tokens(
    texts_or_pairs: "Iterable[Any] | str | Path",
    model: "str | Path | ModelFolder",
    *,
    field: str | None = None,
    show_progress: bool = False,
) -> TokenAudit:
    """Return how many texts `model` would truncate, and how many its tokenizer does not know.

    Pairs are counted by field, each with its role's prompt.

    Args:
        texts_or_pairs: texts, chunks (mappings with `text`), pairs, InputExamples, Dataset rows, or the path of
            a file or folder of these of any kind that is read; a Path among them stands for its records. Streamed: it
            may be longer than memory.
        model: folder, hub name, "embedded", or an open ModelFolder (its limit and prompts are the ones that count).
        field: audit this field of each record instead, as document text; default: as `read_chunks` finds the text.
        show_progress: say on stderr how far it is (`progress`).

    Raises:
        DataError: an item without text, or with a text that is no string or empty; names file and line, or position.
        ModelError: the model or its tokenizer can't be read.
    """
    folder = ModelFolder.open(model)
    if not isinstance(model, ModelFolder):  # whoever opened it before has been told
        warn_without_prompts(folder)
    counters = {
        role: TokenCounter(tokenizer, prompt=role, prompts=folder.prompts)
        for role, tokenizer in folder.load_tokenizers().items()
    }
    tallies: dict[str, Tally] = {}
    documents = counters["document"]
    density = DensityTally(folder.limit - documents.overhead, documents.bare_counts) if folder.limit else None
    items = progress(_placed(texts_or_pairs), desc="audit", unit="item", show=show_progress)
    for name, batch in _batched(_fields(items, field)):
        role = _ROLES.get(name, "document")
        counter = counters[role]
        tally = tallies.setdefault(name, Tally(FieldAudit(name, folder.prompts.of(role), folder.limit)))
        looked_at = counter.counts_and_unknown(text.text for text in batch)
        for text, (tokens, unknown) in zip(batch, looked_at, strict=True):
            tally.add(tokens, text, unknown)
            if density and role == "document":
                density.add(text.text, tokens - counter.overhead)
    fields = {name: tally.finish() for name, tally in tallies.items()}
    return TokenAudit(_name(model), folder.limit, fields, density.advice() if density else None)


def _name(model: "str | Path | ModelFolder") -> str:
    return str(model.path if isinstance(model, ModelFolder) else model)


def _placed(source: "Iterable[Any] | str | Path") -> Iterator[tuple[str, Any]]:
    for index, item in enumerate([Path(source)] if isinstance(source, (str, Path)) else source):
        if isinstance(item, Path):
            yield from read_any(item)
        else:
            yield f"item {index}", item


def _fields(items: Iterable[tuple[str, Any]], field: str | None) -> Iterator[tuple[str, Text]]:
    for where, item in items:
        source = item.get("source") if isinstance(item, Mapping) else None
        name = None if source is None else str(source)
        if not (isinstance(item, Mapping) or is_pair_like(item)):
            yield "text", Text(where, check_text(item, where), name)
        elif field is None and is_pair_like(item):
            texts = (each for pair in pairs_of(item, where) for each in pair.texts())
            yield from ((part, Text(where, text, name)) for part, text in texts)
        else:
            there = text_field_of(item, where, field)
            yield there, Text(where, check_text(item[there], where), name)


def _batched(fields: Iterable[tuple[str, Text]], size: int = 512) -> Iterator[tuple[str, list[Text]]]:
    waiting: dict[str, list[Text]] = {}
    for name, text in fields:
        batch = waiting.setdefault(name, [])
        batch.append(text)
        if len(batch) == size:
            yield name, waiting.pop(name)
    yield from waiting.items()
