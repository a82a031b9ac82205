"""The formats that a model is exported in: how each is refused, written and run."""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.export.gguf_file import DTYPES, check_gguf, write_gguf
from dragon_finetune.export.llama_engine import embed_by_llama
from dragon_finetune.export.onnx_engine import embed_by_onnxruntime
from dragon_finetune.export.onnx_folder import check_onnx, write_onnx
from dragon_finetune.export.openvino_folder import check_openvino, embed_by_openvino, write_openvino
from dragon_finetune.export.source import Source

_FULL = ("f32",)


@dataclass(frozen=True)
class Format:
    """One format: how it is refused, written and run.

    Attributes:
        dtypes: of the weights; the first is the default.
        engine: the package that runs it.
        check: raises what can't be, before anything is written.
        write: writes into an empty folder, in a dtype; returns what to know of it, in sentences.
        embed: runs what was written: texts, prompts included, to vectors.
    """

    dtypes: tuple[str, ...]
    engine: str
    check: Callable[[Source], None]
    write: Callable[[Source, Path, str], list[str]]
    embed: Callable[[Source, Path, Sequence[str]], Vectors]

    @property
    def engine_and_version(self) -> str:
        """The engine's name and version, as it is installed."""
        return f"{self.engine} {importlib.metadata.version(self.engine)}"

    @property
    def is_runnable(self) -> bool:
        """Whether the engine is installed."""
        return importlib.util.find_spec(self.engine) is not None


FORMATS = {
    "gguf": Format(
        DTYPES,
        "xllamacpp",
        check_gguf,
        write_gguf,
        lambda source, folder, texts: embed_by_llama(folder, texts, source.limit),
    ),
    "onnx": Format(
        _FULL,
        "onnxruntime",
        check_onnx,
        lambda source, folder, _: write_onnx(source, folder),
        lambda _, folder, texts: embed_by_onnxruntime(folder, texts),
    ),
    "openvino": Format(
        _FULL,
        "openvino",
        check_openvino,
        lambda source, folder, _: write_openvino(source, folder),
        lambda _, folder, texts: embed_by_openvino(folder, texts),
    ),
}
