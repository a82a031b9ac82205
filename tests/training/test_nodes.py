"""Training on several nodes: rows dealt evenly, negatives gathered, one that publishes, kills survived."""

import json

import pytest
from conftest import make_pairs
from datasets import Dataset
from nodes import begins, ends_of, run_nodes, start_nodes
from sentence_transformers.base.sampler import NoDuplicatesBatchSampler
from torch import Generator

from dragon_finetune import FineTuner, TrainingConfig
from dragon_finetune.training.dealing import DealtBatches

SETTINGS = {"device": "cpu", "precision": "fp32", "validation_share": 0, "dropout": 0.0, "learning_rate": 1e-3}


def dealt(rows, batch_size, count, epoch=0):
    """Return the batches of each process."""
    dataset = Dataset.from_dict({"query": [f"q{n}" for n in range(rows)], "positive": [f"p{n}" for n in range(rows)]})
    of_each = []
    for rank in range(count):
        sampler = DealtBatches(dataset, batch_size, ranks=(rank, count), generator=Generator(), drop_last=True, seed=3)
        sampler.set_epoch(epoch)
        of_each.append(list(sampler))
        assert len(of_each[-1]) == len(sampler)
    whole = NoDuplicatesBatchSampler(
        dataset, batch_size=batch_size * count, generator=Generator(), drop_last=False, seed=3
    )
    whole.set_epoch(epoch)
    return of_each, list(whole)


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("rows", [4, 7, 16, 23, 24, 25])
def test_each_process_has_as_many_rows_in_every_batch_and_none_is_dealt_twice(rows, count):
    of_each, whole = dealt(rows, 4, count)
    for batches, together in zip(zip(*of_each, strict=True), whole, strict=False):
        assert len({len(batch) for batch in batches}) == 1
        assert {row for batch in batches for row in batch} <= set(together)
    given = [row for batches in of_each for batch in batches for row in batch]
    assert len(given) == len(set(given)) == rows - rows % count


def test_what_sits_out_is_another_in_another_epoch():
    left = [
        set(range(25)) - {row for batches in dealt(25, 4, 2, epoch)[0] for b in batches for row in b}
        for epoch in range(6)
    ]
    assert all(len(each) == 1 for each in left)
    assert len(set(map(frozenset, left))) > 1


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Return a file of 62 pairs, of which 15 have a negative: two tables, neither of which two can share evenly."""
    rows = make_pairs(62)
    for number in range(15):
        rows[number]["negative_texts"] = [f"Nobody keeps the lamp of house {number + 100}."]
    file = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def uninterrupted(tiny, pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    settings = {**SETTINGS, "base_model": tiny, "output_dir": folder / "out", "batch_size": 4, "epochs": 3}
    return folder, run_nodes(folder, {"pairs": pairs, "settings": settings})


@pytest.mark.slow
def test_two_nodes_end_with_one_result_though_rows_are_odd(uninterrupted):
    folder, (first, second) = uninterrupted
    assert first["result"] == second["result"]
    assert first["result"]["dropped"]["in each epoch, others each time, that 2 processes can't share evenly"] == 2
    # 47 and 15 rows, 8 at once.
    assert first["result"]["steps"] == 3 * (6 + 2)
    assert [first["read_pairs"], second["read_pairs"]] == [True, False]
    assert all(note["mapped"] == [1, 1] for note in begins(folder).values())
    assert not (folder / "out.work").exists()


@pytest.mark.slow
def test_negatives_are_gathered(tiny, tmp_path):
    """So two nodes learn what one process learns from batches twice as large, from distilled pairs too."""
    rows = make_pairs(62)
    for row in rows[:30]:
        row["source"] = "hybrid"
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = {**SETTINGS, "base_model": tiny, "epochs": 1, "logging_steps": 1}
    two = {"pairs": file, "settings": {**settings, "output_dir": tmp_path / "two", "batch_size": 8}}
    result = run_nodes(tmp_path, two)[0]["result"]
    alone = FineTuner(TrainingConfig(**settings, output_dir=tmp_path / "one", batch_size=16)).train(file)
    losses = [[entry["loss"] for entry in log if "loss" in entry] for log in (result["log_history"], alone.log_history)]
    assert len(losses[0]) == 4
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.thorough
def test_a_killed_worker_is_replaced_and_the_run_ends_the_same(uninterrupted, tiny, pairs, tmp_path):
    whole = uninterrupted[0] / "out"
    settings = {**SETTINGS, "base_model": tiny, "output_dir": tmp_path / "out", "batch_size": 4, "epochs": 3}
    task = {"pairs": pairs, "settings": {**settings, "save_steps": 5}, "kill": [1, 13]}
    first, second = run_nodes(tmp_path, task, restarts=3)
    assert first["result"] == second["result"]
    assert {note["from"] for note in begins(tmp_path).values()} == {0, 10}
    one, two = weights(whole), weights(tmp_path / "out")
    assert all(one[name].equal(two[name]) for name in one)


@pytest.mark.slow
def test_nodes_that_were_started_differently_are_told_in_what(tiny, pairs, tmp_path):
    settings = {**SETTINGS, "base_model": tiny, "output_dir": tmp_path / "out", "batch_size": 4}
    tasks = [{"pairs": pairs, "settings": {**settings, "seed": seed}} for seed in (1, 2)]
    codes, said = ends_of(start_nodes(tmp_path, *tasks))
    assert 0 not in codes
    assert "the processes of this run differ in seed" in said
    assert not (tmp_path / "out.work").exists()
