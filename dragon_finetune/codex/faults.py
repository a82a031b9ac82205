"""The host's known faults that a folder shows, each with what to do."""

import ast
import re
from pathlib import Path

from dragon_finetune.codex.modules import EMBEDDING_A


def faults(folder: Path | str = ".") -> list[str]:
    """Return the host's known faults that a folder shows, each with what to do (HOST_CONTRACT 4, 6, 8, 9).

    The host's source is read, never run; a folder that is no Dragon's Codex has none.
    """
    folder = Path(folder)

    def source(pattern: str) -> str:
        files = sorted(folder.glob(pattern))
        return "\n".join(file.read_text(encoding="utf-8-sig", errors="replace") for file in files)

    shown = {
        "a file named `None`: the host's partial results go there and are never read again; delete it. "
        "`dragon-finetune embed` keeps vectors by text and goes on where it was killed.": (folder / "None").is_file(),
        f"{EMBEDDING_A}.embed_texts keeps only the last vector of a call: an index it made holds a hundredth of the "
        "chunks. Index again with `embedder: base` or `finetuned`; `doctor` finds such an index.": _overwrites_in_loop(
            source(f"src/utils/{EMBEDDING_A}.py")
        ),
        "the chunker `semantic` jumps forward for its overlap and loses a quarter of the text; use `token_aware`.": (
            "semantic" in source("src/utils/chunking/chunking_strategies.py").lower()
        ),
        "prompts are joined to the text without a separator by the host's own embedder; ours uses the model's own "
        "prompts.": re.search(r"prefix\b[^\n]*\+\s*text", source("src/utils/embedding/*.py")) is not None,
        "a temporal limit drops every text without `temporal_order`, such as the whole wiki: questions with a limit "
        "are asked of the books alone.": re.search(r"temporal_order[^\n]*\$lte", source("src/retrieval/*.py"))
        is not None,
        "the embedding script always starts over (`reset = True`): a killed run is repeated whole. `dragon-finetune "
        "embed` redoes nothing.": re.search(r"^\s*reset\s*=\s*True", source("src/embedding/*.py"), re.M) is not None,
    }
    return [fault for fault, seen in shown.items() if seen]


def _overwrites_in_loop(source: str) -> bool:
    """Tell whether `embed_texts` assigns its result anew on each turn of a loop and never appends."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "embed_texts":
            loops = [each for each in ast.walk(node) if isinstance(each, (ast.For, ast.While))]
            calls = {
                each.func.attr for each in ast.walk(node) if isinstance(each, ast.Call) and hasattr(each.func, "attr")
            }
            assigned = any(isinstance(each, ast.Assign) for loop in loops for each in ast.walk(loop))
            return bool(loops) and assigned and not calls & {"append", "extend"}
    return False
