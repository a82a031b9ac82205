"""Bulk embedding on Ray: the shards of the one-machine run, made by many workers. The one file that knows Ray.

Ray Data reads the chunks in one task, which leaves out what the shards hold and yields groups of one shard; a pool of
actors embeds them; this process writes them, in order. So what is written is always the beginning of what a run on one
machine writes, and no worker needs to reach the shards' folder. A worker that dies is replaced by Ray and its group
embedded again; when this process dies, groups under way are lost and nothing that is written is made twice.
"""

import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.errors import ClusterError, DragonFinetuneError, MissingExtraError
from dragon_finetune.files import absolute
from dragon_finetune.index.bulk import BulkResult, count_chunks, shard_rows, vectors_of
from dragon_finetune.index.distributed import orphans
from dragon_finetune.index.distributed.group import EmbedGroup, Group
from dragon_finetune.index.distributed.missing import Missing
from dragon_finetune.index.distributed.sources import is_remote, reader_of
from dragon_finetune.index.distributed.workers import Workers
from dragon_finetune.index.shards import VectorStore
from dragon_finetune.locks import held
from dragon_finetune.model_place import absolute_if_folder
from dragon_finetune.processes import python_of_ours, start
from dragon_finetune.progress import progress

_STORE_BYTES = 256 << 20  # groups under way, 10 MB each; more goes to the disk
_PARTS = 4  # of a shard; what one worker embeds while the others have nothing left to do is one of them
_ANSWER_SECONDS = 10
_START_SECONDS = 600
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # else Ray reports to its makers
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_COLOR_PREFIX": "0",
}


def embed_on_ray(
    files: Sequence[Path | str],
    out: Path | str,
    embedder: FineTunedEmbedder,
    workers: Workers,
    *,
    unique_ids: bool = False,
    text_field: str | None = None,
) -> BulkResult:
    """Embed every distinct text of chunk files into shards under `out`, as `bulk.embed_files` does, on Ray.

    Args:
        files: chunk files; also addresses of JSON lines or Parquet (`sources.reader_of`).
        out: the folder of the shards, on this machine.
        embedder: the encoder; every worker opens its model by the same name or path.
        workers: where, and how many. In a process that has joined a Ray already, that one is used.
        unique_ids: refuse, before work starts, an id that comes twice.
        text_field: the field that holds the text.

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: no cluster answers, it lacks what the workers need, or it failed.
        DataError, TokenLimitError: as `bulk.embed_files`.
    """
    ray = _ray()
    total = count_chunks(files, reader_of(files), unique=unique_ids, text_field=text_field)
    with held(Path(out) / "shards", wait=True):
        store = VectorStore(out, embedder)
        dense = VectorStore(out, embedder.without_words) if embedder.joiner else None
        missing = Missing(
            tuple(file if is_remote(file) else absolute(file) for file in files),
            text_field,
            absolute(out),
            absolute_if_folder(str(embedder.model_path)),
            embedder.options.to_dict(),
            shard_rows(),
            shard_rows() if workers.count == 1 else -(-shard_rows() // _PARTS),
            store.shards,
        )
        with (
            redirect_stdout(sys.stderr),  # what Ray has to say, of a worker that died for instance
            _connected(ray, workers),
            _told(ray),
            progress(total=total, desc="embed", unit="chunk") as bar,
        ):
            return _write(_groups(ray, missing, workers), store, dense, embedder, bar)


def _write(
    groups: Iterator[Group], store: VectorStore, dense: VectorStore | None, embedder: FineTunedEmbedder, bar: Any
) -> BulkResult:
    embedded = already = 0
    engines = set()
    for group in groups:
        for said in group.said:
            warnings.warn(said, stacklevel=2)
        if group.texts:
            waiting = dict(zip(embedder.vector_keys(group.texts), group.texts, strict=True))
            store.add(list(waiting), *vectors_of(waiting, embedder, dense))
        elif group.keys:
            store.add(group.keys, group.vectors, group.precision)
            engines.add(group.engine)
        embedded += len(group.texts) + len(group.keys)
        already += group.already
        bar.update(group.read)
    return BulkResult(embedded, already, tuple(sorted(engines)))


def _groups(ray: Any, missing: Missing, workers: Workers) -> Iterator[Group]:
    """Yield what the pool made of each group, in order."""
    size, resources = workers.resources([node["Resources"] for node in ray.nodes() if node["Alive"]])
    data = ray.data
    made = _read(ray, missing).map_batches(
        EmbedGroup,
        batch_size=1,
        batch_format="pyarrow",
        # Else the first worker that is there takes four parts, and another stands idle at the end.
        compute=data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=1),
        fn_constructor_args=(missing.model, int(resources["num_cpus"]), missing.options),
        **resources,
    )
    # Closed here: a traceback that somebody keeps would keep the workers and their CPUs too.
    with closing(iter(made.iter_batches(batch_size=None, batch_format="pyarrow"))) as blocks:
        yield from Group.together(Group.of(row) for block in blocks for row in block.to_pylist())


