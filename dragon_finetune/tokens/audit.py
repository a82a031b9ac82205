"""The truncation audit: how many texts a model would cut off, by how much, and which ones."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from dragon_finetune.errors import DataError, TokenLimitError
from dragon_finetune.records import as_pair, check_text, is_pair_like, read_jsonl
from dragon_finetune.tokens.advice import Advice, DensityTally
from dragon_finetune.tokens.counting import TokenCounter
from dragon_finetune.tokens.folder import ModelFolder, Role
from dragon_finetune.tokens.histogram import Bin, draw, histogram, save_image

PERCENTILES = (50, 90, 95, 99)
_ROLES: dict[str, Role] = {"query": "query"}
_WORST = 5


@dataclass(frozen=True, order=True)
class LongText:
    """One text and its number of tokens. `where` is its file and line, or its position in the input, from 0."""

    tokens: int
    where: str
    preview: str


@dataclass
class SourceAudit:
    """What one source (the records' `source`, such as "book") would lose of one field."""

    texts: int = 0
    over_limit: int = 0
    tokens_lost: int = 0


@dataclass
class FieldAudit:
    """Token counts of one field (`text`; for pairs `query`, `positive`, `negative`).

    Attributes:
        texts: number of texts seen.
        over_limit: how many of them exceed the limit.
        tokens_lost: tokens beyond the limit, summed over those.
        percentiles: tokens at the 50th, 90th, 95th and 99th percentile (linear interpolation, as numpy).
        worst: the five longest texts, longest first, over the limit or not.
        histogram: how many texts have how many tokens.
        sources: the same losses for each value of the records' `source`; empty where no record has one.
    """

    name: str
    prompt: str
    limit: int | None
    texts: int = 0
    max_tokens: int = 0
    mean_tokens: float = 0.0
    over_limit: int = 0
    tokens_lost: int = 0
    percentiles: dict[int, float] = field(default_factory=dict)
    worst: list[LongText] = field(default_factory=list)
    histogram: list[Bin] = field(default_factory=list)
    sources: dict[str, SourceAudit] = field(default_factory=dict)

    @property
    def share_over_limit(self) -> float:
        """Share of texts over the limit, from 0 to 1."""
        return self.over_limit / self.texts if self.texts else 0.0


@dataclass
class TokenAudit:
    """The audit of one input under one model.

    Attributes:
        fields: one FieldAudit per field that occurred.
        advice: settings for a host that cuts its documents by characters; None without documents or limit.
    """

    model: str
    limit: int | None
    fields: dict[str, FieldAudit]
    advice: Advice | None = None

    @property
    def over_limit(self) -> int:
        """Number of texts over the limit, all fields together."""
        return sum(audit.over_limit for audit in self.fields.values())

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest text of all."""
        return max((audit.max_tokens for audit in self.fields.values()), default=0)

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain JSON-safe values."""
        fields = {
            name: {**asdict(audit), "share_over_limit": audit.share_over_limit} for name, audit in self.fields.items()
        }
        return {
            "model": self.model,
            "limit": self.limit,
            "over_limit": self.over_limit,
            "fields": fields,
            "advice": asdict(self.advice) if self.advice else None,
        }

    def save_histogram(self, path: str | Path) -> None:
        """Write the histograms as an image (.png, .svg, .pdf); needs matplotlib, else raises SettingsError."""
        bins = {name: audit.histogram for name, audit in self.fields.items()}
        save_image(bins, Path(path), title=f"{self.model}: limit {self.limit or 'none'} tokens")

    def require_within_limit(self, remedy: str) -> None:
        """Raise TokenLimitError naming the longest texts if any is over the limit; `remedy` says what to do."""
        if not self.over_limit:
            return
        long = [text for audit in self.fields.values() for text in audit.worst if text.tokens > (self.limit or 0)]
        named = "; ".join(f"{text.where} has {text.tokens} ({text.preview!r})" for text in sorted(long)[::-1][:_WORST])
        raise TokenLimitError(
            f"{self.over_limit} of {sum(audit.texts for audit in self.fields.values())} texts exceed the limit of "
            f"{self.limit} tokens and would be cut off: {named}. {remedy}"
        )

    def __str__(self) -> str:
        lines = [f"Token audit under {self.model}: limit {self.limit or 'none'} (special tokens and prompt included)"]
        for audit in self.fields.values():
            lines += _report(audit)
        if self.advice:
            lines += [
                f"For a host that cuts by characters ({self.advice.mean_chars_per_token:.2f} characters per token, "
                f"{self.advice.dense_chars_per_token:.2f} in the densest texts):",
                str(self.advice),
            ]
        return "\n".join(lines if self.fields else [*lines, "no texts"])


def _report(audit: FieldAudit) -> list[str]:
    at = "  ".join(f"p{p} {value:.0f}" for p, value in audit.percentiles.items())
    prompt = f", prompt {audit.prompt!r}" if audit.prompt else ""
    return [
        f"{audit.name} ({audit.texts:,} texts{prompt})",
        f"  tokens: mean {audit.mean_tokens:.1f}  {at}  max {audit.max_tokens:,}",
        f"  over the limit: {audit.over_limit:,} ({audit.share_over_limit:.1%}), "
        f"{audit.tokens_lost:,} tokens would be lost",
        *(
            f"    of source {name}: {source.over_limit:,} of {source.texts:,}, {source.tokens_lost:,} tokens"
            for name, source in audit.sources.items()
            if source.over_limit
        ),
        *draw(audit.histogram),
        "  longest:",
        *(f"    {text.tokens:>7,}  {text.where}: {text.preview}" for text in audit.worst),
    ]


def audit_tokens(
    texts_or_pairs: "Iterable[Any] | str | Path",
    model: "str | Path | ModelFolder",
    *,
    field: str | None = None,
    show_progress: bool = False,
) -> TokenAudit:
    """Return how many texts `model` would truncate; pairs are counted by field, each with its role's prompt.

    Args:
        texts_or_pairs: texts, chunks (mappings with `text`), pairs, InputExamples, Dataset rows, or the path of a
            JSON-lines file of these. Streamed: it may be longer than memory.
        model: folder, hub name, "embedded", or an open ModelFolder (its limit and prompts are the ones that count).
        field: audit this field of each record instead, as document text.
        show_progress: show a bar on stderr (never when stderr is no terminal).

    Raises:
        DataError: an item without text, or with a text that is no string or empty; names file and line, or position.
        ModelError: the model or its tokenizer can't be read.
    """
    folder = ModelFolder.open(model)
    # One tokenizer serves all roles; only the prompt differs.
    tokenizer = folder.load_tokenizer()
    counters: dict[Role, TokenCounter] = {
        role: TokenCounter(tokenizer, prompt=role, prompts=folder.prompts) for role in ("query", "document")
    }
    tallies: dict[str, _Tally] = {}
    density = DensityTally()
    items = tqdm(_placed(texts_or_pairs), desc="audit", unit="item", disable=None if show_progress else True)
    for name, batch in _batched(_fields(items, field)):
        role = _ROLES.get(name, "document")
        counter = counters[role]
        tally = tallies.setdefault(name, _Tally(FieldAudit(name, folder.prompts.of(role), folder.limit)))
        for text, tokens in zip(batch, counter.counts(text.text for text in batch), strict=True):
            tally.add(tokens, text)
            if role == "document":
                density.add(len(text.text), tokens - counter.overhead)
    advice = density.advice(folder.limit - counters["document"].overhead) if folder.limit else None
    return TokenAudit(str(model), folder.limit, {name: tally.finish() for name, tally in tallies.items()}, advice)


class _Text(NamedTuple):
    where: str
    text: str
    source: str | None


class _Tally:
    """Counts of one field as they stream by: a count per length, and the five longest."""

    def __init__(self, audit: FieldAudit) -> None:
        self._audit = audit
        self._lengths: dict[int, int] = {}
        self._longest: list[tuple[int, int, _Text]] = []

    def add(self, tokens: int, text: _Text) -> None:
        self._lengths[tokens] = self._lengths.get(tokens, 0) + 1
        self._audit.texts += 1
        if text.source is not None:
            self._add_source(self._audit.sources.setdefault(text.source, SourceAudit()), tokens)
        # Minus the order of arrival: of equally long texts the first is kept.
        entry = (tokens, -self._audit.texts, text)
        if len(self._longest) < _WORST:
            heapq.heappush(self._longest, entry)
        elif entry > self._longest[0]:
            heapq.heapreplace(self._longest, entry)

    def _add_source(self, source: SourceAudit, tokens: int) -> None:
        source.texts += 1
        if self._audit.limit is not None and tokens > self._audit.limit:
            source.over_limit += 1
            source.tokens_lost += tokens - self._audit.limit

    def finish(self) -> FieldAudit:
        audit = self._audit
        limit = audit.limit
        lengths = np.array(sorted(self._lengths), dtype=np.int64)
        rows = np.array([self._lengths[length] for length in lengths.tolist()], dtype=np.int64)
        audit.max_tokens = int(lengths[-1])
        audit.mean_tokens = float((lengths * rows).sum() / rows.sum())
        audit.percentiles = {p: _percentile(lengths, rows, p) for p in PERCENTILES}
        if limit is not None:
            audit.over_limit = int(rows[lengths > limit].sum())
            audit.tokens_lost = int((np.maximum(lengths - limit, 0) * rows).sum())
        longest = sorted(self._longest, reverse=True)
        audit.worst = [
            LongText(tokens, text.where, " ".join(text.text[:200].split())[:60]) for tokens, _, text in longest
        ]
        audit.histogram = histogram(self._lengths, limit)
        return audit


def _percentile(lengths: Any, rows: Any, percent: int) -> float:
    # numpy's linear rule, on counts per length, so that memory depends on the lengths and not on the texts.
    position = (rows.sum() - 1) * percent / 100
    ends = rows.cumsum()
    low = lengths[np.searchsorted(ends, np.floor(position), side="right")]
    high = lengths[np.searchsorted(ends, np.ceil(position), side="right")]
    return float(low + (high - low) * (position - np.floor(position)))


def _placed(source: "Iterable[Any] | str | Path") -> Iterator[tuple[str, Any]]:
    if isinstance(source, (str, Path)):
        yield from ((f"{source}, line {number}", record) for number, record in read_jsonl(source))
    else:
        yield from ((f"item {index}", item) for index, item in enumerate(source))


def _fields(items: Iterable[tuple[str, Any]], field: str | None) -> Iterator[tuple[str, _Text]]:
    for where, item in items:
        source = item.get("source") if isinstance(item, Mapping) else None
        name = None if source is None else str(source)
        if not (isinstance(item, Mapping) or is_pair_like(item)):
            yield "text", _Text(where, check_text(item, where), name)
        elif field is None and is_pair_like(item):
            yield from ((part, _Text(where, text, name)) for part, text in as_pair(item, where).texts())
        else:
            yield field or "text", _Text(where, check_text(_pick(item, field or "text", where), where), name)


def _pick(item: Mapping[str, Any], field: str, where: str) -> Any:
    if field not in item:
        raise DataError(f"{where}: no field {field!r}; the record has {sorted(item)}. Name one with --field.")
    return item[field]


def _batched(fields: Iterable[tuple[str, _Text]], size: int = 512) -> Iterator[tuple[str, list[_Text]]]:
    waiting: dict[str, list[_Text]] = {}
    for name, text in fields:
        batch = waiting.setdefault(name, [])
        batch.append(text)
        if len(batch) == size:
            yield name, waiting.pop(name)
    yield from waiting.items()
