"""A command in a process of its own: its wall time, its processor time, and the most memory that it held.

    python -m tests.support.measured_process FACTS.json COMMAND …      # how `run_measured` starts it

The kernel counts into a process's peak what its parent held at the start: a command started by a process
with torch in it would seem to need what torch needs. So a small process stands between the two and reads the
peak when the command has ended. Does not know what the command does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

ERROR_CHARS = 2000
"""Characters of a failed command's standard error that the exception holds."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a command took."""

    seconds: float
    """Wall time, start of the interpreter included."""
    cpu_seconds: float
    """Processor time of all its threads."""
    peak_mib: float
    """The largest resident set that it had at any time, in MiB."""


def run_measured(command: Sequence[str], *, on_line: Callable[[str], None] = lambda line: None) -> Spent:
    """Run a command to its end; each line of its standard output is given to `on_line`.

    Raises:
        RuntimeError: it ended with another status than 0; the end of its standard error is in the message.
    """
    started_s = time.monotonic()
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1"}
    with (
        tempfile.TemporaryDirectory(prefix="headgate-measured-") as place,
        tempfile.TemporaryFile() as errors,
    ):
        facts = Path(place) / "facts.json"
        between = [sys.executable, "-m", "tests.support.measured_process", str(facts)]
        process = subprocess.Popen(
            [*between, *command], stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        )
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                on_line(line)
        if process.returncode:
            errors.seek(0)
            ending = errors.read().decode(errors="replace")[-ERROR_CHARS:]
            raise RuntimeError(f"{' '.join(command)} failed with status {process.returncode}: {ending}")
        return Spent(seconds=time.monotonic() - started_s, **json.loads(facts.read_text(encoding="utf-8")))


def main(argv: list[str]) -> int:
    """Start the command, wait for it, write what it took; returns its exit status."""
    facts, command = Path(argv[0]), argv[1:]
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seen = {
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 1024),
    }
    facts.write_text(json.dumps(seen), encoding="utf-8")
    return abs(child.returncode)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