def _read(ray: Any, missing: Missing) -> Any:
    """Return the dataset of missing groups, which one task of this machine makes: it sees the files and the shards."""
    from ray.data import Datasource
    from ray.data.block import BlockMetadata
    from ray.data.datasource import ReadTask
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    class _Chunks(Datasource):
        def estimate_inmemory_data_size(self) -> None:
            return None

        def get_read_tasks(self, *_: Any, **__: Any) -> list[Any]:
            nothing = BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None, input_files=None)
            return [ReadTask(missing.rows, nothing)]

    chunks: Any = _Chunks
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.data.read_datasource(chunks(), override_num_blocks=1, num_cpus=0, scheduling_strategy=here)


def _ray() -> Any:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import_module("ray.data")
        return import_module("ray")
    except ImportError as error:
        raise MissingExtraError(f'{error}. To have it: pip install "dragon-finetune[ray]"', name=error.name) from None


@contextmanager
def _connected(ray: Any, workers: Workers) -> Iterator[None]:
    """Join a cluster, or start one of this machine, and leave it as it was found."""
    if ray.is_initialized():
        with _in_order(ray):
            yield
        return
    local = {"include_dashboard": False, "object_store_memory": _STORE_BYTES} if workers.local else {}
    try:
        if endpoint := workers.endpoint:
            socket.create_connection(endpoint, timeout=_ANSWER_SECONDS).close()  # Ray would try for minutes
        with _stderr_closed():
            ray.init(address=workers.address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except (OSError, ValueError, RuntimeError) as error:
        raise ClusterError(
            f"no Ray answers at {workers.address}: {error}. Start one (`ray start --head`), or use --ray local."
        ) from error
    watcher = start(python_of_ours(orphans.__name__, [str(os.getpid()), *map(str, _family())])) if local else None
    try:
        with _in_order(ray):
            yield
    finally:
        ray.shutdown()
        if watcher:
            watcher.kill()
            watcher.wait()


def _family() -> list[int]:
    import psutil

    return [process.pid for process in psutil.Process().children(recursive=True)]


@contextmanager
def _stderr_closed() -> Iterator[None]:
    """Keep off stderr that Ray's part in C++ has set its log level; what fails is raised all the same."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def _in_order(ray: Any) -> Iterator[None]:
    """Let Ray Data keep the order of the groups, each in a block of its own, and say nothing of its own accord."""
    context = ray.data.DataContext.get_current().copy()
    context.execution_options.preserve_order = True
    context.target_max_block_size = 1
    # Ray would take half an hour over one part for a fault, and a large model on few cores takes longer; what may not
    # take that long is the start of a worker.
    context.execution_no_progress_timeout_s = -1
    context.wait_for_min_actors_s = _START_SECONDS
    context.raise_original_map_exception = True  # else what a worker raised comes as text
    context.enable_progress_bars = context.print_on_execution_start = False
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with ray.data.DataContext.current(context), warnings.catch_warnings():
            # Fewer groups than workers are no fault.
            warnings.filterwarnings("ignore", message="The minimum number of concurrent actors")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _told(ray: Any) -> Iterator[None]:
    """Raise what a worker raised as it would be raised here; anything else of Ray's as ClusterError."""
    try:
        yield
    except ray.exceptions.RayError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, DragonFinetuneError):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if cause is not None:
            raise cause from None
        said = " ".join(str(error).split())
        raise ClusterError(
            f"Ray says: {said:.500}. What is embedded is kept; mend that and run the same command again."
        ) from error
