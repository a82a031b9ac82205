import contextlib
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from conftest import command_server, make_pairs, start_command

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.errors import DragonFinetuneError, SettingsError
from dragon_finetune.files import write_json
from dragon_finetune.processes import environment_of_a_child, python_of_ours
from dragon_finetune.search import search
from dragon_finetune.search.budget import Budget
from dragon_finetune.search.promise import require_promise
from dragon_finetune.search.report import finish
from dragon_finetune.search.search import Search
from dragon_finetune.search.space import Space, points_of

SPACE = Space(learning_rate=(1e-4, 1e-3), epochs=(1, 2), warmup=(0.1,))
SHARED = {"batch_size": 8, "device": "cpu", "save_steps": 5, "validations_per_epoch": 2, "validation_share": 0.2}
KILLS = int(os.environ.get("KILLS", "1"))


@pytest.fixture(scope="module", autouse=True)
def trials_begin_with_the_libraries_imported():
    """Most of a short trial is imports; those of a search that a test starts as a command are whole."""
    of_ours = python_of_ours("dragon_finetune.cli")

    def start(command, *, stdout, stderr):
        del stdout
        words = command[len(of_ours) :]
        assert command == [*of_ours, *words]
        return command_server().start(words, Path.cwd(), environment_of_a_child(), err=stderr)

    with pytest.MonkeyPatch.context() as patch:
        if hasattr(os, "fork"):
            patch.setattr(search, "start", start)
        yield


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    file = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    file.write_text("".join(json.dumps(pair) + "\n" for pair in make_pairs(60)), encoding="utf-8")
    return file


def searching(pairs, tiny, out, **options):
    settings = {**SHARED, "base_model": str(tiny), "output_dir": out}
    return Search(pairs, settings, **{"space": SPACE, "strategy": "grid", **options})


@pytest.fixture(scope="module")
def grid(pairs, tiny, tmp_path_factory):
    return searching(pairs, tiny, tmp_path_factory.mktemp("search") / "out").run()


@pytest.mark.slow
def test_the_grid_is_tried_in_full_and_the_best_by_validation_wins(grid):
    assert len(grid.trials) == 4
    assert {trial.state for trial in grid.trials} == {"complete"}
    assert grid.trials[0].score == max(trial.score for trial in grid.trials) >= grid.base_score
    assert grid.best == grid.trials[0].folder
    assert FineTunedEmbedder(grid.best, device="cpu").embed_query("who lit the lamp")
    assert "4 configurations tried" in str(grid)
    assert set(grid.importance) <= {"learning_rate", "epochs", "warmup"}


def test_a_finished_search_repeats_nothing(grid, pairs, tiny):
    before = {file: file.stat().st_mtime_ns for file in grid.best.parent.rglob("*.safetensors")}
    again = searching(pairs, tiny, grid.best.parent.parent).run()
    assert [trial.score for trial in again.trials] == [trial.score for trial in grid.trials]
    assert {file: file.stat().st_mtime_ns for file in grid.best.parent.rglob("*.safetensors")} == before


@pytest.mark.slow
def test_adaptive_stops_early_and_costs_fewer_steps(pairs, tiny, tmp_path, grid):
    result = searching(pairs, tiny, tmp_path / "out", strategy="adaptive").run()
    assert {trial.settings["epochs"] for trial in result.trials} == {2}
    assert result.steps < grid.steps
    assert result.trials[0].state == "complete"
    assert all(trial.steps >= result.trials[0].steps / 3 for trial in result.trials)


@pytest.mark.slow
def test_no_run_is_judged_while_rates_still_rise(pairs, tiny, tmp_path):
    space = Space(learning_rate=(1e-4, 1e-3), epochs=(1,), warmup=(0.9,))
    result = searching(pairs, tiny, tmp_path / "out", space=space, strategy="adaptive").run()
    whole = max(trial.steps for trial in result.trials)
    assert all(trial.steps >= 0.9 * whole for trial in result.trials)


@pytest.mark.slow
def test_one_factor_at_a_time(pairs, tiny, tmp_path):
    result = searching(pairs, tiny, tmp_path / "out", strategy="factors").run()
    tried = {tuple(trial.settings.values()) for trial in result.trials}
    assert len(tried) == 3  # 2 rates, then the other number of epochs with the better one


@pytest.mark.parametrize("text", ["10h", "90m", "30 s", "8 runs", "1run"])
def test_budgets_that_are_understood(text):
    budget = Budget.parse(text)
    assert (budget.seconds, budget.runs) in [(36000, None), (5400, None), (30, None), (None, 8), (None, 1)]


@pytest.mark.parametrize("text", ["", "10", "h", "-3h", "ten hours"])
def test_budgets_that_are_not(text):
    with pytest.raises(SettingsError, match="write 10h, 90m or '8 runs'"):
        Budget.parse(text)


@pytest.fixture(scope="module")
def diverging(pairs, tiny, tmp_path_factory):
    """One trial of two, both at a rate that is far too high."""
    space = Space(learning_rate=(1e-2,), epochs=(1, 2), warmup=(0.1,))
    return searching(pairs, tiny, tmp_path_factory.mktemp("search") / "out", space=space, budget=Budget(runs=1)).run()


def test_a_budget_of_runs_is_kept(diverging):
    assert len(diverging.trials) == 1


