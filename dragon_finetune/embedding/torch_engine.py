"""The engine that runs a model as sentence-transformers does, on any device."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.errors import ModelError
from dragon_finetune.model_folder import Role

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def is_routed(model: "SentenceTransformer") -> bool:
    """Tell whether a model has an encoder for queries and another for documents."""
    return type(model[0]).__name__ == "Router"


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

    def embed(self, texts: Sequence[str], prompt: str, role: Role | None = None) -> Vectors:
        """Return unit vectors, (texts, dimension), of texts that are padded into one batch."""
        if role is None and is_routed(self._model):
            raise ModelError("This model has query and document encoders; say which the texts are for (their role).")
        with self._autocast():
            vectors: Any = self._model.encode(
                list(texts),
                prompt=prompt,
                task=role,
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
