"""What `run` would replace in this folder, and why."""

import ast
from pathlib import Path

from dragon_finetune.codex.faults import faults
from dragon_finetune.codex.host_settings import is_computed
from dragon_finetune.codex.modules import CHUNKING_A, CHUNKING_B, EMBEDDING_A, FACTORY, factories, file_of

_REPLACED = {
    EMBEDDING_A: "generation A: VectorStoreManager.embed_chunks, embed_texts, embed_batch, embed_batch_parallel",
    CHUNKING_A: "generation A: split_into_paragraphs (only with `chunker: token_aware`)",
    CHUNKING_B: "generation B: get_chunker (for the strategy token_aware, or with `chunker: token_aware`)",
}
_FACTORY_B = "generation B: every entry of EMBEDDING_MANAGERS, and base and finetuned beside them"
_FACTORY_C = "generation C: create_embedding_manager (its chunker stays its own)"


def found() -> dict[Path, str]:
    """Return the files of this folder that are replaced in memory when the host imports them, and what of them."""
    files = filter(None, [*factories().values(), file_of(FACTORY)])
    made = {file: _FACTORY_C if _takes_the_dict_alone(file) else _FACTORY_B for file in files}
    return made | {file: what for module, what in _REPLACED.items() if (file := file_of(module)) is not None}


def explain() -> str:
    """Return what was found where, what would be replaced, and which of the host's known faults are in sight."""
    from dragon_finetune.codex.switch import chosen, host_order, read_config, said_in_places
    from dragon_finetune.settings import read_options

    lines = [f"host folder: {Path.cwd()}", "the switch, the lower beats the upper:"]
    for name in ("embedder", "chunker"):
        places = said_in_places(name)
        if places["Config"] is None and is_computed(name.upper()):
            places["Config"] = "(computed when it runs)"
        lines += [f"  {name:<9} {place:<12} {value or '-'}" for place, value in places.items()]
    choice = chosen()
    lines.append(f"so: embedder {choice.embedder}, chunker {choice.chunker or 'host'}")
    if choice.embedder in ("base", "finetuned"):
        with host_order():
            options = read_options(choice.embedder, read_config())
        set_options = {key: value for key, value in options.model_dump().items() if key in options.model_fields_set}
        lines.append(f"options of {choice.embedder}: {set_options}")
    lines.append("would be replaced in memory, when imported:")
    replaced = found()
    lines += [f"  {file}: {what}" for file, what in replaced.items()]
    lines += (
        [] if replaced else ["  nothing: this folder holds no generation of Dragon's Codex that we know (src/...)."]
    )
    lines += [f"fault in sight: {fault}" for fault in faults()]
    lines.append("nothing was run.")
    return "\n".join(lines)


def _takes_the_dict_alone(file: Path) -> bool:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    made = [node.args for node in functions if node.name == "create_embedding_manager"]
    return any(len(arguments.args) - len(arguments.defaults) == 1 for arguments in made)
