"""A real server in a process of its own, as `dragon-finetune serve` starts it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("dragon-finetune"))


@dataclass
class Server:
    url: str
    process: subprocess.Popen

    def stop(self, how: int = signal.SIGTERM) -> tuple[int, str]:
        """Return the exit code, and what it said on stderr since it began to serve."""
        self.process.send_signal(how)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@contextmanager
def serving(*arguments: object, **environment: str) -> Iterator[Server]:
    process = subprocess.Popen(
        [COMMAND, "serve", *map(str, arguments), *(() if "--port" in arguments else ("--port", "0"))],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"on (http://\S+)", line):
                yield Server(found[1], process)
                return
        raise AssertionError("".join(lines))
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
