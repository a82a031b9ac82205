"""One encoder of a model folder: its settings, its limit, its tokenizer. A model has one; with a router several."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dragon_finetune.errors import ModelError
from dragon_finetune.model_layout import Module, read_optional
from dragon_finetune.model_limit import Limit, read_limit, tokenizer_options

# What sentence-transformers has called an encoder's settings, in the order in which it looks for them.
_SETTINGS = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)


@dataclass(frozen=True)
class Encoder:
    """What reads a text: the folder of its files, and what they say. A `static` one looks words up, without limit."""

    path: Path
    limit: Limit
    static: bool = False
    lower_case: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def load_tokenizer(self) -> Any:
        """Return the tokenizer exactly as sentence-transformers will use it: transformers', or tokenizers' own.

        Raises:
            ModelError: the tokenizer's files can't be read.
        """
        try:
            tokenizer = self._load()
        except Exception as error:
            raise ModelError(
                f"{self.path}: the tokenizer can't be loaded ({error}). Save it beside the model."
            ) from error
        if self.lower_case:
            _lower_case_first(tokenizer)
        return tokenizer

    def _load(self) -> Any:
        if self.static:
            from tokenizers import Tokenizer

            return Tokenizer.from_file(str(self.path / "tokenizer.json"))
        # transformers takes seconds to import, so only those who count pay for it.
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(str(self.path), **{**self.options, "local_files_only": True})


def read_encoder(module: Module) -> Encoder:
    """Return the encoder that a module is.

    Raises:
        ModelError: one of its files is damaged.
    """
    if module.kind == "StaticEmbedding":
        return Encoder(module.path, Limit(None, None), static=True)
    found = (read_optional(module.path / name) for name in _SETTINGS)
    settings: dict[str, Any] = next((each for each in found if each), {})
    options = {name: value for name, value in tokenizer_options(settings).items() if name != "trust_remote_code"}
    return Encoder(
        path=module.path,
        limit=read_limit(module.path, settings),
        lower_case=bool(settings.get("do_lower_case")),
        options=options,
    )


def _lower_case_first(tokenizer: Any) -> None:
    # sentence-transformers adds a lower-casing normalizer where its folder says do_lower_case; so do we.
    from tokenizers import normalizers

    backend = tokenizer.backend_tokenizer
    present = backend.normalizer
    if present is None or ("owercase" not in str(present) and "lowercase=True" not in str(present)):
        steps = [normalizers.Lowercase(), *([present] if present is not None else [])]
        backend.normalizer = normalizers.Sequence(steps)
