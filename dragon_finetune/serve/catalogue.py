"""Which models are served, under which names, and which role a name asks for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.errors import SettingsError
from dragon_finetune.model_folder import Role
from dragon_finetune.serve.request_error import RequestError

# What a name may end in. Ollama puts "latest" behind a name that has no tag.
_TAGS: dict[str, Role | None] = {"latest": None, "query": "query", "document": "document"}
# Nomic's prompts, which many programs put before every text; Dragon's Codex without the colon.
_BY_HAND = re.compile(r"search_(query|document):? ?")
# `input_type` as Cohere, Voyage and NVIDIA call it.
_INPUT_TYPES: dict[str, Role] = {
    "query": "query",
    "search_query": "query",
    "document": "document",
    "search_document": "document",
    "passage": "document",
}


@dataclass(frozen=True)
class Served:
    """A model, the name it is served under, and the role that a request asked for; None: that of a plain name."""

    name: str
    embedder: FineTunedEmbedder
    role: Role | None

    def placed(self, text: str) -> tuple[str, Role]:
        """Return a text without a prompt that it begins with already, and its role.

        A plain name is the document role, unless the text brings a query's prompt along, as programs do that know what
        the model wants: a prompt must not stand there twice, nor the name of one where the model has none.
        """
        if by_hand := _BY_HAND.match(text):
            named: Role = "query" if by_hand[1] == "query" else "document"
            if self.role in (None, named) and by_hand.end() < len(text):
                return text[by_hand.end() :], named
        prompts = self.embedder.folder.prompts
        for role in (self.role,) if self.role else ("query", "document"):
            prompt = prompts.of(role)
            if prompt and text.startswith(prompt):
                return text[len(prompt) :], role
        return text, self.role or "document"

    @cached_property
    def card(self) -> dict[str, Any]:
        """What is told of the model."""
        folder = self.embedder.folder
        return {
            "fingerprint": self.embedder.fingerprint,
            "dimension": self.embedder.dimension,
            "limit": folder.limit,
            "prompts": {"query": folder.prompts.query, "document": folder.prompts.document},
            "engine": self.embedder.engine.name,
            "words": self.embedder.joiner is not None and self.embedder.joiner.lexicon is not None,
        }


class Catalogue:
    """The models that are served.

    Args:
        models: by name.

    Raises:
        SettingsError: a name that holds a colon, white space, or nothing.
    """

    def __init__(self, models: Mapping[str, FineTunedEmbedder]) -> None:
        for name in models:
            if not name or ":" in name or name.split() != [name]:
                raise SettingsError(
                    f"nobody can ask for the name {name!r}; give one without colon and spaces (--name)."
                )
        self._models = {name: Served(name, embedder, None) for name, embedder in models.items()}

    def __iter__(self) -> Any:
        return iter(self._models.values())

    @property
    def names(self) -> list[str]:
        """Every name that can be asked for."""
        return [each for name in self._models for each in (name, *(f"{name}:{role}" for role in ("query", "document")))]

    def find(self, name: str, input_type: str | None = None) -> Served:
        """Return the model of a name, in the role that the name's tag or `input_type` asks for.

        Raises:
            RequestError: 404 for an unknown name, with those that there are; 400 for an `input_type` that is unknown or
                contradicts the name.
        """
        bare, colon, tag = name.partition(":")
        found = self._models.get(bare)
        if found is None or (colon and tag not in _TAGS):
            raise RequestError(404, f"model {name!r:.100} not found; there is {', '.join(self.names)}")
        role = _TAGS[tag] if colon else None
        if input_type is None:
            return Served(bare, found.embedder, role)
        asked = _INPUT_TYPES.get(input_type)
        if asked is None:
            raise RequestError(400, f"input_type is {input_type!r:.60}; it is one of {', '.join(_INPUT_TYPES)}")
        if role not in (None, asked):
            raise RequestError(400, f"input_type is {input_type!r}, but the name {name!r} asks for the role {role}")
        return Served(bare, found.embedder, asked)
