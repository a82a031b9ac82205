"""What the host's Config says, read from its source; nothing of it is run."""

import ast
from pathlib import Path
from typing import Any

from dragon_finetune.codex.modules import CONFIG


def static_attribute(name: str) -> str | None:
    """Return the text that the host's Config gives an attribute, read from its source; nothing of it is run."""
    for file in _config_files():
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (OSError, SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(getattr(target, "attr", getattr(target, "id", None)) == name for target in targets):
                    return _text_of(node.value)
    return None


def _config_files() -> list[Path]:
    return [
        file
        for root in (Path("src") / "utils", Path("utils"))
        for name in CONFIG
        if (file := root.joinpath(*name.split(".")).with_suffix(".py")).is_file()
    ]


def _text_of(value: Any) -> str | None:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    if isinstance(value, ast.Call) and len(value.args) == 2:  # os.getenv("EMBEDDER", "host")
        return _text_of(value.args[1])
    return None
