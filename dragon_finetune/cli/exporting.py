"""The command that writes a model for other engines: export."""

from pathlib import Path
from typing import Annotated

import typer

from dragon_finetune.cli.options import Json, Model, print_result


def export(
    model: Model,
    to: Annotated[str, typer.Option(help="gguf (llama.cpp, Ollama) | onnx (fastembed, TEI) | openvino")],
    output: Annotated[Path, typer.Option(help="The folder to make.")],
    dtype: Annotated[str | None, typer.Option(help="gguf: f16 (default) | f32 | q8_0; the others: f32.")] = None,
    texts: Annotated[
        Path | None, typer.Option(help="Your chunks, JSON lines with `text`: the engine embeds 64 of them as a proof.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Move aside what lies in --output.")] = False,
    as_json: Json = False,
) -> None:
    """Write a model for another engine, which proves it.

    The engine embeds 64 texts first. Exits with 1, leaving nothing, if one is too far off.

    Example: dragon-finetune export --model models/finetuned --to gguf --output models/gguf
    """
    from dragon_finetune.export.exporting import export as write

    made = write(model, to, output, dtype=dtype, texts=texts, overwrite=overwrite)
    print_result(made.to_dict(), str(made), as_json)
    raise typer.Exit(0 if made.path else 1)
