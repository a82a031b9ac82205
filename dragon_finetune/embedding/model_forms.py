"""The two forms in which sentence-transformers has written a model folder, read as one and written as the older one.

Since 5.4 it writes other class names, keys and defaults. sentence-transformers 3 to 5.3, Ollama's importer
(convert_bert.go) and text-embeddings-inference know only the form before; some of them then pool otherwise than the
model was trained to, without an error. The form before is read by all of them, and by 6.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dragon_finetune.files import write_json
from dragon_finetune.model_encoder import read_encoder
from dragon_finetune.model_layout import Module, read_layout, read_optional

# Flag of the older form -> mode, in the order in which sentence-transformers 6 joins several.
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_OURS_AND_THEIRS = "sentence_transformers."
_MODELS = "sentence_transformers.models."
# What the newer form states although it is what every reader does anyway.
_STATED = {
    "transformer_task": "feature-extraction",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
    "module_output_name": "token_embeddings",
}
_SENTENCE = {"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"}
_TOKENIZER = {"TokenizersBackend": "PreTrainedTokenizerFast"}  # two names of one class of transformers 5


def same_in_both(name: str, values: Any) -> Any:
    """Return what a JSON file of a model says, the same in whichever form it is written; {}: nothing but defaults.

    Args:
        name: of the file.
        values: its content.
    """
    if name == "modules.json" and isinstance(values, list):
        return [{**each, "type": _older_name(each.get("type"))} for each in values]
    if not isinstance(values, dict):
        return values
    if name == "router_config.json":
        return _older_router(values)
    if name.startswith("sentence_"):
        # The limit has an entry of its own in a fingerprint.
        return _without(values, {**_STATED, "do_lower_case": False, "max_seq_length": values.get("max_seq_length")})
    if name == "tokenizer_config.json":
        return _older_tokenizer(values)
    if "pooling_mode" in values or _FLAGS.keys() & values.keys():
        return _pooling(values)
    return _without(values, _SENTENCE)


def write_older_form(folder: Path) -> None:
    """Rewrite the JSON files of a model folder in the form that every reader knows; the model stays the same.

    What the older form has no word for (a module of its author's own, several modalities) stays as it is.

    Args:
        folder: a complete model, not published yet.
    """
    layout = read_layout(folder)
    for module in dict.fromkeys([*layout.modules, *layout.inputs.values()]):
        _rewrite(module)
    _change(folder / "modules.json", lambda values: same_in_both("modules.json", values))
    for router in folder.rglob("router_config.json"):
        _change(router, _older_router)


def _rewrite(module: Module) -> None:
    if module.kind == "Transformer":
        limit = read_encoder(module).limit.tokens
        path = module.path / "sentence_bert_config.json"
        _change(path, lambda values: _older_encoder(values, limit))
        _change(module.path / "tokenizer_config.json", _older_tokenizer)
    elif module.kind == "Pooling":
        _change(module.path / "config.json", _older_pooling)
    elif module.kind == "Dense":
        _change(module.path / "config.json", lambda values: _without(values, _SENTENCE))


def _change(file: Path, change: Callable[[Any], Any]) -> None:
    if file.is_file() and (new := change(old := read_optional(file))) != old:
        write_json(file, new)


def _without(values: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not (name in stated and stated[name] == value)}


def _older_name(name: Any) -> Any:
    known = isinstance(name, str) and name.startswith(_OURS_AND_THEIRS)
    return _MODELS + name.rpartition(".")[2] if known else name


def _older_router(values: dict[str, Any]) -> dict[str, Any]:
    types = {place: _older_name(name) for place, name in (values.get("types") or {}).items()}
    return {**values, "types": types} if types else values


def _older_encoder(values: dict[str, Any], limit: int | None) -> dict[str, Any]:
    stated = {"max_seq_length": limit} if limit else {}
    return {**_without(values, _STATED), **stated, "do_lower_case": bool(values.get("do_lower_case"))}


def _older_tokenizer(values: dict[str, Any]) -> dict[str, Any]:
    older = dict(values)
    if values.get("tokenizer_class") in _TOKENIZER:
        older["tokenizer_class"] = _TOKENIZER[values["tokenizer_class"]]
    # transformers 4 takes only a mapping under the newer name.
    if isinstance(values.get("extra_special_tokens"), list):
        older["additional_special_tokens"] = older.pop("extra_special_tokens")
    return older


def _modes(values: Mapping[str, Any]) -> list[str]:
    stated = values.get("pooling_mode")
    if stated is not None:
        return [stated] if isinstance(stated, str) else list(stated)
    return [mode for flag, mode in _FLAGS.items() if values.get(flag)] or ["mean"]


def _dimension(values: Mapping[str, Any]) -> Any:
    return values.get("word_embedding_dimension", values.get("embedding_dimension"))


def _pooling(values: Mapping[str, Any]) -> dict[str, Any]:
    private = {*_FLAGS, "pooling_mode", "embedding_dimension", "word_embedding_dimension"}
    more = {name: value for name, value in values.items() if name not in private}
    return {**_without(more, {"include_prompt": True}), "dimension": _dimension(values), "modes": _modes(values)}


def _older_pooling(values: dict[str, Any]) -> dict[str, Any]:
    modes = _modes(values)
    flags = {flag: mode in modes for flag, mode in _FLAGS.items()}
    # Both forms read this key, but the older one only where there is one mode.
    one = {"pooling_mode": modes[0]} if len(modes) == 1 else {}
    include = {"include_prompt": bool(values.get("include_prompt", True))}
    in_order = modes == [mode for mode in _FLAGS.values() if mode in modes]
    return {"word_embedding_dimension": _dimension(values), **one, **flags, **include} if in_order else values
