"""What is left of a run that was stopped or whose disk lost its last bytes, and how it goes on."""

import json
import shutil
import signal
import time

import pytest
from conftest import start_command
from runs_of_training import PAIRS, config

from dragon_finetune import FineTuner
from dragon_finetune.training.checkpoints import last_whole


@pytest.fixture(scope="module")
def stopped(tiny, tmp_path_factory):
    """Return a work folder with two checkpoints, as a kill leaves it."""
    import transformers

    class Kill(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 11:
                raise RuntimeError("killed")

    out = tmp_path_factory.mktemp("stopped") / "out"
    with pytest.raises(RuntimeError, match="killed"):
        FineTuner(config(tiny, out, epochs=3, save_steps=5, patience=None), callbacks=[Kill()]).train(PAIRS)
    return out.with_name("out.work")


@pytest.fixture
def work(stopped, tmp_path):
    return shutil.copytree(stopped, tmp_path / "out.work")


FILES = ["trainer_state.json", "model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"]
FILES += ["modules.json", "config.json", "tokenizer.json", "1_Pooling/config.json"]
# What a power cut leaves of a file: nothing, a part, its length without its bytes, or bytes of something else.
LEFT = {
    "nothing": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "all but the end": lambda content: content[: int(0.99 * len(content))],
    "zeros": lambda content: b"\0" * len(content),
    "zeros at the end": lambda content: content[: len(content) // 2] + b"\0" * (len(content) - len(content) // 2),
    "zeros within": lambda content: content[:200] + b"\0" * (len(content) - 400) + content[-200:],
    "noise": lambda content: b"\xff" * len(content),
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("left", LEFT)
def test_a_checkpoint_that_lost_bytes_is_stepped_back_from(work, file, left):
    newest, before = (work / "checkpoints" / f"checkpoint-{step}" for step in (10, 5))
    assert last_whole(work / "checkpoints") == newest
    content = (newest / file).read_bytes()
    if file == "model.safetensors" and left in ("zeros at the end", "zeros within"):
        pytest.skip("a tensor may be zeros: nothing in the format tells")
    if len(content) < 500 and left == "zeros within":
        pytest.skip("too short")
    (newest / file).write_bytes(LEFT[left](content))
    with pytest.warns(UserWarning, match=rf"checkpoint-10 is not whole.*{file}.*step 5"):
        assert last_whole(work / "checkpoints") == before


def test_a_checkpoint_without_a_file_is_stepped_back_from(work):
    for step in (5, 10):
        (work / "checkpoints" / f"checkpoint-{step}" / "optimizer.pt").unlink()
    with pytest.warns(UserWarning, match="from the beginning"):
        assert last_whole(work / "checkpoints") is None


@pytest.mark.parametrize("file", ["modules.json", "model.safetensors", "1_Pooling/config.json", "rng_state.pth"])
def test_what_a_checkpoint_needs_is_what_the_others_have(work, file):
    (work / "checkpoints" / "checkpoint-10" / file).unlink()
    with pytest.warns(UserWarning, match="not whole"):
        assert last_whole(work / "checkpoints").name == "checkpoint-5"


@pytest.mark.slow
def test_a_run_goes_on_from_the_checkpoint_before(work, tiny):
    (work / "checkpoints" / "checkpoint-10" / "optimizer.pt").write_bytes(b"cut")
    with pytest.warns(UserWarning, match="not whole"):
        result = FineTuner(config(tiny, work.with_name("out"), epochs=3, save_steps=5, patience=None)).train(PAIRS)
    assert result.steps == 12


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_stop_saves_first_and_says_how_to_go_on(tiny, write_jsonl, tmp_path, how):
    file = write_jsonl("pairs.jsonl", PAIRS)
    settings = tmp_path / "settings.yaml"
    settings.write_text("epochs: 40\nbatch_size: 4\nsave_steps: 1000\nhalves: false\n", encoding="utf-8")
    arguments = ["train", file, "--base-model", tiny, "--config", settings]
    process = start_command(*arguments, "--output", tmp_path / "out", "--json", cwd=tmp_path)
    while not (tmp_path / "out.work" / "curve.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(how)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert out == ""
    assert "run the same command again to go on" in said
    assert "Traceback" not in said
    (checkpoint,) = (tmp_path / "out.work" / "checkpoints").glob("checkpoint-*")
    step = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))["global_step"]
    assert f"step {step}" in said
