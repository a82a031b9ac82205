"""The model that is exported: what other formats have to know of it, and what they have no place for."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.routes import is_routed
from dragon_finetune.errors import ModelError
from dragon_finetune.model_folder import ModelFolder, Role
from dragon_finetune.model_place import LEVEL, LEXICON

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# What other engines do after the hidden states: pool in one way, and normalise, as we always do.
_PLAIN = ("Transformer", "Pooling", "Normalize")
_USUAL_LIMIT = 512
ROLES: tuple[Role, ...] = ("query", "document")


@dataclass(frozen=True)
class Source:
    """A model to export, its dense half in fp32 on the CPU.

    Attributes:
        embedder: makes the vectors that an export must make too.
        pooling: "mean", "cls" or another mode of sentence-transformers; several joined by "+".
        has_words: whether the folder has more in its vectors than the model (a lexicon, a level of distances), which
            no other format has a place for.
    """

    embedder: FineTunedEmbedder
    pooling: str
    has_words: bool

    @classmethod
    def open(cls, model: str | Path) -> "Source":
        """Return the model, loaded.

        Raises:
            ModelError: no such model, or one whose queries and documents go different ways.
        """
        embedder = FineTunedEmbedder(model, dense_only=True, precision="fp32", engine="torch", device="cpu")
        if embedder.folder.routed or is_routed(embedder.model):
            raise ModelError(
                f"{embedder.folder.path} is a Router: queries and documents go different ways through it, and these "
                "formats hold one way. Save the encoder of the documents as a model of its own and export that."
            )
        has_words = any((embedder.folder.path / name).is_file() for name in (LEXICON, LEVEL))
        return cls(embedder, _pooling_of(embedder.model), has_words)

    @property
    def folder(self) -> ModelFolder:
        """Prompts, limit, path."""
        return self.embedder.folder

    @property
    def model(self) -> "SentenceTransformer":
        """The loaded model."""
        return self.embedder.model

    @property
    def body(self) -> Any:
        """The transformers model."""
        return self.model[0].auto_model

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of transformers."""
        return self.model.tokenizer

    @property
    def limit(self) -> int:
        """Tokens of a text at most; where the model has no limit, its positions, or 512."""
        return self.folder.limit or getattr(self.body.config, "max_position_embeddings", None) or _USUAL_LIMIT

    def require_plain(self, target: str, poolings: tuple[str, ...]) -> None:
        """Raise ModelError unless the model is a transformer, pooled in one of these ways, and at most normalised."""
        kinds = [type(module).__name__ for module in self.model]
        more = [kind for kind in kinds if kind not in _PLAIN]
        if more or kinds[:2] != ["Transformer", "Pooling"]:
            raise ModelError(
                f"{self.folder.path} is {', '.join(kinds)}; {target} has a place for {', '.join(_PLAIN)} only. "
                "Export it --to openvino, which takes the whole graph."
            )
        with_prompt = bool(self.model[1].include_prompt)
        if self.pooling not in poolings or not with_prompt:
            prompt = "" if with_prompt else " without the prompt"
            raise ModelError(
                f"{self.folder.path} pools by {self.pooling}{prompt}; readers of {target} know {', '.join(poolings)}, "
                "prompt included. Export it --to openvino, or serve it with `dragon-finetune serve`."
            )


def _pooling_of(model: "SentenceTransformer") -> str:
    pooling = next((module for module in model if type(module).__name__ == "Pooling"), None)
    mode: Any = getattr(pooling, "pooling_mode", "none")
    return mode if isinstance(mode, str) else "+".join(mode)
