"""Running the scripts of a Dragon's Codex that has no plugin manager of its own: `dragon-finetune run`."""

import ast
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dragon_finetune.errors import SettingsError
from dragon_finetune.replacement import CHUNKING_A, CHUNKING_B, CONFIG, EMBEDDING_A, EMBEDDING_B

USAGE = "dragon-finetune run [--explain] (-m MODULE | SCRIPT) [ARGS...]"
_REPLACED = {
    EMBEDDING_A: "generation A: VectorStoreManager.embed_chunks, embed_texts, embed_batch, embed_batch_parallel",
    EMBEDDING_B: "generation B: every entry of EMBEDDING_MANAGERS, and base and finetuned beside them",
    CHUNKING_A: "generation A: split_into_paragraphs (only with `chunker: token_aware`)",
    CHUNKING_B: "generation B: get_chunker (for the strategy token_aware, or with `chunker: token_aware`)",
}


def run(arguments: Sequence[str]) -> int:
    """Run a host's module or script as `python` itself would, with the embedder that the host's switch names.

    A fresh interpreter takes this process's place (on Windows: a child whose exit code is passed on), so exit code,
    signals, standard streams, tracebacks and sys.argv are those of a plain run.

    Args:
        arguments: what stands behind `run`.

    Returns:
        The host's exit code, where the process was not replaced.

    Raises:
        SettingsError: no module or script; or the switch, or the options behind it, are wrong: then nothing has run.
    """
    rest = list(arguments)
    explaining = rest[:1] == ["--explain"]
    if explaining:
        rest = rest[1:]
    if not rest or rest == ["-m"] or (rest[0].startswith("-") and rest[0] != "-m"):
        raise SettingsError(f"give a module or a script: {USAGE}")
    if explaining:
        print(explain())
        return 0
    check()
    command = [sys.executable, *rest]
    boot = str(Path(__file__).with_name("boot"))
    before = os.environ.get("PYTHONPATH", "")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([boot, before]) if before else boot,
        "DRAGON_FINETUNE_PYTHONPATH": before,
    }
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execve(sys.executable, command, environment)
    return _wait_for(command, environment)


def _wait_for(command: Sequence[str], environment: dict[str, str]) -> int:
    """Run a child where a process can't be replaced (Windows); Ctrl-C is the child's business."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return subprocess.run(command, env=environment, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def check() -> None:
    """Raise SettingsError for a switch that no plugin answers or options that are wrong, before the host starts."""
    said = static_attribute("EMBEDDER")
    if not (Path("codex.yaml").is_file() or Path(".env").is_file() or said or os.environ.get("EMBEDDER")):
        return
    from dragon_finetune.replacement import chosen

    name, _ = chosen()
    if name != "host":
        from dragon_finetune.host import create_embedder
        from dragon_finetune.replacement import host_order, read_config

        with host_order():
            create_embedder(read_config(), name=name)


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


def explain() -> str:
    """Return what was found where, what would be replaced, and which of the host's known faults are in sight."""
    from dotenv import dotenv_values

    from dragon_finetune.replacement import chosen, host_order, read_config
    from dragon_finetune.settings import read_options, read_yaml

    yaml = read_yaml(Path("codex.yaml")) if Path("codex.yaml").is_file() else {}
    env = dotenv_values(".env", encoding="utf-8") if Path(".env").is_file() else {}
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


def faults(folder: Path | str = ".") -> list[str]:
    """Return the host's known faults that a folder shows, each with what to do (HOST_CONTRACT 4, 6, 8, 9).

    The host's source is read, never run; a folder that is no Dragon's Codex has none.
    """
    folder = Path(folder)

    def source(pattern: str) -> str:
        return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in sorted(folder.glob(pattern)))

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
