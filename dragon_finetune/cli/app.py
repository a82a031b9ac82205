"""The commands, put together."""

from importlib.metadata import version
from typing import Annotated

import typer

from dragon_finetune.cli import (
    exporting,
    host,
    improving,
    index,
    judging,
    making,
    quantizing,
    searching,
    serving,
    text,
    words,
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 fine; 1 the answer is no; 2 wrong use or bad input; 3 our own failure; 130 interrupted.",
)
GROUPS = {
    "Make": (improving.improve, text.audit, text.chunk, words.lexicon, making.pairs),
    "Train": (making.train, searching.search),
    "Judge": (judging.evaluate, judging.compare, judging.calibrate),
    "Index": (quantizing.quantize, index.embed, index.doctor),
    "Use": (serving.serve, exporting.export, host.plugins, host.demo),
}
for group, commands in GROUPS.items():
    for command in commands:
        app.command(rich_help_panel=group)(command)
app.command(name="host-config", rich_help_panel="Use")(host.host_config)
app.command(
    name="run", rich_help_panel="Use", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)(host.run_host)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"dragon-finetune {version('dragon-finetune')}")
        raise typer.Exit


@app.callback()
def _before_any(
    _: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is.")
    ] = False,
    __: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing of how far the work is.")] = False,
) -> None:
    """Adapt an embedding model to your own text, and know whether it helped."""
    # `main` takes --quiet off the front, for `run` and for what is said before a command begins; here is its help.
