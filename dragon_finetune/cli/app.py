"""The commands, put together."""

import typer

from dragon_finetune.cli import exporting, host, improving, index, judging, making, searching, serving, text, words

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
for command in (
    improving.improve,
    host.plugins,
    text.audit,
    text.chunk,
    index.embed,
    index.doctor,
    making.pairs,
    making.train,
    words.lexicon,
    exporting.export,
    searching.search,
    judging.evaluate,
    judging.compare,
    judging.calibrate,
    serving.serve,
):
    app.command()(command)
app.command(name="run", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(host.run_host)
app.command()(host.demo)
app.command(name="host-config")(host.host_config)
