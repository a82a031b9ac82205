"""The weights of a BERT or a nomic-bert under the names that llama.cpp gives them."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from dragon_finetune.errors import ModelError
from dragon_finetune.export.source import Source

Weights = npt.NDArray[np.float32]

# transformers' names -> llama.cpp's (its src/llama-arch.cpp lists them).
_BERT = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_NOMIC = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
    "self_attn.qkv": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "attn_output_norm",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_proj": "ffn_gate",
    "mlp.down_proj": "ffn_down",
    "post_mlp_layernorm": "layer_output_norm",
}
_NAMES = {"bert": _BERT, "nomic_bert": _NOMIC}
ARCHITECTURES = {"bert": "bert", "nomic_bert": "nomic-bert"}
"""transformers' families that are written, and llama.cpp's names of them."""
_ACTIVATIONS = {"bert": ("gelu",), "nomic_bert": ("silu",)}
# The pooler makes no embedding; the rest are numbers in a row.
_LEFT_OUT = re.compile(r"^pooler\.|(position_ids|token_type_ids|inv_freq)$")
_LAYER = re.compile(r"^(?:encoder\.)?layers?\.(\d+)\.(.+)$")


def require_known_family(source: Source) -> None:
    """Raise ModelError unless llama.cpp computes this family just so."""
    config = source.body.config
    family = config.model_type
    if family not in ARCHITECTURES or getattr(config, "is_decoder", False):
        raise ModelError(
            f"{source.folder.path} is of the family {family}; GGUF is written here for {', '.join(ARCHITECTURES)}. "
            "Export it --to onnx or openvino."
        )
    if config.hidden_act not in _ACTIVATIONS[family]:
        known = ", ".join(_ACTIVATIONS[family])
        raise ModelError(
            f"{source.folder.path}: hidden_act is {config.hidden_act}; llama.cpp computes {family} with {known}. "
            "Export it --to onnx or openvino."
        )


def weights_of(source: Source) -> Iterator[tuple[str, Weights]]:
    """Yield llama.cpp's name and the weights, float32, of every tensor of the model.

    The table of positions ends at the model's limit, which llama.cpp takes for the length of a context.

    Raises:
        ModelError: a tensor for which llama.cpp has no place.
    """
    names = _NAMES[source.body.config.model_type]
    for name, weights in _joined(source.body.state_dict()):
        if _LEFT_OUT.search(name):
            continue
        place, _, kind = name.rpartition(".")
        layer = _LAYER.match(place)
        known = names.get(layer[2] if layer else place)
        if known is None:
            raise ModelError(f"{source.folder.path}: GGUF has no place for {name}. Export it --to onnx or openvino.")
        if known == "position_embd":
            weights = weights[: source.limit]
        yield f"blk.{layer[1]}.{known}.{kind}" if layer else f"{known}.{kind}", np.ascontiguousarray(weights)


def _joined(tensors: dict[str, Any]) -> Iterator[tuple[str, Weights]]:
    """Yield names and weights; a nomic-bert's queries, keys and values as one, as llama.cpp reads them."""
    for name, tensor in tensors.items():
        if name.endswith(("self_attn.k_proj.weight", "self_attn.v_proj.weight")):
            continue
        parts = [tensor]
        if name.endswith("self_attn.q_proj.weight"):
            parts += [tensors[name.replace("q_proj", f"{other}_proj")] for other in "kv"]
            name = name.replace("q_proj", "qkv")
        yield name, np.concatenate([part.float().cpu().numpy() for part in parts])
