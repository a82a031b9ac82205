"""Several processes that train together, as torchrun starts them on several machines: here all on this one."""

import json
import os
import socket
import subprocess
import sys
import uuid
from pathlib import Path

# What each process runs: trains, and writes down what was returned to it, and what it held.
ENTRY = """
import json, os, signal, sys
from pathlib import Path
from transformers import TrainerCallback
from dragon_finetune import FineTuner, TrainingConfig

task = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
rank, seen = int(os.environ["RANK"]), Path(task["seen"])


class Note(TrainerCallback):
    def on_train_begin(self, args, state, control, train_dataloader=None, **kwargs):
        tables = getattr(train_dataloader.dataset, "datasets", [train_dataloader.dataset])
        note = {"from": state.global_step, "mapped": [len(table.cache_files) for table in tables]}
        (seen / f"{rank}.{os.environ['TORCHELASTIC_RESTART_COUNT']}.begin.json").write_text(json.dumps(note))

    def on_step_end(self, args, state, control, **kwargs):
        died = seen / "died"
        if [rank, state.global_step] == task.get("kill") and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)


import dragon_finetune.training.preparing as preparing
read, calls = preparing.read_pairs, []
preparing.read_pairs = lambda pairs: calls.append(1) or read(pairs)
result = FineTuner(TrainingConfig(**task["settings"]), [Note()]).train(task["pairs"])
said = {"result": result.model_dump(mode="json"), "read_pairs": bool(calls)}
(seen / f"{rank}.json").write_text(json.dumps(said), encoding="utf-8")
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_nodes(folder: Path, *tasks: dict, restarts: int = 0) -> list[subprocess.Popen]:
    """Start a torchrun for each node, with one process for its task; they meet at a port of this machine."""
    (folder / "seen").mkdir(parents=True)
    entry = folder / "entry.py"
    entry.write_text(ENTRY, encoding="utf-8")
    launch = [sys.executable, "-m", "torch.distributed.run", f"--nnodes={len(tasks)}", "--nproc-per-node=1"]
    meet = ["--rdzv-backend=c10d", f"--rdzv-endpoint=localhost:{free_port()}", f"--rdzv-id={uuid.uuid4()}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started = []
    for number, task in enumerate(tasks):
        file = folder / f"task {number}.json"
        file.write_text(json.dumps({"seen": str(folder / "seen"), **task}, default=str), encoding="utf-8")
        command = [*launch, *meet, f"--max-restarts={restarts}", entry, file]
        started.append(subprocess.Popen([*map(str, command)], env=environment, **pipes))
    return started


def ends_of(processes: list[subprocess.Popen]) -> tuple[list[int], str]:
    """Return the exit codes of nodes, and all that they said."""
    try:
        said = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], "\n".join(said)


def run_nodes(folder: Path, task: dict, *, restarts: int = 0) -> list[dict]:
    """Return what each process of two nodes said at its end; both must have ended well."""
    codes, said = ends_of(start_nodes(folder, task, task, restarts=restarts))
    assert codes == [0, 0], said[-6000:]
    return [json.loads((folder / "seen" / f"{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)]


def begins(folder: Path) -> dict[str, dict]:
    """Return what each process noted when it began to train, by rank and restart."""
    notes = sorted((folder / "seen").glob("*.begin.json"))
    return {note.name.removesuffix(".begin.json"): json.loads(note.read_text(encoding="utf-8")) for note in notes}
