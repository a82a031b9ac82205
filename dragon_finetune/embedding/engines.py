"""Engines turn one batch of texts into vectors: torch on any device, OpenVINO on CPUs."""

import tempfile
import threading
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from dragon_finetune.errors import ModelError
from dragon_finetune.tokens.batching import TokenBatcher

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = npt.NDArray[np.float32]


class Engine(Protocol):
    """Embeds batches; safe to share by threads. `name` says how ("torch-fp32"); `tokenizer` counts its tokens."""

    name: str

    @property
    def tokenizer(self) -> Any: ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str], prompt: str) -> Vectors:
        """Return unit vectors, (texts, dimension), of texts that are padded into one batch."""
        ...


def embed_sorted(
    engine: Engine, texts: Sequence[str], lengths: Sequence[int], prompt: str, batcher: TokenBatcher, bar: Any = None
) -> Vectors:
    """Return unit vectors, (texts, dimension), in the order of the texts, embedded in batches of like length.

    Args:
        engine: what embeds.
        texts: any number of texts.
        lengths: their tokens, prompt included, at most the limit.
        prompt: goes before each text.
        batcher: the budget of a batch.
        bar: a tqdm bar, moved by tokens.
    """
    vectors = np.empty((len(texts), engine.dimension), dtype=np.float32)
    for batch in batcher.batches(lengths):
        rows = list(batch)
        vectors[rows] = engine.embed([texts[row] for row in rows], prompt)
        if bar is not None:
            bar.update(sum(lengths[row] for row in rows))
    return vectors


class TorchEngine:
    """The model as sentence-transformers runs it.

    Args:
        model: the loaded model, weights in fp32.
        precision: "fp32", or "bf16" or "fp16" for autocast.
    """

    def __init__(self, model: "SentenceTransformer", precision: str) -> None:
        self._model, self._precision = model, precision
        self.name = f"torch-{precision}"

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer."""
        return self._model.tokenizer

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        dimension = self._model.get_embedding_dimension()
        if dimension is None:
            raise ModelError("The model does not say its dimension.")
        return dimension

    def embed(self, texts: Sequence[str], prompt: str) -> Vectors:
        """Return unit vectors, (texts, dimension), of texts that are padded into one batch."""
        with self._autocast():
            vectors: Any = self._model.encode(
                list(texts),
                prompt=prompt,
                batch_size=len(texts),
                show_progress_bar=False,
                convert_to_tensor=True,
            )
        unit = vectors.float() / vectors.float().norm(dim=1, keepdim=True)
        return np.asarray(unit.cpu().numpy(), dtype=np.float32)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self._precision == "fp32":
            return nullcontext()
        import torch  # loaded already, with the model

        dtype = torch.bfloat16 if self._precision == "bf16" else torch.float16
        return torch.autocast(self._model.device.type, dtype=dtype)


class OpenVinoEngine:
    """A converted model on the CPU. Opening one imports neither torch nor transformers.

    Args:
        path: the folder that `convert` wrote.
        precision: "fp32" or "bf16".
    """

    def __init__(self, path: Path, precision: str) -> None:
        self._path, self._precision = path, precision
        self.name = f"openvino-{precision}"
        self._local = threading.local()
        self._padding = threading.Lock()

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The Rust tokenizer exactly as the torch model used it, truncating at the limit."""
        return Tokenizer.from_file(str(self._path / "tokenizer.json"))

    @cached_property
    def _compiled(self) -> Any:
        import openvino

        hints: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[self._precision],
            "PERFORMANCE_HINT": "LATENCY",  # one request uses all cores: our batches are already large
            "CACHE_DIR": str(self._path / "compiled"),
        }
        return openvino.Core().compile_model(str(self._path / "model.xml"), "CPU", hints)

    def open(self) -> "OpenVinoEngine":
        """Compile the model now; raises RuntimeError if its files are damaged."""
        assert self._compiled
        return self

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return int(self._compiled.output(0).partial_shape[1].get_length())

    def embed(self, texts: Sequence[str], prompt: str) -> Vectors:
        """Return unit vectors, (texts, dimension), of texts that are padded into one batch."""
        encoded = self.tokenizer.encode_batch_fast([prompt + text for text in texts])
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


def convert(model: "SentenceTransformer", target: Path) -> Path:
    """Write the OpenVINO form of a loaded model into the folder `target`, whole or not at all; return `target`.

    Raises:
        ModelError: the model is of a kind that can't be converted; says why.
    """
    if (target / "model.xml").is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as draft:
        _write_openvino(model, Path(draft) / "openvino")
        try:
            (Path(draft) / "openvino").rename(target)
        except OSError:
            if not (target / "model.xml").is_file():  # else another process was faster
                raise
    return target


def _write_openvino(model: "SentenceTransformer", folder: Path) -> None:
    import openvino
    import torch

    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None or any(getattr(module, "include_prompt", True) is False for module in model):
        raise ModelError("OpenVINO needs a Rust tokenizer, and pooling that counts the prompt.")

    class Graph(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            vectors = self.model({"input_ids": input_ids, "attention_mask": attention_mask})["sentence_embedding"]
            return torch.nn.functional.normalize(vectors, dim=1)

    example = {"input_ids": torch.ones((2, 9), dtype=torch.int64), "attention_mask": torch.ones((2, 9)).long()}
    with torch.inference_mode(), warnings.catch_warnings():
        # OpenVINO traces with torch.jit, which torch calls deprecated, and tracing warns of every branch it takes.
        warnings.simplefilter("ignore")
        graph = openvino.convert_model(Graph().eval(), example_input=example)
    for port in graph.inputs:
        port.get_node().set_partial_shape(openvino.PartialShape([-1, -1]))
        port.get_node().set_element_type(openvino.Type.i64)
    graph.validate_nodes_and_infer_types()
    folder.mkdir()
    openvino.save_model(graph, folder / "model.xml", compress_to_fp16=False)
    tokenizer = Tokenizer.from_str(backend.to_str())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if model.max_seq_length:
        tokenizer.enable_truncation(int(model.max_seq_length))
    tokenizer.save(str(folder / "tokenizer.json"))
