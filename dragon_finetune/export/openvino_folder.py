"""A model written as an OpenVINO folder, whose graph ends with the vector itself, and run by OpenVINO."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from dragon_finetune.embedding.conversion import convert
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.embedding.hardware import has_openvino
from dragon_finetune.embedding.openvino_engine import OpenVinoEngine
from dragon_finetune.errors import SettingsError
from dragon_finetune.export.source import Source

_FILES = ("model.xml", "model.bin", "tokenizer.json")
_TEXTS_AT_ONCE = 8


def check_openvino(source: Source) -> None:
    """Raise SettingsError where OpenVINO, which writes its form itself, is not installed."""
    if not has_openvino():
        raise SettingsError('OpenVINO writes its form itself: pip install "dragon-finetune[export]".')


def write_openvino(source: Source, folder: Path) -> list[str]:
    """Write model.xml, model.bin and tokenizer.json into a folder; return what to know of them, in sentences.

    The graph takes `input_ids` and `attention_mask`, (texts, tokens) of int64, and gives unit vectors, (texts,
    dimension) of float32: pooled and normalised. The tokenizer truncates at the model's limit.
    """
    made = convert(source.model, folder / "converted")
    for name in _FILES:
        (made / name).rename(folder / name)
    shutil.rmtree(made)
    return ["model.xml gives finished vectors: pooled, and of length 1"]


def embed_by_openvino(folder: Path, texts: Sequence[str]) -> Vectors:
    """Return OpenVINO's vectors, (texts, dimension), of texts, prompts included."""
    import numpy as np

    engine = OpenVinoEngine(folder, "fp32", keep_compiled=False).open()
    batches = [texts[start : start + _TEXTS_AT_ONCE] for start in range(0, len(texts), _TEXTS_AT_ONCE)]
    return np.concatenate([engine.embed(batch, "", None) for batch in batches])
