"""Which of a loaded model's modules reads a text: the first, or behind a router the one of the text's role."""

from typing import TYPE_CHECKING, Any

from dragon_finetune.model_folder import Role

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def is_routed(model: "SentenceTransformer") -> bool:
    """Tell whether the model has a router, which sends queries and documents different ways."""
    return any(hasattr(module, "sub_modules") for module in model)


def input_module(model: "SentenceTransformer", role: Role | None) -> Any:
    """Return the module that reads texts of a role. Its `tokenizer` is transformers', or tokenizers' own."""
    first: Any = model[0]
    return _behind(first, role)[0] if hasattr(first, "sub_modules") else first


def way(model: "SentenceTransformer", role: Role | None) -> list[Any]:
    """Return the modules that texts of a role go through, in order; those behind a router in its place."""
    parts = (_behind(module, role) if hasattr(module, "sub_modules") else [module] for module in model)
    return [module for part in parts for module in part]


def _behind(router: Any, role: Role | None) -> Any:
    # The router's own rule; a public name for it there is not.
    return router.sub_modules[router._resolve_route(task=role, modality="text")]


def input_modules(model: "SentenceTransformer") -> list[Any]:
    """Return all modules that read texts, each once."""
    roles: tuple[Role | None, ...] = ("query", "document", None)
    return list({id(module): module for module in (input_module(model, role) for role in roles)}.values())