def test_the_plan_says_what_would_be_tried_and_writes_nothing(pairs, tiny, tmp_path):
    plan = searching(pairs, tiny, tmp_path / "out", budget=Budget(runs=3)).plan()
    assert (len(plan.points), plan.within) == (4, 3)
    assert plan.seconds[1] == pytest.approx(2 * plan.seconds[0], rel=0.01) or plan.seconds[0] > 0
    assert not (tmp_path / "out").exists()
    assert len(points_of(Space(), "grid", 1)) == 27
    assert len(points_of(Space(), "adaptive", 1)) == 9


def answers(path: Path, distance: float, found: int) -> Path:
    text = " ".join(["ilse", "hob", "oar", "keel", "lamp"][:found])
    result = {
        "question_id": 1,
        "question": "Who?",
        "category": "character",
        "difficulty": "easy",
        "expected_topics": ["ilse", "hob", "oar", "keel", "lamp"],
        "retrieved_chunks": [{"text": text, "distance": distance}] * 3,
    }
    write_json(path, {"results": [result]})
    return path


def test_the_gate(tmp_path):
    require_promise(answers(tmp_path / "a.json", 0.4, 3), gate=2.5)
    with pytest.raises(DragonFinetuneError, match=r"pivot: the first run scores 1\.00"):
        require_promise(answers(tmp_path / "a.json", 1.4, 1), gate=2.5)
    with pytest.raises(DragonFinetuneError, match=r"below the gate of 2.50"):
        require_promise(answers(tmp_path / "a.json", 0.4, 1), gate=2.5)
    with pytest.raises(DragonFinetuneError, match="no first run"):
        require_promise(None, gate=2.5)


@pytest.mark.slow
def test_a_search_killed_at_any_moment_goes_on(pairs, tiny, tmp_path, cli, grid):
    settings = tmp_path / "settings.yaml"
    settings.write_text("".join(f"{name}: {value}\n" for name, value in SHARED.items()), encoding="utf-8")
    arguments = ["search", pairs, "--base-model", tiny, "--config", settings, "--budget", "9 runs", "--force"]
    arguments += ["--strategy", "grid", "--lr", "1e-4,1e-3", "--epochs", "1", "--warmup", "0.1"]
    arguments += ["--output", tmp_path / "out", "--json"]
    dice = random.Random(3)
    for _ in range(KILLS):
        process = start_command(*arguments, cwd=tmp_path)
        time.sleep(dice.uniform(2, 20))
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # ended since
                os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    done = cli(*arguments)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    ours = {tuple(trial["settings"].values()): trial["score"] for trial in found["trials"]}
    whole = {tuple(trial.settings.values()): trial.score for trial in grid.trials}
    assert len(ours) == 2
    assert ours.items() <= whole.items()


def test_a_trial_that_diverges_is_shown_and_does_not_win(diverging):
    assert {trial.state for trial in diverging.trials} == {"complete"}
    assert all(trial.score >= diverging.base_score for trial in diverging.trials)


def test_trials_that_all_fail_say_why(tiny, tmp_path):
    bad = tmp_path / "pairs.jsonl"
    bad.write_text('{"query": "only one"}\n', encoding="utf-8")
    with pytest.raises(DragonFinetuneError, match=r"no trial finished: .*positive_text"):
        searching(bad, tiny, tmp_path / "out", space=Space((1e-4,), (1,), (0.1,))).run()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Space(learning_rate=()), "no values for learning_rate"),
        (lambda: Space(learning_rate=(10.0,)), "learning_rate is 10.0"),
        (lambda: Space(epochs=(0,)), "epochs is 0"),
    ],
)
def test_empty_and_impossible_spaces_are_refused(make, words):
    with pytest.raises(SettingsError, match=words):
        make()


def test_contradictory_settings_and_another_search_are_refused(pairs, tiny, tmp_path, grid):
    with pytest.raises(SettingsError, match="epochs is searched"):
        Search(pairs, {"base_model": str(tiny), "output_dir": tmp_path, "epochs": 3})
    with pytest.raises(SettingsError, match="the strategy is 'random'"):
        searching(pairs, tiny, tmp_path / "out", strategy="random")
    with pytest.raises(SettingsError, match="holds another search"):
        searching(pairs, tiny, grid.best.parent.parent, seed=7).run()


def test_the_page_shows_table_importance_coordinates_and_curves(grid, tiny, tmp_path):
    finish(grid, str(tiny), (), None, tmp_path / "search.html")
    html = (tmp_path / "search.html").read_text(encoding="utf-8")
    assert html.count("<svg") == 1 + len(grid.trials)
    assert "4 configurations tried" in html
    assert "http" not in html


def test_the_command_refuses_below_the_gate_and_prints_the_plan(cli, pairs, tiny, tmp_path):
    first = answers(tmp_path / "first.json", 1.4, 1)
    arguments = ["search", pairs, "--base-model", tiny, "--output", "out", "--budget", "2 runs", "--warmup", "0.1"]
    refused = cli(*arguments, "--first-run", first)
    assert (refused.returncode, "pivot" in refused.stderr) == (1, True)
    planned = cli(*arguments, "--lr", "1e-4,1e-3", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "2 trials" in planned.stdout
    assert "2 fit into the budget" in planned.stdout
    assert cli(*arguments, "--lr", "fast").returncode == 2
    alone = cli(*arguments, "more.jsonl")
    assert (alone.returncode, alone.stdout) == (2, "")
    assert "more.jsonl stands alone; give chunk files as --chunks more.jsonl" in alone.stderr
