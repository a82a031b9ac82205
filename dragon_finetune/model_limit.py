"""How many tokens an encoder reads: what its folder states, within the positions that its weights have."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dragon_finetune.model_check import tensor_names
from dragon_finetune.model_layout import read_optional

# Families whose positions begin behind the padding token's id, so that so many fewer are of use: in transformers'
# sources those with `create_position_ids_from_input_ids` (tests/test_model_limit.py compares this list with them).
BEHIND_PADDING = frozenset(
    "camembert data2vec-text esm ibert layoutlmv3 lilt longformer luke markuplm mpnet roberta roberta-prelayernorm "
    "xlm-roberta xlm-roberta-xl xmod".split()
)
# All of them have 1 where the folder does not say; MPNet has it written into its code.
_PADDING = 1
# A table of learned positions: BERT, GPT-2, BART and their kin. Past its last row a model dies.
_TABLE = re.compile(r"(?:position_embeddings?|wpe|embed_positions)\.weight$")
# transformers writes a number near 1e30 where a tokenizer has no limit.
_NO_LIMIT = 1e9


class Limit(NamedTuple):
    """Tokens, special tokens included: what is read of a text, and what could be at most; None: no such bound."""

    tokens: int | None
    positions: int | None


def read_limit(path: Path, settings: Mapping[str, Any]) -> Limit:
    """Return the limit of the encoder in a folder.

    Args:
        path: the folder of its config.json, tokenizer and weights.
        settings: its sentence_bert_config.json.
    """
    usable = _usable_positions(path)
    cap = usable if usable and _has_table(path) else None
    stated = _stated(settings) or _lowest(_tokenizer_limit(path), usable)
    return Limit(_lowest(stated, cap, *_shortened(settings)), cap)


def tokenizer_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an encoder's settings hand to its tokenizer (`tokenizer_args` until sentence-transformers 5)."""
    return {**(settings.get("tokenizer_args") or {}), **(settings.get("processor_kwargs") or {})}


def _stated(settings: Mapping[str, Any]) -> int | None:
    # sentence-transformers: this wins over what the tokenizer and the positions allow.
    return _number(tokenizer_options(settings).get("model_max_length")) or _number(settings.get("max_seq_length"))


def _shortened(settings: Mapping[str, Any]) -> list[int | None]:
    # Further places where a folder of sentence-transformers 6 can have texts cut.
    kwargs = ((settings.get("processing_kwargs") or {}).get("text") or {}).get("max_length")
    return [_number(value) for value in (kwargs, settings.get("query_length"), settings.get("document_length"))]


def _tokenizer_limit(path: Path) -> int | None:
    return _number(read_optional(path / "tokenizer_config.json").get("model_max_length"))


def _usable_positions(path: Path) -> int | None:
    config = read_optional(path / "config.json")
    name = "max_position_embeddings"
    positions = _number(config[name] if name in config else _default_positions(path, config))
    if positions and config.get("model_type") in BEHIND_PADDING:
        padding = None if config["model_type"] == "mpnet" else config.get("pad_token_id")
        return positions - (_PADDING if padding is None else int(padding)) - 1
    return positions


def _default_positions(path: Path, config: Mapping[str, Any]) -> Any:
    # A family may call it otherwise (GPT-2: n_positions), or leave it to a default: its own class knows.
    if "model_type" not in config:
        return None
    from transformers import AutoConfig

    try:
        own = AutoConfig.from_pretrained(str(path), local_files_only=True, trust_remote_code=False)
    except Exception:  # a family that transformers does not know has no default to ask for
        return config.get("n_positions")
    return getattr(own, "max_position_embeddings", None)


def _has_table(path: Path) -> bool:
    names = [name for file in path.glob("*.safetensors") for name in tensor_names(file)]
    # Weights in another form are not looked into: a limit too low says so, one too high kills.
    return not names or any(_TABLE.search(name) for name in names)


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) and 0 < value < _NO_LIMIT else None


def _lowest(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
