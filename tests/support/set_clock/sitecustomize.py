"""Run by every Python that has this folder on its path: its wall clock is off by the seconds in the file that
`HEADGATE_TEST_CLOCK` names, if there is one. How a machine's clock is set without setting the machine's."""

import os
import time
from pathlib import Path

_true = time.time


def _shifted() -> float:
    try:
        return _true() + float(Path(os.environ["HEADGATE_TEST_CLOCK"]).read_text())
    except (KeyError, OSError, ValueError):
        return _true()


time.time = _shifted
