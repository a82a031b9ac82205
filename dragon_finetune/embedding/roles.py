"""Which role a host's prefix stands for."""

from dragon_finetune.errors import SettingsError, suggest
from dragon_finetune.model_folder import Prompts, Role

# What hosts pass as `prefix`, without colon or space, and the role it stands for.
_PREFIX_ROLES: dict[str, Role | None] = {
    "": None,
    "search_query": "query",
    "query": "query",
    "search_document": "document",
    "document": "document",
    "passage": "document",
}
_ROLES: tuple[Role, ...] = ("query", "document")


def role_of_prefix(prefix: str | None, prompts: Prompts) -> Role | None:
    """Return the role that a prefix asks for: None is a document, "" no role; a prompt of the model stands for its own.

    Raises:
        SettingsError: an unknown prefix.
    """
    if prefix is None:
        return "document"
    name = prefix.strip().rstrip(":").strip()
    if name in _PREFIX_ROLES:
        return _PREFIX_ROLES[name]
    for role in _ROLES:
        if prefix.strip() == prompts.of(role).strip():
            return role
    raise SettingsError(f"prefix is {prefix!r}. {suggest(name, _PREFIX_ROLES)} The prompt comes from the model.")
