"""`python -m model COMMAND …`: each command is a module, imported only when it is called.

Exit codes: 0 done, 2 input that cannot be used, 1 anything else.
"""

from __future__ import annotations

import importlib
import os
import sys

from .bundle.masking import mask_process
from .bundle.telemetry import telemetry_off
from .errors import BadInput, ModelError

COMMANDS = {
    "fit": ("train.fit", "train a shared model or a baseline from a job file"),
    "teach": ("train.teach", "write a fitted model's logits for every training row"),
    "try": ("export.trial", "try whether an encoder can be exported"),
    "package": ("export.package", "write a fitted model as a bundle"),
    "answer": ("export.answers", "let a fitted model answer the rows of a split"),
    "score": ("measure.score", "let a bundle answer the rows of a split"),
    "reference": ("measure.cheap_answers", "let cheap references answer the test rows of a head"),
    "time": ("measure.timing", "measure latency and memory of bundles, interleaved"),
}
"""Command → (module with `main(argv) -> int | None`, what it does)."""

SPIN_TURNS = {"fit": "1000", "teach": "1000", "answer": "1000"}
"""Command → turns that torch's OpenMP threads spin before they sleep while they wait for each other.

The library's default, 300,000, is fastest on idle cores and very slow on busy ones, where a spinning thread
takes the core that the awaited thread needs: two processes on two cores did 9 rows/s each with the default
and 137 with 1,000. Set `GOMP_SPINCOUNT` to choose another number."""


def main(argv: list[str]) -> int:
    """Run one command and return the exit code."""
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: python -m model COMMAND …\n")
        for name, (_, what) in COMMANDS.items():
            print(f"  {name:<9} {what}")
        return 0 if argv else 2
    if argv[0] not in COMMANDS:
        print(f"unknown command {argv[0]!r}; expected one of {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    telemetry_off()
    mask_process()
    if argv[0] in SPIN_TURNS:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_TURNS[argv[0]])  # read when torch is imported
    try:
        module = importlib.import_module(f".{COMMANDS[argv[0]][0]}", __package__)
        return int(module.main(argv[1:]) or 0)
    except BadInput as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except ModelError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
