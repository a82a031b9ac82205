"""Commands on texts: audit, chunk."""

from pathlib import Path
from typing import Annotated

import typer

from dragon_finetune.cli.options import Json, Model, TextField, print_result
from dragon_finetune.text import printable


def audit(
    files: Annotated[list[Path], typer.Argument(help="Files or folders of chunks or pairs, one or more.")],
    model: Model,
    field: Annotated[
        str | None, typer.Option("--field", "--text-field", help="Audit this field of each record.")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="Also draw the histogram: a .png, .svg or .pdf.")] = None,
    as_json: Json = False,
) -> None:
    """Say what of your texts the model would cut off or not know.

    Exits with 1 if a text is cut or mostly unknown.

    Example: dragon-finetune audit chunks.jsonl --model embedded
    """
    from dragon_finetune.tokens.audit import audit_tokens

    result = audit_tokens(files, model, field=field, show_progress=True)
    if image:
        result.save_histogram(image)
    print_result(result.to_dict(), str(result), as_json)
    raise typer.Exit(1 if result.over_limit or result.mostly_unknown else 0)


def chunk(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A file of texts, or a folder of .txt and .md files.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="JSON lines of chunks.")],
    model: Model,
    max_tokens: Annotated[int | None, typer.Option(help="Limit per chunk; default: the model's.")] = None,
    overlap_tokens: Annotated[int, typer.Option(help="Tokens that a chunk repeats of the one before.")] = 0,
    max_chars: Annotated[int | None, typer.Option(help="A second limit, in characters.")] = None,
    text_field: TextField = None,
) -> None:
    """Cut texts into chunks that never exceed the limit.

    Metadata is carried along.

    Example: dragon-finetune chunk notes/ chunks.jsonl --model embedded --max-tokens 256
    """
    from dragon_finetune.tokens.chunk_file import chunk_file
    from dragon_finetune.tokens.chunking import TokenChunker

    chunker = TokenChunker(model, max_tokens=max_tokens, max_chars=max_chars, overlap_tokens=overlap_tokens)
    records, chunks = chunk_file(source, target, chunker, text_field=text_field)
    print(printable(f"{records} records -> {chunks} chunks of at most {chunker.max_tokens} tokens: {target}"))
