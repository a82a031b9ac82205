"""The engine that runs a converted model by OpenVINO, on CPUs."""

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.embedding.hardware import thread_limit
from dragon_finetune.embedding.openvino_import import load_openvino
from dragon_finetune.model_folder import Role


class OpenVinoEngine:
    """A converted model on the CPU. Opening one imports neither torch nor transformers.

    Args:
        path: the folder that `convert` wrote.
        precision: "fp32" or "bf16".
        keep_compiled: keep what compiling made in that folder, for the next one that opens it.
    """

    def __init__(self, path: Path, precision: str, *, keep_compiled: bool = True) -> None:
        self._path, self._precision, self._keep_compiled = path, precision, keep_compiled
        self.name = f"openvino-{precision}"
        self._local = threading.local()
        self._padding = threading.Lock()

    def tokenizer_of(self, role: Role | None) -> Tokenizer:
        """Return the Rust tokenizer exactly as the torch model used it, truncating at the limit: one for all roles."""
        return self._tokenizer

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer.from_file(str(self._path / "tokenizer.json"))

    @cached_property
    def _compiled(self) -> Any:
        hints: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[self._precision],
            "PERFORMANCE_HINT": "LATENCY",  # one request uses all cores: our batches are already large
        }
        if threads := thread_limit():
            hints["INFERENCE_NUM_THREADS"] = threads
        if self._keep_compiled:
            hints["CACHE_DIR"] = str(self._path / "compiled")
        return load_openvino().Core().compile_model(str(self._path / "model.xml"), "CPU", hints)

    def open(self) -> "OpenVinoEngine":
        """Compile the model now; raises RuntimeError if its files are damaged."""
        assert self._compiled
        return self

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return int(self._compiled.output(0).partial_shape[1].get_length())

    def embed(self, texts: Sequence[str], prompt: str, role: Role | None) -> Vectors:
        """Return unit vectors, (texts, dimension), of texts that are padded into one batch, whatever their role."""
        encoded = self._tokenizer.encode_batch_fast([prompt + text for text in texts])
        longest = max(len(each) for each in encoded)
        ids = np.zeros((len(encoded), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, each in enumerate(encoded):
            ids[row, : len(each)] = each.ids
            mask[row, : len(each)] = 1
        # A request holds its inputs and outputs, so every thread needs its own.
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        vectors = self._local.request.infer({"input_ids": ids, "attention_mask": mask})[0]
        return np.array(vectors, dtype=np.float32)
