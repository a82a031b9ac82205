"""A model written as an ONNX folder, for fastembed, text-embeddings-inference and whoever runs ONNX."""

import warnings
from pathlib import Path
from typing import Any

from dragon_finetune.embedding.chatter import libraries_quiet
from dragon_finetune.errors import ModelError
from dragon_finetune.export.source import Source
from dragon_finetune.files import read_json, write_json
from dragon_finetune.training.saving import save_model

OUTPUT = "last_hidden_state"
_POOLINGS = ("mean", "cls")
_OPSET = 17
# What a tokenizer's settings say of cutting and padding, which readers take for the limit.
_CUTTING = ("max_length", "stride", "truncation_strategy", "pad_to_multiple_of")


def check_onnx(source: Source) -> None:
    """Raise ModelError, before anything is written, where readers of ONNX could not use a model."""
    source.require_plain("ONNX", _POOLINGS)
    if getattr(source.tokenizer, "backend_tokenizer", None) is None:
        raise ModelError(
            f"{source.folder.path}: its tokenizer is written in Python; readers of ONNX need a tokenizer.json. Serve "
            "it with `dragon-finetune serve`."
        )


def write_onnx(source: Source, folder: Path) -> list[str]:
    """Write model.onnx, its tokenizer and settings into a folder; return what to know of it, in sentences.

    The graph takes `input_ids`, `attention_mask` and, where the model has them, `token_type_ids`, (texts, tokens) of
    int64, and gives `last_hidden_state`, (texts, tokens, dimension) of float32, which its reader pools.
    """
    save_model(source.model, folder, source.folder)
    for weights in [*folder.glob("*.safetensors*"), *folder.glob("*.bin")]:
        weights.unlink()
    _write_tokenizer(source, folder)
    _write_graph(source, folder / "model.onnx")
    return [
        f"pool by {source.pooling}, then normalise (fastembed: PoolingType.{source.pooling.upper()}, "
        "normalization=True; text-embeddings-inference reads 1_Pooling/config.json)"
    ]


def _write_tokenizer(source: Source, folder: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(source.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.enable_truncation(source.limit)
    tokenizer.save(str(folder / "tokenizer.json"))
    said: dict[str, Any] = read_json(folder / "tokenizer_config.json", any_number=True)
    said = {name: value for name, value in said.items() if name not in _CUTTING}
    write_json(folder / "tokenizer_config.json", {**said, "model_max_length": source.limit})
    named = {name: str(token) for name, token in source.tokenizer.special_tokens_map.items() if isinstance(token, str)}
    write_json(folder / "special_tokens_map.json", named)


def _write_graph(source: Source, file: Path) -> None:
    import torch

    body = source.body
    names = ["input_ids", "attention_mask"]
    if "token_type_ids" in source.tokenizer.model_input_names:
        names.append("token_type_ids")

    class Graph(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, *given: Any) -> Any:
            return self.body(**dict(zip(names, given, strict=True))).last_hidden_state

    ids = torch.ones((2, 9), dtype=torch.int64)
    example = {"input_ids": ids, "attention_mask": ids, "token_type_ids": torch.zeros_like(ids)}
    axes = {name: {0: "batch", 1: "sequence"} for name in [*names, OUTPUT]}
    with torch.inference_mode(), warnings.catch_warnings(), libraries_quiet():
        # torch's older exporter needs no further library and a sixth of the time; it calls itself deprecated.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Graph().eval(), tuple(example[name] for name in names), str(file), input_names=names,
            output_names=[OUTPUT], dynamic_axes=axes, opset_version=_OPSET, dynamo=False,
        )  # fmt: skip
