"""The whole path as a script of a user's, under `spawn`: train, embed into a store, examine. Told what to write where.

With "bare" everything stands at module level, as in a script without `if __name__ == "__main__"`: a process that
multiprocessing spawned would import it, and train, again.
"""

import json
import multiprocessing
import multiprocessing.process
import os
import sys
import warnings
from pathlib import Path

TOUCHED, SPAWNED, UNNAMED = set(), [], []
_start = multiprocessing.process.BaseProcess.start
ROOT = Path(sys.argv[2])


def note_start(process):
    SPAWNED.append(repr(process))
    return _start(process)


def note_path(event, given):
    if event in ("open", "os.mkdir", "os.rename"):
        TOUCHED.update(str(each) for each in given[:2] if isinstance(each, (str, os.PathLike)))


def note_warning(message, category, file, line, *_):
    if category is EncodingWarning:
        UNNAMED.append(f"{file}:{line}")


def say(*arguments):
    """Return the exit code of a command of ours, run in this process."""
    from dragon_finetune.cli.main import main

    before, sys.argv = sys.argv, ["dragon-finetune", *map(str, arguments)]
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        sys.argv = before


def whole_path(model):
    from dragon_finetune import FineTuner, TrainingConfig

    # Each place is told once only, and the test asks for all.
    warnings.simplefilter("always", EncodingWarning)
    warnings.showwarning = note_warning
    output = ROOT / "tuned"
    more = {"batch_size": 8, "max_steps": 4, "save_steps": 2, "max_seq_length": 56, "learning_rate": 1e-3}
    FineTuner(TrainingConfig(base_model=model, output_dir=output, device="cpu", **more)).train(ROOT / "pairs.jsonl")
    codes = embed_and_examine(output) if sys.argv[1] == "bare" else []
    inside = sorted(str(Path(each).relative_to(ROOT)) for each in TOUCHED if each.startswith(f"{ROOT}{os.sep}"))
    said = {"codes": codes, "spawned": SPAWNED, "touched": inside, "unnamed": UNNAMED}
    (ROOT / "said.json").write_text(json.dumps(said), encoding="utf-8")


def embed_and_examine(output):
    kept = ("--store", ROOT / "store", "--collection", "books")
    codes = [say("embed", ROOT / "chunks.jsonl", "--model", output, "--out", ROOT / "shards", *kept)]
    return [*codes, say("doctor", "--model", output, "--store", ROOT / "store", "--chunks", ROOT / "chunks.jsonl")]


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    multiprocessing.process.BaseProcess.start = note_start
    sys.addaudithook(note_path)
if __name__ == "__main__" or sys.argv[1] == "bare":
    whole_path(sys.argv[3])
