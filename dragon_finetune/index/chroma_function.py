"""The embedding function that lets a Chroma collection know which encoder made it."""

from typing import Any

from chromadb.api.types import Documents, EmbeddingFunction, Embeddings, Space
from chromadb.utils.embedding_functions import register_embedding_function

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.errors import ModelError, StaleIndexError
from dragon_finetune.model_place import absolute_if_folder, locate_here


@register_embedding_function
class FineTunedEmbeddingFunction(EmbeddingFunction[Documents]):
    """Lets a Chroma collection embed its documents and queries, and keep the encoder's fingerprint in its config.

    A process that opens such a collection by `client.get_collection(name)` and asks it `query_texts` must have imported
    this module, or Chroma does not know the function's name.

    Args:
        model_path: a folder, a hub name, or "embedded".
        fingerprint: what the collection was made with, if it is opened again.
        options: further arguments of FineTunedEmbedder, JSON-safe.

    Raises:
        StaleIndexError: `fingerprint` is given and the model's is another.
    """

    def __init__(self, model_path: str, fingerprint: str | None = None, **options: Any) -> None:
        self._options = options
        self._embedder = FineTunedEmbedder(model_path, **options)
        if fingerprint is not None and not self._embedder.recognises(fingerprint):
            raise StaleIndexError(stale("the collection", str(fingerprint), self._embedder))

    def __call__(self, input: Documents) -> Embeddings:
        """Return the vectors of documents."""
        return list(self._embedder.encode(list(input), role="document"))

    def embed_query(self, input: Documents) -> Embeddings:
        """Return the vectors of queries, with the model's query prompt."""
        return list(self._embedder.encode(list(input), role="query"))

    @staticmethod
    def name() -> str:
        """Return the name under which Chroma stores the function."""
        return "dragon_finetune"

    def default_space(self) -> Space:
        """Return "cosine"."""
        return "cosine"

    def get_config(self) -> dict[str, Any]:
        """Return what `build_from_config` needs, the fingerprint among it."""
        return {
            "model_path": absolute_if_folder(self._embedder.model_path),
            "fingerprint": self._embedder.document_fingerprint,
            "options": self._options,
        }

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> "FineTunedEmbeddingFunction":
        """Return the function of a stored collection.

        Raises:
            StaleIndexError: its model has changed since.
            ModelError: its model is not on this machine, or wants its author's code run: a store may not ask for that.
        """
        name, options = config["model_path"], config.get("options", {})
        place = locate_here(name)
        if place is None or options.get("trust_remote_code"):
            why = "which is not on this machine" if place is None else "with its author's code"
            raise ModelError(
                f"the collection was made by {name!r}, {why}; a store is not trusted to name what is fetched or run. "
                "Open it with embedding_function=embedding_function(FineTunedEmbedder(...))."
            )
        return FineTunedEmbeddingFunction(name, config.get("fingerprint"), **options)


def embedding_function(embedder: FineTunedEmbedder) -> FineTunedEmbeddingFunction:
    """Return the Chroma function of an embedder, with the same vectors."""
    return FineTunedEmbeddingFunction(embedder.model_path, embedder.document_fingerprint, **embedder.options.to_dict())


def stale(what: str, known: str, embedder: FineTunedEmbedder) -> str:
    """Return the sentence that says whose vectors these are, and what to do."""
    return (
        f"{what} was made by another encoder (fingerprint {known[:8]}) than {embedder.model_path} "
        f"({embedder.document_fingerprint[:8]}): its answers would be noise. Embed it again, or open it with the model "
        "that made it."
    )
