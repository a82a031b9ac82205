"""The command that serves a model over HTTP: serve."""

from pathlib import Path
from typing import Annotated

import typer

from dragon_finetune.cli.options import Model
from dragon_finetune.errors import SettingsError
from dragon_finetune.settings import OnOverflow


def serve(
    model: Model,
    name: Annotated[str | None, typer.Option(help="What clients call it; default: its folder's name.")] = None,
    against: Annotated[str | None, typer.Option(help="A second model, served as its folder's name.")] = None,
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
    """Serve a model as Ollama and OpenAI do: what can change one URL can use it."""
    try:
        from dragon_finetune.serve.running import Address
        from dragon_finetune.serve.running import serve as run
    except ImportError as error:
        raise SettingsError(f'serve needs {error.name}: pip install "dragon-finetune[serve]".') from None
    from dragon_finetune.embedding.embedder import FineTunedEmbedder

    address = Address(host, port, api_key)
    embedder = FineTunedEmbedder(model, precision=precision, engine=engine)
    models = {name or _name(model): embedder}
    if against:
        if _name(against) in models:
            raise SettingsError(f"both models would be called {_name(against)!r}; give the first another --name.")
        models[_name(against)] = embedder.like(against)
    run(models, address, on_overflow=on_overflow)


def _name(model: str) -> str:
    return Path(model).resolve().name if Path(model).is_dir() else model.rpartition("/")[2]
