"""What a model folder says of its inputs: prompts, limit, tokenizer. Read from its files; no weights are loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dragon_finetune.errors import ModelError
from dragon_finetune.model_check import check_complete
from dragon_finetune.model_layout import read_optional, transformer_folders
from dragon_finetune.model_limit import limit_of, saved_settings
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

    `limit` counts tokens, special tokens and prompt included; `transformer` is where the tokenizer lies, if not in the
    root.
    """

    path: Path
    prompts: Prompts
    limit: int | None
    lower_case: bool = False
    transformer: Path | None = None

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
        """
        folder = model if isinstance(model, ModelFolder) else _read(locate(model, revision=revision))
        limit = folder.limit if max_seq_length is None else max_seq_length
        return replace(folder, prompts=replace(folder.prompts, **(prompts or {})), limit=limit)

    def load_tokenizer(self) -> Any:
        """Return the transformers tokenizer exactly as sentence-transformers will use it.

        Raises:
            ModelError: the tokenizer's files can't be read.
        """
        # transformers takes seconds to import, so only those who count pay for it.
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(str(self.transformer or self.path), local_files_only=True)
        except Exception as error:
            raise ModelError(
                f"{self.path}: the tokenizer can't be loaded ({error}). Save it beside the model."
            ) from error
        if self.lower_case:
            _lower_case_first(tokenizer)
        return tokenizer


def _read(path: Path) -> ModelFolder:
    check_complete(path)
    transformers = transformer_folders(path)
    limits = [limit for folder in transformers if (limit := limit_of(folder)) is not None]
    prompts = read_optional(path / "config_sentence_transformers.json").get("prompts") or {}
    return ModelFolder(
        path=path,
        prompts=Prompts(**{role: _first_prompt(prompts, names) for role, names in _PROMPT_NAMES.items()}),
        limit=min(limits, default=None),
        lower_case=bool(saved_settings(transformers[0]).get("do_lower_case")),
        transformer=transformers[0],
    )


def _first_prompt(prompts: dict[str, str], names: tuple[str, ...]) -> str:
    return next((prompts[name] for name in names if prompts.get(name)), "")


def _lower_case_first(tokenizer: Any) -> None:
    # sentence-transformers adds a lower-casing normalizer where its folder says do_lower_case; so do we.
    from tokenizers import normalizers

    backend = tokenizer.backend_tokenizer
    present = backend.normalizer
    if present is None or ("owercase" not in str(present) and "lowercase=True" not in str(present)):
        steps = [normalizers.Lowercase(), *([present] if present is not None else [])]
        backend.normalizer = normalizers.Sequence(steps)
