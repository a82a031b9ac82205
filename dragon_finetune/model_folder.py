"""What a model folder says of its inputs: prompts, limit, tokenizer. Read from its files; no weights are loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from dragon_finetune.errors import SettingsError
from dragon_finetune.model_check import check_complete
from dragon_finetune.model_encoder import Encoder, read_encoder
from dragon_finetune.model_layout import read_optional
from dragon_finetune.model_place import locate

Role = Literal["query", "document"]
# The names under which sentence-transformers folders in the wild keep the prompt of each role.
_PROMPT_NAMES: dict[Role, tuple[str, ...]] = {
    "query": ("query", "search_query"),
    "document": ("document", "passage", "search_document", "corpus"),
}


@dataclass(frozen=True)
class Prompts:
    """The text that a model wants before a query and before a document (`search_query: `), separator included."""

    query: str = ""
    document: str = ""

    def of(self, role: Role | None) -> str:
        """Return the prompt of a role; no role, no prompt."""
        return getattr(self, role) if role else ""


@dataclass(frozen=True)
class ModelFolder:
    """A sentence-transformers folder on disk.

    Attributes:
        path: the folder.
        prompts: what goes before a text, by role.
        limit: in tokens, special tokens and prompt included; of several encoders the lowest; None: there is none.
        positions: what the limit can't go beyond, for the weights have no more; None: no such bound.
        routed: whether queries and documents go different ways through the model (a Router).
        encoders: what reads a text, by role.
    """

    path: Path
    prompts: Prompts
    limit: int | None
    positions: int | None = None
    routed: bool = False
    encoders: Mapping[str | None, Encoder] = field(default_factory=dict, compare=False)

    @classmethod
    def open(
        cls,
        model: "str | Path | ModelFolder",
        *,
        revision: str | None = None,
        prompts: Mapping[str, str] | None = None,
        max_seq_length: int | None = None,
    ) -> "ModelFolder":
        """Return the folder of `model`, checked for completeness.

        Args:
            model: a folder, a hub name, or "embedded" (the packaged MiniLM).
            revision: the hub revision, where `model` is a hub name.
            prompts: prompts by role ("query", "document") that replace the folder's own.
            max_seq_length: a limit in tokens that replaces the folder's own.

        Raises:
            ModelError: no such model, or the folder is incomplete; names the file and says what to do.
            SettingsError: `max_seq_length` is more than the model has positions for.
        """
        folder = model if isinstance(model, ModelFolder) else _read(locate(model, revision=revision))
        limit = folder.limit if max_seq_length is None else max_seq_length
        if limit is not None and folder.positions is not None and limit > folder.positions:
            raise SettingsError(
                f"max_seq_length is {limit}, but {folder.path} has positions for {folder.positions} tokens. Lower it."
            )
        return replace(folder, prompts=replace(folder.prompts, **(prompts or {})), limit=limit)

    def load_tokenizer(self, role: Role | None = None) -> Any:
        """Return the tokenizer of a role exactly as sentence-transformers will use it.

        Raises:
            ModelError: the tokenizer's files can't be read.
        """
        return self.encoders[role].load_tokenizer()

    def load_tokenizers(self) -> dict[Role, Any]:
        """Return each role's tokenizer: one and the same, unless a router has one for each. Raises ModelError."""
        document = self.load_tokenizer("document")
        same = self.encoders["query"] == self.encoders["document"]
        return {"query": document if same else self.load_tokenizer("query"), "document": document}


def _read(path: Path) -> ModelFolder:
    layout = check_complete(path)
    prompts = read_optional(path / "config_sentence_transformers.json").get("prompts") or {}
    encoders = {role: read_encoder(module) for role, module in layout.inputs.items()}
    limits = [encoder.limit for encoder in encoders.values()]
    return ModelFolder(
        path=path,
        prompts=Prompts(**{role: _first_prompt(prompts, names) for role, names in _PROMPT_NAMES.items()}),
        limit=min((limit.tokens for limit in limits if limit.tokens), default=None),
        positions=min((limit.positions for limit in limits if limit.positions), default=None),
        routed=layout.routed,
        encoders=encoders,
    )


def _first_prompt(prompts: dict[str, str], names: tuple[str, ...]) -> str:
    return next((prompts[name] for name in names if prompts.get(name)), "")
