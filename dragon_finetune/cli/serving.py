"""The command that serves a model over HTTP: serve."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dragon_finetune.cli.options import Model, all_of
from dragon_finetune.errors import SettingsError
from dragon_finetune.settings import OnOverflow

if TYPE_CHECKING:
    from starlette.routing import BaseRoute


def serve(
    model: Model,
    name: Annotated[str | None, typer.Option(help="What clients call it; default: its folder's name.")] = None,
    against: Annotated[str | None, typer.Option(help="A second model, served as its folder's name.")] = None,
    chunks: Annotated[list[Path] | None, typer.Option(help="Chunk files to search on the page, one or more.")] = None,
    more: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    store: Annotated[str | None, typer.Option(help="Or a Chroma: a folder, or http://host:port.")] = None,
    collection: Annotated[str | None, typer.Option(help="The collection of --store to search on the page.")] = None,
    host: Annotated[str, typer.Option(help="Where to listen; any but the loopback needs --api-key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 11435,
    api_key: Annotated[
        str | None, typer.Option(envvar="DRAGON_FINETUNE_API_KEY", help="The key that clients must give.")
    ] = None,
    on_overflow: Annotated[
        OnOverflow, typer.Option(help="Texts over the limit, where the request does not say.")
    ] = "error",
    precision: Annotated[str, typer.Option(help="auto | fp32 | bf16 | fp16")] = "auto",
    engine: Annotated[str, typer.Option(help="auto | torch | openvino")] = "auto",
) -> None:
    """Serve a model as Ollama and OpenAI do.

    What can change one URL can use it. A page at / tries it.

    Example: dragon-finetune serve --model models/finetuned --against embedded --chunks chunks.jsonl
    """
    files = all_of("--chunks", chunks, more)
    if (store is None) != (collection is None):
        raise SettingsError("--store and --collection go together: give both or neither.")
    if files and store:
        raise SettingsError("--chunks and --store are two corpora; the page searches one. Leave one out.")
    try:
        from dragon_finetune.serve import trying
        from dragon_finetune.serve.running import Address
        from dragon_finetune.serve.running import serve as run
    except ImportError as error:
        raise SettingsError(f'serve needs {error.name}: pip install "dragon-finetune[serve]".') from None
    from dragon_finetune.embedding.embedder import FineTunedEmbedder

    address = Address(host, port, api_key)
    # Long chunks of the corpus are read to their end; what requests ask for says its own rule.
    embedder = FineTunedEmbedder(model, precision=precision, engine=engine, on_overflow="split")
    models = {name or _name(model): embedder}
    if against:
        if _name(against) in models:
            raise SettingsError(f"both models would be called {_name(against)!r}; give the first another --name.")
        models[_name(against)] = embedder.like(against)

    def page() -> "Sequence[BaseRoute]":
        from dragon_finetune.serve import corpus_reading as reading

        if store and collection:
            return trying.routes(reading.corpus_of_collection(models, store, collection))
        return trying.routes(reading.corpus_of_files(models, files) if files else None)

    run(models, address, on_overflow=on_overflow, more=page)


def _name(model: str) -> str:
    return Path(model).resolve().name if Path(model).is_dir() else model.rpartition("/")[2]
