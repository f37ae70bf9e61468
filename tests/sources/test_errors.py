"""Errors about data, as they pass from a worker to the process that shows them."""

from __future__ import annotations

import pickle

from sources.errors import BadLabels, BadTable, Problem


def test_an_error_can_travel_between_processes() -> None:
    error = BadLabels(Problem("x", head="h"), Problem("y"))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_problem_shows_no_password() -> None:
    problem = Problem("no http://user:pass@host", "a file", "Look at http://user:pass@host/x.", file="a.csv")
    assert "pass" not in str(BadTable(problem)) and "pass" not in str(BadTable(problem, problem))
