"""What an audit found: which texts a model would cut off, by how much, and what of them is unknown to it."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dragon_finetune.errors import TokenLimitError
from dragon_finetune.tokens.advice import Advice
from dragon_finetune.tokens.histogram import Bin, draw, save_image
from dragon_finetune.tokens.unknown import UnknownAudit

WORST = 5


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
        unknown: what the model does not see though it is within the limit, for the tokenizer has no pieces for it.
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
    unknown: UnknownAudit = field(default_factory=UnknownAudit)

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
    def mostly_unknown(self) -> int:
        """Number of texts that are mostly unknown to the tokenizer (`unknown.MOSTLY`), all fields together."""
        return sum(audit.unknown.mostly for audit in self.fields.values())

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
            "mostly_unknown": self.mostly_unknown,
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
        named = "; ".join(f"{text.where} has {text.tokens} ({text.preview!r})" for text in sorted(long)[::-1][:WORST])
        raise TokenLimitError(
            f"{self.over_limit} of {sum(audit.texts for audit in self.fields.values())} texts exceed the limit of "
            f"{self.limit} tokens and would be cut off: {named}. {remedy}"
        )

    def __str__(self) -> str:
        lines = [f"Token audit under {self.model}: limit {self.limit or 'none'} (special tokens and prompt included)"]
        for audit in self.fields.values():
            lines += report(audit)
        if self.mostly_unknown:
            lines.append(
                f"{self.mostly_unknown:,} texts are mostly unknown to the tokenizer, and all alike to the model: take "
                "a model whose tokenizer knows their script, and break up what is no word (hex, base64, long URLs)."
            )
        if self.advice:
            lines += self.advice.lines()
        return "\n".join(lines if self.fields else [*lines, "no texts"])


def report(audit: FieldAudit) -> list[str]:
    """Return the lines that show one field."""
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
        *audit.unknown.lines(),
        *draw(audit.histogram),
        "  longest:",
        *(f"    {text.tokens:>7,}  {text.where}: {text.preview}" for text in audit.worst),
    ]
