"""Commands on vectors at rest: embed, doctor."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dragon_finetune.cli.options import Json, Model, TextField, print_result
from dragon_finetune.errors import SettingsError
from dragon_finetune.settings import Numbers, OnOverflow
from dragon_finetune.text import printable

if TYPE_CHECKING:
    from dragon_finetune.embedding.embedder import FineTunedEmbedder


def embed(
    chunks: Annotated[list[str], typer.Argument(help="Files of texts, with `chunk_id` if there is one, or folders.")],
    model: Model,
    out: Annotated[Path, typer.Option(help="Folder of the shards; what is in it is not done again.")],
    store: Annotated[str | None, typer.Option(help="Also load a Chroma: a folder, or http://host:port.")] = None,
    collection: Annotated[str | None, typer.Option(help="The collection of --store to load.")] = None,
    replace: Annotated[bool, typer.Option(help="Take out what these files held before and hold no more.")] = False,
    text_field: TextField = None,
    on_overflow: OnOverflow = "error",
    precision: Annotated[str, typer.Option(help="auto | fp32 | bf16 | fp16 | int8")] = "auto",
    engine: Annotated[str, typer.Option(help="auto | torch | openvino")] = "auto",
    vectors: Annotated[Numbers, typer.Option(help="int8 or binary: also write all in less room.")] = "float32",
    ray: Annotated[str | None, typer.Option(help="Embed on Ray: local, auto, or HOST:PORT of a cluster.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Of --ray; default: one per node or GPU.")] = None,
    gpus_per_worker: Annotated[float, typer.Option(min=0, help="Of --ray; 0.5 shares one.")] = 0,
) -> None:
    """Embed chunks into shards, and load a Chroma.

    The same command goes on where a killed one stopped.

    Example: dragon-finetune embed chunks.jsonl --model models/finetuned --out embeddings
    """
    if (store is None) != (collection is None):
        raise SettingsError("--store and --collection go together: give both or neither.")
    if replace and store is None:
        raise SettingsError("--replace takes records out of a collection: give --store and --collection too.")
    if ray is None and (workers is not None or gpus_per_worker):
        raise SettingsError("--workers and --gpus-per-worker are Ray's: give --ray local or an address too.")
    from dragon_finetune.embedding.embedder import FineTunedEmbedder

    embedder = FineTunedEmbedder(model, on_overflow=on_overflow, precision=precision, engine=engine)
    if store and collection:
        from dragon_finetune.index.collection import require_loadable

        require_loadable(store, collection, embedder)
    how: dict[str, Any] = {"unique_ids": store is not None, "text_field": text_field}
    if ray is None:
        from dragon_finetune.index.bulk import embed_files

        result = embed_files(chunks, out, embedder, **how)
    else:
        from dragon_finetune.index.distributed.on_ray import embed_on_ray
        from dragon_finetune.index.distributed.workers import Workers

        result = embed_on_ray(chunks, out, embedder, Workers(ray, workers, gpus_per_worker), **how)
    done = f"{result.embedded} texts embedded, {result.already_done} were done already"
    by = ", ".join(result.engines) if ray else _engine_here(embedder)
    print(printable(f"{done}: {out} ({by or 'nothing to embed'})"))
    if vectors != "float32":
        from dragon_finetune.index.compact import write_compact

        file = write_compact(out, embedder, vectors)
        print(printable(f"all vectors in {vectors}: {file} ({file.stat().st_size / 1e6:.1f} MB)"))
    if store and collection:
        from dragon_finetune.index.distributed.sources import reader_of
        from dragon_finetune.index.loading import load_collection

        how = {"replace": replace, "text_field": text_field, "read": reader_of(chunks)}
        loaded = load_collection(chunks, out, embedder, store, collection, **how)
        print(printable(f"{loaded} records in {collection} of {store}"))


def _engine_here(embedder: "FineTunedEmbedder") -> str:
    from dragon_finetune.embedding.instruction_sets import instruction_set

    name = embedder.engine.name
    instructions = instruction_set() if name.startswith("openvino") else "other"
    return name if instructions == "other" else f"{name} on {instructions}"


def doctor(
    model: Model,
    more: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    store: Annotated[str, typer.Option(help="A Chroma folder, or http://host:port.")] = "vector_stores",
    collection: Annotated[list[str] | None, typer.Option(help="Look at this one only; may be repeated.")] = None,
    chunks: Annotated[list[Path] | None, typer.Option(help="The indexed chunk files or folders, one or more.")] = None,
    other: Annotated[list[str] | None, typer.Option(help="A model that may have made stale vectors.")] = None,
    sample: Annotated[int, typer.Option(min=1, help="Records to embed again per collection.")] = 64,
    truncate_dim: Annotated[int | None, typer.Option(min=1, help="As `truncate_dim` in your settings.")] = None,
    precision: Annotated[str, typer.Option(help="As `precision` in your settings.")] = "auto",
    text_field: TextField = None,
    on_overflow: OnOverflow = "error",
    as_json: Json = False,
) -> None:
    """Say whether an index holds this model's vectors.

    Fresh, stale, mixed, misplaced, and why. Exits with 1 unless fresh.

    Example: dragon-finetune doctor --model models/finetuned --store vector_stores
    """
    from dragon_finetune.embedding.embedder import FineTunedEmbedder
    from dragon_finetune.index.doctor import examine

    health = examine(
        FineTunedEmbedder(model, truncate_dim=truncate_dim, precision=precision, on_overflow=on_overflow),
        store,
        collections=collection or (),
        # What the shell makes of `--chunks *.jsonl`: one file for the option, the others stand alone.
        chunks=[*(chunks or []), *(more or [])],
        others=other or (),
        sample=sample,
        text_field=text_field,
    )
    from dragon_finetune.codex.faults import faults

    known = faults()
    said = "\n".join([str(health), *(f"fault of the host in sight: {fault}" for fault in known)])
    print_result({**health.to_dict(), "host_faults": known}, said, as_json)
    raise typer.Exit(0 if health.fresh else 1)
