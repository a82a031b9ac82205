"""The engine that runs a model as sentence-transformers does, on any device."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.embedding.routes import input_module, is_routed
from dragon_finetune.errors import ModelError
from dragon_finetune.model_folder import Role

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class TorchEngine:
    """The model as sentence-transformers runs it.

    Args:
        model: the loaded model, weights in fp32.
        precision: "fp32", or "bf16" or "fp16" for autocast.
    """

    def __init__(self, model: "SentenceTransformer", precision: str) -> None:
        self._model, self._precision = model, precision
        self._routed = is_routed(model)
        self.name = f"torch-{precision}"

    def tokenizer_of(self, role: Role | None) -> Any:
        """Return the tokenizer of a role: transformers', or tokenizers' own for a static encoder."""
        return input_module(self._model, role).tokenizer

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        dimension = self._model.get_embedding_dimension()
        if dimension is None:
            raise ModelError("The model does not say its dimension.")
        return dimension

    def embed(self, texts: Sequence[str], prompt: str, role: Role | None) -> Vectors:
        """Return unit vectors, (texts, dimension), of texts that are padded into one batch."""
        # Without a router the role would only let a text be cut (query_length), which the limit has seen to.
        task: dict[str, Any] = {"task": role} if self._routed else {}
        with self._autocast():
            vectors: Any = self._model.encode(
                list(texts),
                prompt=prompt,
                batch_size=len(texts),
                show_progress_bar=False,
                convert_to_tensor=True,
                **task,
            )
        unit = vectors.float() / vectors.float().norm(dim=1, keepdim=True)
        return np.asarray(unit.cpu().numpy(), dtype=np.float32)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self._precision == "fp32":
            return nullcontext()
        import torch  # loaded already, with the model

        dtype = torch.bfloat16 if self._precision == "bf16" else torch.float16
        return torch.autocast(self._model.device.type, dtype=dtype)
