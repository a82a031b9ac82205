"""The trials of a search's folder, from which several processes may take: each once, those of the dead again."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dragon_finetune.errors import BusyError, SettingsError
from dragon_finetune.locks import held

if TYPE_CHECKING:
    import optuna

_LOG = "study.log"
_POLL = 1.0  # seconds between two looks at what other processes have ended
BEST_OF = 3
"""Of so many trials one goes on past a third of its steps (asynchronous successive halving: Li et al., 1810.05934)."""


class Queue:
    """Optuna's study in a folder; whoever tries a trial of it holds that trial's lock.

    Args:
        folder: of the search.
        identity: what makes it this search; JSON-safe.

    Raises:
        SettingsError: the folder holds another search.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            self.study = _open(folder)
            mark = json.dumps(identity, sort_keys=True, default=str)
            known = self.study.user_attrs.get("identity")
            if known is None:
                self.study.set_user_attr("identity", mark)
            elif known != mark:
                raise SettingsError(f"{folder} holds another search ({known}). Choose another --output.")

    def add(self, points: Sequence[dict[str, float]]) -> None:
        """Put points at the end that were not in it yet."""
        with self._alone():
            for point in points:
                self.study.enqueue_trial(point, skip_if_exists=True)

    @contextmanager
    def taken(self, spent: Callable[[], bool]) -> Iterator["optuna.Trial | None"]:
        """Yield the next trial, which nobody else takes while the block runs; None when the budget or all is spent.

        While others on this machine still try theirs, their end is waited for: one that dies leaves its trial.
        """
        with ExitStack() as claim:
            trial = None
            while trial is None:
                with self._alone():
                    running = self._running()
                    if self._in("WAITING") and not spent():
                        trial = self.study.ask()
                        claim.enter_context(self._claim(trial.number))
                        trial.set_user_attr("owner", [socket.gethostname(), os.getpid()])
                        break
                    if not running:
                        break
                time.sleep(_POLL)
            yield trial

    def _running(self) -> bool:
        """Tell whether others on this machine try trials; put those of the dead back, to go on from checkpoints."""
        import optuna

        alive = False
        for trial in self._in("RUNNING"):
            host = (trial.user_attrs.get("owner") or [socket.gethostname()])[0]
            if host != socket.gethostname():
                continue  # a lock may not reach over the network
            try:
                with self._claim(trial.number):
                    self.study.tell(trial.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
                    self.study.enqueue_trial(dict(trial.params) or dict(trial.system_attrs.get("fixed_params", {})))
            except BusyError:
                alive = True
        return alive

    def _in(self, state: str) -> "list[optuna.trial.FrozenTrial]":
        import optuna

        return self.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState[state],))

    def _alone(self) -> AbstractContextManager[None]:
        return held(self._folder / "queue", wait=True)

    def _claim(self, number: int) -> AbstractContextManager[None]:
        return held(self._folder / "trials" / str(number), wait=False)


def _open(folder: Path) -> "optuna.Study":
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    log = str(folder / _LOG)
    # The lock by opening works on Windows and on network drives too.
    storage = JournalStorage(JournalFileBackend(log, lock_obj=JournalFileOpenLock(log)))
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=BEST_OF)
    return optuna.create_study(
        storage=storage, study_name="search", direction="maximize", load_if_exists=True, pruner=pruner
    )
