"""Ends what a killed run leaves of its Ray: Linux ends most of it, but Ray's agents look for their server for a minute.

Run as a process: the run's number, then those of its Ray.
"""

import contextlib
import sys

import psutil

from dragon_finetune.processes import wait_for_end


def main(run: int, family: list[int]) -> None:
    """Wait until the run has ended and end its family."""
    processes = []
    for pid in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
    wait_for_end(run)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()  # psutil kills nobody who was given the number since


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(pid) for pid in sys.argv[2:]])
