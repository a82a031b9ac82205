"""A loaded model written in OpenVINO's form."""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from dragon_finetune.embedding.chatter import libraries_quiet
from dragon_finetune.embedding.openvino_import import load_openvino
from dragon_finetune.embedding.routes import is_routed
from dragon_finetune.errors import ModelError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

CONVERTED = "openvino"
"""The folder of the converted model, in the cache of its model."""


def convert(model: "SentenceTransformer", target: Path) -> Path:
    """Write the OpenVINO form of a loaded model into the folder `target`, whole or not at all; return `target`.

    Raises:
        ModelError: the model is of a kind that can't be converted; says why.
    """
    if is_routed(model):
        raise ModelError("OpenVINO can't follow a router, whose queries and documents go different ways.")
    written_whole(target, lambda draft: _write_openvino(model, draft))
    return target


def written_whole(target: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a folder of a model, which comes to `target` whole or not at all, unless one is there."""
    if (target / "model.xml").is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as draft:
        write(Path(draft) / target.name)
        try:
            (Path(draft) / target.name).rename(target)
        except OSError:
            if not (target / "model.xml").is_file():  # else another process was faster
                raise


def _write_openvino(model: "SentenceTransformer", folder: Path) -> None:
    import torch

    openvino = load_openvino()

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
    with torch.inference_mode(), warnings.catch_warnings(), libraries_quiet():
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
