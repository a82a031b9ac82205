"""The engine that runs a converted model by OpenVINO, on CPUs."""

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.embedding.hardware import fast_precisions, thread_limit
from dragon_finetune.embedding.openvino_import import load_openvino
from dragon_finetune.model_folder import Role

_HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoEngine:
    """A converted model on the CPU. Opening one imports neither torch nor transformers.

    Args:
        path: the folder that `convert` wrote.
        precision: "fp32", "bf16", or "int8" for a quantised model, whose other parts are in the fastest of the two.
        keep_compiled: keep what compiling made in that folder, for the next one that opens it.
    """

    def __init__(self, path: Path, precision: str, *, keep_compiled: bool = True) -> None:
        self._path, self._precision, self._keep_compiled = path, precision, keep_compiled
        self.name = f"openvino-{precision}"
        self._inner = fast_precisions(on_cpu=True)[0] if precision == "int8" else precision
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
            "INFERENCE_PRECISION_HINT": _HINTS[self._inner],
            "PERFORMANCE_HINT": "LATENCY",  # one request uses all cores: our batches are already large
        }
        if threads := thread_limit():
            hints["INFERENCE_NUM_THREADS"] = threads
            hints["ENABLE_CPU_PINNING"] = False  # else all such processes of a machine share its first cores
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


class Int8Engine:
    """A quantised model on the CPU; queries may go through the model as it was.

    Args:
        path: the folder of the quantised model.
        queries: what embeds queries; None: the quantised model too.
    """

    def __init__(self, path: Path, queries: OpenVinoEngine | None) -> None:
        self._documents = OpenVinoEngine(path, "int8").open()
        self._queries = queries
        self.name = "openvino-int8" if queries is None else "openvino-queries_fp32-int8"

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return self._documents.dimension

    def tokenizer_of(self, role: Role | None) -> Tokenizer:
        """Return the one tokenizer of all roles."""
        return self._documents.tokenizer_of(role)

    def embed(self, texts: Sequence[str], prompt: str, role: Role | None) -> Vectors:
        """Return unit vectors, (texts, dimension), of texts that are padded into one batch."""
        engine = self._queries if self._queries and role == "query" else self._documents
        return engine.embed(texts, prompt, role)
