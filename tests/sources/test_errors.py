"""Errors about data, as they pass from a worker to the process that shows them."""

from __future__ import annotations

import pickle

from sources.errors import BadLabels, Problem


def test_an_error_can_travel_between_processes() -> None:
    error = BadLabels(Problem("x", head="h"), Problem("y"))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
