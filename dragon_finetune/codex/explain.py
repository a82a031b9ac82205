"""What `run` would replace in this folder, and why."""

import os
from pathlib import Path

from dragon_finetune.codex.config_source import static_attribute
from dragon_finetune.codex.faults import faults
from dragon_finetune.codex.modules import CHUNKING_A, CHUNKING_B, EMBEDDING_A, EMBEDDING_B
from dragon_finetune.files import encoding_of

_REPLACED = {
    EMBEDDING_A: "generation A: VectorStoreManager.embed_chunks, embed_texts, embed_batch, embed_batch_parallel",
    EMBEDDING_B: "generation B: every entry of EMBEDDING_MANAGERS, and base and finetuned beside them",
    CHUNKING_A: "generation A: split_into_paragraphs (only with `chunker: token_aware`)",
    CHUNKING_B: "generation B: get_chunker (for the strategy token_aware, or with `chunker: token_aware`)",
}


def explain() -> str:
    """Return what was found where, what would be replaced, and which of the host's known faults are in sight."""
    from dotenv import dotenv_values

    from dragon_finetune.codex.switch import chosen, host_order, read_config
    from dragon_finetune.settings import read_options, read_yaml

    yaml = read_yaml(Path("codex.yaml")) if Path("codex.yaml").is_file() else {}
    env = dotenv_values(".env", encoding=encoding_of(".env")) if Path(".env").is_file() else {}
    lines = [f"host folder: {Path.cwd()}", "the switch, the lower beats the upper:"]
    for name in ("embedder", "chunker"):
        places = {
            "codex.yaml": yaml.get(name),
            "Config": static_attribute(name.upper()),
            "environment": os.environ.get(name.upper()),
            ".env": env.get(name.upper()),
        }
        lines += [f"  {name:<9} {place:<12} {value or '-'}" for place, value in places.items()]
    name, chunker = chosen()
    name = name if name != "host" else static_attribute("EMBEDDER") or name
    lines.append(f"so: embedder {name}, chunker {chunker or static_attribute('CHUNKER') or 'host'}")
    if name in ("base", "finetuned"):
        with host_order():
            options = read_options(name, read_config())
        set_options = {key: value for key, value in options.model_dump().items() if key in options.model_fields_set}
        lines.append(f"options of {name}: {set_options}")
    lines.append("would be replaced in memory, when imported:")
    found = [(file, what) for module, what in _REPLACED.items() if (file := _file_of(module)) is not None]
    lines += [f"  {file}: {what}" for file, what in found]
    lines += [] if found else ["  nothing: this folder holds neither generation of Dragon's Codex (src/utils/...)."]
    lines += [f"fault in sight: {fault}" for fault in faults()]
    lines.append("nothing was run.")
    return "\n".join(lines)


def _file_of(module: str) -> Path | None:
    files = (root.joinpath(*module.split(".")).with_suffix(".py") for root in (Path("src") / "utils", Path("utils")))
    return next((file for file in files if file.is_file()), None)
