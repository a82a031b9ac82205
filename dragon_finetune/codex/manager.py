"""Our embedder in the form of the managers of generations B and C."""

from collections.abc import Mapping
from typing import Any

from dragon_finetune.codex.caller import DOCUMENT, QUERY, RAW, role_of_caller
from dragon_finetune.codex.refusals import reported
from dragon_finetune.errors import PluginError

_BATCH_SIZE = 32
_MODEL = {
    "EMBEDDING_MODEL_RAW_PREFIX": None,
    "EMBEDDING_MODEL_SEARCH_PREFIX": QUERY,
    "EMBEDDING_MODEL_DOCUMENT_PREFIX": DOCUMENT,
}
_CHUNK_TYPES = {"RAW": RAW, "SEARCH": QUERY, "DOCUMENT": DOCUMENT}  # generation C's


class Manager:
    """What the host's factory gives its scripts (HOST_CONTRACT 2, 11).

    Args:
        embedder: ours.
        config_dict: the host's own settings of a manager; completed where a caller reads them.
        factory: the host's module of managers, through which calls may pass.
    """

    def __init__(self, embedder: Any, config_dict: Mapping[str, Any] | None, factory: str) -> None:
        self._embedder, self._factory = embedder, factory
        given = dict(config_dict or {})
        key = "EMBEDDING_MODEL_CONFIG" if "EMBEDDING_MODEL_CONFIG" in given else "EMBEDDING_MODEL"
        model = given.get(key)
        self.config_dict = {"EMBEDDING_BATCH_SIZE": _BATCH_SIZE, **given}
        self.config_dict[key] = {**_MODEL, **(model if isinstance(model, Mapping) else {})}

    def test_connection(self) -> bool:
        """Tell whether the model loads."""
        return bool(self._embedder.test_connection())

    def get_manager_config(self) -> dict[str, Any]:
        """Return the host's own dict, completed."""
        return self.config_dict

    def embed_chunks(
        self, texts: Any, show_progress: bool = True, prefix: str | None = None, chunk_type: Any = None
    ) -> Any:
        """Return (vectors, mean tokens, most tokens, elapsed).

        Args:
            texts: any number of texts.
            show_progress: whether to show a bar.
            prefix: generation B's ("search_query", "search_document"): chooses the model's own prompt.
            chunk_type: generation C's (RAW, SEARCH, DOCUMENT, as text or as a member of an enum).

        Neither: the calling module tells (`caller.role_of_caller`).
        """
        asked = prefix if chunk_type is None else chunk_type
        asked = getattr(asked, "name", asked)
        role = role_of_caller(self._factory) if asked is None else _CHUNK_TYPES.get(asked, asked)
        with reported():
            return self._embedder.embed_chunks(list(texts), show_progress=show_progress, prefix=role)

    def tokenize_text(self, text: str) -> list[int]:
        """Return the ids of a text's tokens as the model reads them, special tokens included, without a prompt."""
        folder = getattr(self._embedder, "folder", None)
        if folder is None:
            raise PluginError(
                f"the embedder {type(self._embedder).__name__} has no tokenizer that a chunker could ask."
            )
        with reported():
            tokenizer = folder.load_tokenizer()
            return list(tokenizer(text, truncation=False, verbose=False)["input_ids"])

    def token_count(self, text: str) -> int:
        """Return the number of tokens of a text, special tokens included."""
        return len(self.tokenize_text(text))
