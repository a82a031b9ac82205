"""Hyper-parameter search on Optuna: bounded by a budget, each trial a resumable run in a process of its own."""

import contextlib
import hashlib
import json
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from dragon_finetune.errors import DataError, DragonFinetuneError, SettingsError
from dragon_finetune.files import absolute, read_json, write_text
from dragon_finetune.processes import ask_to_end, python_of_ours, start
from dragon_finetune.progress import progress
from dragon_finetune.search.budget import Budget
from dragon_finetune.search.plan import SearchPlan
from dragon_finetune.search.queue import BEST_OF, Queue
from dragon_finetune.search.result import SearchResult, Trial, importance_of
from dragon_finetune.search.space import PARAMETERS, STRATEGIES, Space, Strategy, points_of
from dragon_finetune.training.config import TrainingConfig
from dragon_finetune.training.output import wait_for_others

if TYPE_CHECKING:
    import optuna

_POLL = 1.0  # seconds between two looks at a trial's curve
_SECONDS_TO_SAVE = 10.0  # that a trial has to save a checkpoint when the search is interrupted


class Search:
    """A search in a folder; the same call goes on where a killed one stopped, and several may share the folder.

    Args:
        pairs: the pairs file.
        settings: what every trial shares (names of TrainingConfig); `output_dir` is the search's own folder.
        space, strategy, budget: what is tried, how, and for how much.
        seed: of the trials and of their order.

    Raises:
        SettingsError: a strategy that does not exist, settings that contradict the space, or another search's folder.
    """

    def __init__(
        self,
        pairs: Path,
        settings: Mapping[str, Any],
        *,
        space: Space | None = None,
        strategy: Strategy = "adaptive",
        budget: Budget | None = None,
        seed: int = 42,
    ) -> None:
        if strategy not in STRATEGIES:
            raise SettingsError(f"the strategy is {strategy!r}; it is one of {', '.join(STRATEGIES)}.")
        twice = sorted({*settings} & {*PARAMETERS})
        if twice:
            raise SettingsError(f"{twice[0]} is searched, so it can't be set as well. Take it out of the settings.")
        self.space, self.strategy, self.budget, self.seed = space or Space(), strategy, budget or Budget(), seed
        self.folder = absolute(settings["output_dir"])
        self._pairs = pairs
        self._shared = {**{k: v for k, v in settings.items() if k != "output_dir"}, "seed": seed}
        first = self._config({name: getattr(self.space, name)[0] for name in PARAMETERS})  # refuses bad settings now
        self._looks_per_epoch = first.validations_per_epoch

    def plan(self) -> SearchPlan:
        """Return the trials and their estimated time, measured on three steps of the first. Writes nothing."""
        from dragon_finetune.training.finetune import FineTuner  # imports torch, which takes seconds

        points = points_of(self.space, self.strategy, self.seed)
        later = 0
        if self.strategy == "factors":
            later = len(self.space.epochs) + len(self.space.warmup)
        measured = FineTuner(self._config(points[0])).plan(self._pairs)
        per_epoch = measured.seconds / points[0]["epochs"]
        return SearchPlan(points, later, [per_epoch * point["epochs"] for point in points], self.budget)

    def run(self) -> SearchResult:
        """Try what the plan says until it is done or the budget is spent; return what was found.

        Raises:
            DragonFinetuneError: no trial finished; the reasons stand in the message.
        """
        identity = {"strategy": self.strategy, "space": vars(self.space), "settings": self._shared}
        queue = Queue(self.folder, identity)
        study = queue.study
        if self.strategy == "factors":
            best: dict[str, float] = {}
            for factor in PARAMETERS:
                queue.add(points_of(self.space, "factors", self.seed, best))
                self._work_off(queue)
                winner = self._winner(study)
                if winner is None:
                    break
                best[factor] = winner.params[factor]
        else:
            queue.add(points_of(self.space, self.strategy, self.seed))
            self._work_off(queue)
        return self._result(study)

    def _config(self, point: Mapping[str, float]) -> TrainingConfig:
        folder = self.folder / "trials" / _name(point)
        extra = {"patience": None} if self.strategy != "adaptive" else {}
        # Trials are compared by their looks, which a run that is judged by halves has not.
        return TrainingConfig(
            **{"overwrite": False, "halves": False, **extra, **self._shared, **point, "output_dir": folder}
        )

    def _work_off(self, queue: Queue) -> None:
        with progress(desc="trials", unit="trial") as bar:
            while True:
                with queue.taken(lambda: self._spent(queue.study)) as trial:
                    if trial is None:
                        return
                    point = {name: trial.suggest_categorical(name, getattr(self.space, name)) for name in PARAMETERS}
                    self._try(queue.study, trial, point)
                bar.update()

    def _spent(self, study: "optuna.Study") -> bool:
        import optuna

        ended = study.get_trials(
            deepcopy=False, states=(optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
        )
        running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        if self.budget.runs is not None and len(ended) + len(running) >= self.budget.runs:
            return True
        seconds = [float(trial.user_attrs.get("seconds", 0)) for trial in ended]
        # The next one is taken to last as long as the longest so far.
        return self.budget.seconds is not None and sum(seconds) + max(seconds, default=0) > self.budget.seconds

    def _try(self, study: "optuna.Study", trial: "optuna.Trial", point: Mapping[str, float]) -> None:
        """Run one trial in a process of its own, stopping it where its curve lies below the others'."""
        import optuna

        config = self._config(point)
        settings = config.model_dump(mode="json", exclude_none=True, exclude={"base_model", "output_dir"})
        # By name: `with_suffix` would take what stands behind the dot of a number for one.
        file = config.output_dir.with_name(config.output_dir.name + ".yaml")
        write_text(file, yaml.safe_dump(settings))
        command = ["train", str(self._pairs), "--json", "--base-model", config.base_model]
        command += ["--output", str(config.output_dir), "--config", str(file)]
        wait_for_others(config.output_dir)  # a run that a killed search left may take its time to end
        started = time.monotonic()
        log = config.output_dir.with_name(config.output_dir.name + ".log")
        with log.open("w", encoding="utf-8") as errors:
            process = start(python_of_ours("dragon_finetune.cli", command), stdout=subprocess.DEVNULL, stderr=errors)
            try:
                curve, stopped = self._watch(trial, process, config.output_dir)
            except BaseException:
                _end(process)
                raise
        trial.set_user_attr("seconds", time.monotonic() - started)
        trial.set_user_attr("curve", {str(step): score for step, score in curve.items()})
        card = config.output_dir / "dragon_finetune.json"
        if stopped:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        elif process.returncode == 0 and card.is_file():
            result = read_json(card)["result"]
            trial.set_user_attr("curve", result["curve"])
            trial.set_user_attr("base", result["validation"].get("base"))
            trial.set_user_attr("trouble", result.get("trouble") or "")
            study.tell(trial, _score(result))
        else:
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            trial.set_user_attr("trouble", last[0][:300] if last else f"exit code {process.returncode}")
            study.tell(trial, state=optuna.trial.TrialState.FAIL)

    def _watch(
        self, trial: "optuna.Trial", process: "subprocess.Popen[bytes]", output: Path
    ) -> tuple[dict[int, float], bool]:
        """Return the curve, and whether the trial was stopped for it."""
        file = output.with_name(output.name + ".work") / "curve.json"
        curve: dict[int, float] = {}
        judged = self.strategy != "adaptive"
        while True:
            ended = process.poll() is not None
            if file.is_file():
                with contextlib.suppress(DataError):  # it is being replaced just now
                    curve = {int(step): score for step, score in read_json(file).items()}
            if not judged and curve and max(curve) >= self._rung(min(curve)):
                judged = True
                rung = min(step for step in curve if step >= self._rung(min(curve)))
                trial.report(max(score for step, score in curve.items() if step <= rung), 1)
                if not ended and trial.should_prune():
                    process.kill()
                    process.wait()
                    return curve, True
            if ended:
                return curve, False
            time.sleep(_POLL)

    def _rung(self, look: int) -> float:
        """Return the step at which a trial is judged: a third of all, but not while rates are still rising."""
        looks = max(self.space.epochs) * self._looks_per_epoch
        rising = max(value if value >= 1 else value * looks * look for value in self.space.warmup)
        return max(looks * look / BEST_OF, rising)

    def _winner(self, study: "optuna.Study") -> Any:
        import optuna

        done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        return max(done, key=lambda trial: trial.value or 0.0, default=None)

    def _result(self, study: "optuna.Study") -> SearchResult:
        trials = [self._trial(trial) for trial in study.get_trials(deepcopy=False) if trial.params]
        ended = [trial for trial in trials if trial.state in ("complete", "pruned", "fail")]
        failed_twice = {_name(trial.settings) for trial in ended if trial.state != "fail"}
        shown = [trial for trial in ended if trial.state != "fail" or _name(trial.settings) not in failed_twice]
        shown.sort(key=lambda trial: (trial.state != "complete", -(trial.score or 0.0)))
        if not any(trial.state == "complete" for trial in shown):
            reasons = (
                "; ".join(sorted({trial.trouble for trial in shown if trial.trouble})) or "the budget was too small"
            )
            raise DragonFinetuneError(f"no trial finished: {reasons}. What was done is kept in {self.folder}.")
        bases = [trial.user_attrs.get("base") for trial in study.get_trials(deepcopy=False)]
        return SearchResult(
            trials=shown,
            importance=importance_of(study),
            best=shown[0].folder,
            base_score=next((base for base in bases if base is not None), None),
        )

    def _trial(self, trial: "optuna.trial.FrozenTrial") -> Trial:
        curve = {int(step): score for step, score in trial.user_attrs.get("curve", {}).items()}
        state = trial.state.name.lower()
        score = trial.value if trial.value is not None else max(curve.values(), default=None)
        return Trial(
            number=trial.number,
            settings={name: trial.params[name] for name in PARAMETERS},
            state=state,
            score=score if state != "fail" else None,
            steps=max(curve, default=0),
            seconds=float(trial.user_attrs.get("seconds", 0)),
            curve=curve,
            folder=self._config(trial.params).output_dir,
            trouble=trial.user_attrs.get("trouble", ""),
        )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a trial to save and end, and end it if it does not."""
    ask_to_end(process)
    try:
        process.wait(_SECONDS_TO_SAVE)
    finally:
        process.kill()
        process.wait()


def _score(result: Mapping[str, Any]) -> float:
    """Return the score of the best look; a run that kept its base scores as the base does.

    Not that of a blend: which blend is kept hangs on half of the held-back queries, and would add its noise.
    """
    scores = result["validation"]
    tuned = "tuned" if "tuned" in scores else "query encoder"
    return float(scores.get("base" if result["kept"] == "base" else tuned, 0.0))


def _name(point: Mapping[str, float]) -> str:
    readable = "_".join(f"{short}{point[name]:g}" for short, name in zip(("lr", "ep", "wu"), PARAMETERS, strict=True))
    exact = hashlib.blake2b(json.dumps({name: point[name] for name in PARAMETERS}).encode(), digest_size=3).hexdigest()
    return f"{readable}_{exact}"
