"""What mkdocs does to a page before it is rendered: fills in what the code says, and frees links out of docs/."""

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import griffe
from pydantic import BaseModel

ROOT = Path(__file__).parents[2]
_MARK = re.compile(r"^<!-- made from the code: (\w+) -->$", re.MULTILINE)
_OUT_OF_DOCS = re.compile(r"\[([^\]]+)\]\(\.\./([^)#\s]+)[^)]*\)")
_log = logging.getLogger("mkdocs.hooks")  # a warning here fails a strict build


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return the page's text with its marks filled in and without links that leave docs/."""
    page_name = page.file.src_uri
    return _OUT_OF_DOCS.sub(lambda link: _as_text(link, page_name), _MARK.sub(lambda mark: MADE[mark[1]](), markdown))


def _as_text(link: re.Match[str], page_name: str) -> str:
    # On a Git host the link works; a site has only docs/, so there it is the path within the repository.
    text, path = link.groups()
    if not (ROOT / path).exists():
        _log.warning(f"{page_name} links to {path}, which is not in the repository.")
    return f"`{path}`" if text.strip("`") == Path(path).name else f"{text} (`{path}`)"


def commands() -> str:
    """Return the reference of the command line, as Typer writes it."""
    app = [sys.executable, "-m", "typer", "dragon_finetune.cli.app", "utils", "docs", "--name", "dragon-finetune"]
    done = subprocess.run(app, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    return done.stdout.partition("\n")[2]  # the page has a title of its own


def options() -> str:
    """Return the table of the options of an embedder in codex.yaml."""
    from dragon_finetune.settings import ModelOptions

    return _table(ModelOptions, variable="FINETUNED_{}")


def switch() -> str:
    """Return the table of the top-level keys of codex.yaml."""
    from dragon_finetune.settings import Switch

    return _table(Switch, variable="{}")


def training() -> str:
    """Return the table of the settings of a training run."""
    from dragon_finetune import TrainingConfig

    return _table(TrainingConfig)


def names() -> str:
    """Return what mkdocstrings fills in with each public name of the package."""
    import dragon_finetune

    return "\n\n".join(f"::: dragon_finetune.{name}" for name in dragon_finetune.__all__)


MADE: dict[str, Callable[[], str]] = {made.__name__: made for made in (commands, options, switch, training, names)}


def _table(model: type[BaseModel], variable: str = "") -> str:
    heads = ["key", "variable", "type", "default", "meaning"] if variable else ["key", "type", "default", "meaning"]
    rows = [heads, ["---"] * len(heads), *_rows(model, variable, meanings(model))]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _rows(model: type[BaseModel], variable: str, said: dict[str, str]) -> Iterator[list[str]]:
    for name, field in model.model_fields.items():
        kind = field.annotation.__name__ if isinstance(field.annotation, type) else str(field.annotation)
        default = "required" if field.is_required() else f"`{field.default!r}`"
        kind = re.sub(r"typing\.|pathlib\.|annotated_types\.", "", kind).replace("|", "&#124;")
        variables = [f"`{variable.format(name.upper())}`"] if variable else []
        yield [f"`{name}`", *variables, kind, default, said.get(name, "")]


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return field -> what the class's docstring says of it under `Attributes:`."""
    docstring = griffe.Docstring(model.__doc__ or "")
    found: dict[str, str] = {}
    for section in griffe.parse_google(docstring, warnings=False):
        if section.kind is griffe.DocstringSectionKind.attributes:
            for attribute in section.value:
                found[attribute.name] = " ".join(attribute.description.split())
    return found
