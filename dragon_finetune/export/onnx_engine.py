"""An ONNX folder run by onnxruntime, from its own files alone, as its readers run it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.export.onnx_folder import OUTPUT
from dragon_finetune.files import read_json

_TEXTS_AT_ONCE = 8


def embed_by_onnxruntime(folder: Path, texts: Sequence[str]) -> Vectors:
    """Return the vectors, (texts, dimension), that the hidden states make, pooled as 1_Pooling/config.json says.

    Args:
        folder: what `write_onnx` wrote.
        texts: prompts included.
    """
    import onnxruntime
    from tokenizers import Tokenizer

    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    by_mean = read_json(folder / "1_Pooling" / "config.json")["pooling_mode_mean_tokens"]
    names = [each.name for each in session.get_inputs()]
    batches = [texts[start : start + _TEXTS_AT_ONCE] for start in range(0, len(texts), _TEXTS_AT_ONCE)]
    return np.concatenate([_embedded(session, tokenizer, names, batch, by_mean) for batch in batches])


def _embedded(session: Any, tokenizer: Any, names: list[str], texts: Sequence[str], by_mean: bool) -> Vectors:
    encoded = tokenizer.encode_batch(list(texts))
    ids = np.array([each.ids for each in encoded], dtype=np.int64)
    mask = np.array([each.attention_mask for each in encoded], dtype=np.int64)
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    (states,) = session.run([OUTPUT], {name: given[name] for name in names})
    pooled = (states * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True) if by_mean else states[:, 0]
    return np.asarray(pooled, dtype=np.float32)
