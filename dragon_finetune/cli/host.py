"""Commands about hosts and plugins: plugins, run, demo."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from dragon_finetune.cli.options import Json, print_result


def plugins(as_json: Json = False) -> None:
    """List the installed plugins.

    What each offers, and which failed to load and why.

    Example: dragon-finetune plugins
    """
    from dragon_finetune.host import find_plugins

    with _stdout_is_ours():
        found = find_plugins()
    offers = [{"kind": offer.kind, "name": offer.name, "plugin": offer.plugin} for offer in found.offers]
    lines = [f"{offer['kind']:<9} {offer['name']:<22} {offer['plugin']}" for offer in offers]
    lines += [f"failed    {plugin}: {why}" for plugin, why in found.failures.items()]
    print_result({"offers": offers, "failures": found.failures}, "\n".join(lines), as_json)
    sys.stdout.flush()
    os.dup2(2, 1)  # what a plugin prints at exit


@contextmanager
def _stdout_is_ours() -> Iterator[None]:
    """Send to stderr what plugins print, by whatever way: their libraries and children write to the descriptor."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def run_host(
    explain: Annotated[bool, typer.Option("--explain", help="Say what would be replaced; run nothing.")] = False,
    module: Annotated[str | None, typer.Option("-m", help="A module of the host, as for `python -m`.")] = None,
    script: Annotated[str | None, typer.Argument(help="Or a script.")] = None,
) -> None:
    """Run a script of a Dragon's Codex that has no plugin manager.

    It gets the embedder that its switch names. Exit code, signals, output and tracebacks are the host's own.

    Example: dragon-finetune run -m src.embedding.emb_03_embed_all_chunks
    """
    raise AssertionError("main() takes `run` before it gets here")


def host_config(
    model: Annotated[str, typer.Argument(help="A tuned folder.")],
    as_json: Json = False,
) -> None:
    """Print what generation C of Dragon's Codex needs in its Config.

    The dict by which it loads a tuned folder itself, ready to paste.

    Example: dragon-finetune host-config models/finetuned
    """
    from dragon_finetune.codex.host_config import as_source, host_config

    config = host_config(model)
    print_result(config, as_source(config), as_json)


def demo(
    out: Annotated[Path, typer.Option(help="The folder to work in; it stays for you to look into.")] = Path(
        "dragon-demo"
    ),
    quick: Annotated[bool, typer.Option(help="A few training steps: shows the path, not the gain.")] = False,
) -> None:
    """Run the whole path on the example codex.

    As `improve` does; then score base and tuned with the codex's own scripts.

    Example: dragon-finetune demo --quick
    """
    from dragon_finetune.demo import run_demo

    print(run_demo(out, quick=quick))
