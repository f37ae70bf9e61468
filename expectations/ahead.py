"""Load the libraries that judge data in a thread, while something else is waited for: they take seconds.

Does not judge.
"""

from __future__ import annotations

import contextlib
import threading


def load_ahead() -> threading.Thread:
    """Begin to load them and return at once. Who needs them then waits for what is left of it; should loading
    fail, whoever needs them is told."""
    thread = threading.Thread(target=_load, name="load-ahead", daemon=True)
    thread.start()
    return thread


def _load() -> None:
    with contextlib.suppress(Exception):
        import expectations.chances
        import expectations.data.gate
        from expectations.data.gx.library import load_library

        assert expectations.chances and expectations.data.gate
        load_library()
