"""The command that puts words into vectors: lexicon."""

from pathlib import Path
from typing import Annotated

import typer

from dragon_finetune.cli.options import Json, Model, TextField, print_result
from dragon_finetune.errors import SettingsError
from dragon_finetune.lexical.lexicon import DIMENSIONS, SHARE
from dragon_finetune.text import printable


def lexicon(
    chunks: Annotated[list[Path], typer.Argument(help="What is searched: files of chunks, or folders.")],
    model: Model,
    output: Annotated[Path, typer.Option(help="The model folder to make.")],
    dimensions: Annotated[int, typer.Option(help="Numbers in a vector for the words, 64 to 16384.")] = DIMENSIONS,
    share: Annotated[float, typer.Option(help="How much the words have to say, 0 to 0.9.")] = SHARE,
    distances: Annotated[str, typer.Option(help="base: keep the base's level, for thresholds; native.")] = "base",
    questions_to_avoid: Annotated[
        Path | None, typer.Option(help="The test's questions: no sentence near one sets the level.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Move aside what lies in --output.")] = False,
    add_to: Annotated[str | None, typer.Option(help="A Chroma store with this model's dense vectors.")] = None,
    collection: Annotated[str | None, typer.Option(help="The collection of --add-to to join.")] = None,
    new: Annotated[str | None, typer.Option("--as", help="The collection to make of it.")] = None,
    text_field: TextField = None,
    as_json: Json = False,
) -> None:
    """Put a corpus's words into a model's vectors.

    An exact match of a word then counts beside what the model makes of a text. Nothing is trained.

    Example: dragon-finetune lexicon chunks.jsonl --model embedded --output models/joined
    """
    if not (add_to is None) == (collection is None) == (new is None):
        raise SettingsError("--add-to, --collection and --as go together: give all three or none.")
    if distances not in ("base", "native"):
        raise SettingsError(f"--distances is {distances!r}; it is base or native.")
    from dragon_finetune.embedding.embedder import FineTunedEmbedder
    from dragon_finetune.embedding.lexical_folder import Words, make_lexical_folder

    texts, avoid = _read(chunks, questions_to_avoid, text_field)
    if add_to and collection and new:
        from dragon_finetune.index.joined_copy import join_collection, require_joinable

        require_joinable(FineTunedEmbedder(model), add_to, collection, new)
    words = Words(texts, dimensions, share, distances, avoid)  # type: ignore[arg-type]
    made = make_lexical_folder(model, output, words, overwrite=overwrite)
    joined = None
    if add_to and collection and new:
        joined = join_collection(FineTunedEmbedder(made.path), add_to, collection, new, checked=True)
    said = [str(made), *([f"{joined:,} records of {collection} joined into {new} of {add_to}"] if joined else [])]
    print_result({**made.to_dict(), "joined": joined}, printable("\n".join(said)), as_json)


def _read(chunks: list[Path], questions_to_avoid: Path | None, text_field: str | None) -> tuple[list[str], list[str]]:
    """Return the texts of the chunks, and the questions that no sentence may be near to."""
    from dragon_finetune.chunks import each_once, no_chunks, read_chunks

    texts = [chunk.text for chunk in read_chunks(each_once(chunks), unique=False, text_field=text_field)]
    if not texts:
        raise no_chunks(chunks)
    if questions_to_avoid is None:
        return texts, []
    from dragon_finetune.evaluation.questions import load_questions

    return texts, [question["question"] for question in load_questions(questions_to_avoid)]
