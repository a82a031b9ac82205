"""The pages of the documentation, and what stands in their code blocks."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
READ = [ROOT / "README.md", *PAGES]
_BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENDED = re.compile(r"\\\n\s*")


def blocks(page: Path, *languages: str) -> list[str]:
    """Return what stands in a page's blocks of these languages, in order."""
    return [code for language, code in _BLOCK.findall(page.read_text(encoding="utf-8")) if language in languages]


def commands(page: Path) -> list[str]:
    """Return every command line of ours on a page, in blocks and in the text, each on one line."""
    text = page.read_text(encoding="utf-8")
    lines = [
        part.strip().removeprefix("$ ")
        for code in blocks(page, "", "console", "bash")
        for line in _ENDED.sub(" ", code).splitlines()
        for part in line.split("&&")
    ]
    lines += [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", _BLOCK.sub("", text))]
    launched = r"(?:srun )?(?:torchrun|accelerate launch) .*?(?:-m|--module) dragon_finetune\.cli"
    ours = (re.match(rf"(?:{launched}|dragon-finetune) (.+)", line) for line in lines)
    return [match[1] for match in ours if match]
