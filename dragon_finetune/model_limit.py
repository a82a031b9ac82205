"""How many tokens a model reads, from its files: what was saved, and how many positions it can really use."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dragon_finetune.model_layout import read_optional

# Families that count positions from behind the padding's: so many of the embeddings stand for no token. (transformers:
# `create_position_ids_from_input_ids` in each of their files.)
_RESERVING = frozenset(
    "roberta roberta-prelayernorm xlm-roberta xlm-roberta-xl camembert xmod data2vec-text ibert longformer luke mluke "
    "markuplm lilt layoutlmv3 mpnet esm".split()
)
_POSITIONS = ("max_position_embeddings", "n_positions", "max_trained_positions")
_SAVED = "sentence_{}_config.json"
_KINDS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
_WITHOUT_END = 1e9  # transformers writes a number near 1e30 where a tokenizer has no limit


def saved_settings(folder: Path) -> dict[str, Any]:
    """Return what sentence-transformers saved beside a transformer: `max_seq_length`, `do_lower_case`; or {}."""
    found = (read_optional(folder / _SAVED.format(kind)) for kind in _KINDS)
    settings: dict[str, Any] = next((each for each in found if each), {})
    return settings


def limit_of(folder: Path) -> int | None:
    """Return how many tokens the transformer in `folder` reads, special tokens included; None if nothing bounds it.

    sentence-transformers takes a saved `max_seq_length` before the tokenizer's own limit; neither may exceed the
    positions that the model can use.
    """
    saved = saved_settings(folder).get("max_seq_length")
    tokenizer = read_optional(folder / "tokenizer_config.json").get("model_max_length")
    limits = [saved or tokenizer, *_usable_positions(read_optional(folder / "config.json"))]
    return min((int(limit) for limit in limits if limit and 0 < limit < _WITHOUT_END), default=None)


def _usable_positions(config: dict[str, Any]) -> Iterator[int]:
    text = config.get("text_config") or config
    positions = next((text[name] for name in _POSITIONS if text.get(name)), None)
    # transformers' own default where the file leaves the padding out is 1, in all of these families.
    padding = 1 if text.get("pad_token_id") is None else int(text["pad_token_id"])
    reserved = padding + 1 if text.get("model_type") in _RESERVING else 0
    if positions:
        yield int(positions) - reserved
