"""Some cells of the table of damaged files, on toy versions; `tests.campaigns.corruptions` has all."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from release.home import Home, environment
from tests.campaigns.corruptions import COMMANDS, judged, try_cell
from tests.support.corrupt_kinds import KINDS, RELEASED, Kind
from tests.support.corrupt_world import Damageable, Ran, toy_project

NAMED = {kind.name: kind for kind in RELEASED}
CELLS = [
    ("journal: a newer field", "status"),
    ("journal: a newer field", "rollback"),
    ("journal: a garbage line", "status"),
    ("journal: a garbage line", "promote"),
    ("settings: a newer field", "promote"),
    ("settings: cut", "serve"),
    ("settings: a link to nothing", "status"),
    ("endpoint's state: cut", "predict"),
    ("endpoint's state: a newer field", "predict"),
    ("watch: cut", "status"),
    ("watch: a folder", "rollback"),
    ("registry: cut", "rollback"),
    ("registry: empty", "promote"),
    ("public key: garbage", "status"),
    ("pointer: a folder", "rollback"),
    ("signed judgement: garbage", "promote"),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Damageable]:
    before = dict(os.environ)
    root = tmp_path_factory.mktemp("corruptions")
    os.environ.update(environment(Home(root / "home"), given={}))
    made = toy_project(root)
    yield made
    made.end_endpoints()
    os.environ.clear()
    os.environ.update(before)


def test_the_whole_table_is_large_enough() -> None:
    assert len(KINDS) >= 36 and len({kind.name for kind in KINDS}) == len(KINDS)
    assert len(COMMANDS) == 7


@pytest.mark.parametrize(("kind", "command"), CELLS)
def test_a_damaged_file_is_said_or_heals(project: Damageable, kind: str, command: str) -> None:
    cell = try_cell(project, NAMED[kind], command)
    assert cell.came_to in ("works", "says"), cell


def test_what_is_wrong_would_be_seen() -> None:
    kind = Kind(name="a", file="journal/a.jsonl", harm=lambda path: None, refused_by=frozenset({"status"}))
    healing = Kind(name="a", file="cache/a", harm=lambda path: None, heals=True)
    said = "headgate: /home/journal/a.jsonl, line 1: not an entry; run `mv …`"
    assert judged(kind, "status", Ran(1, said), "a.jsonl") == "says"
    for wrong in (
        judged(kind, "status", Ran(0, ""), "a.jsonl"),
        judged(kind, "status", Ran(1, "Traceback (most recent call last)"), "a.jsonl"),
        judged(kind, "status", Ran(143, said), "a.jsonl"),
        judged(kind, "promote", Ran(1, "not an entry; run `mv …`"), "a.jsonl"),
        judged(kind, "promote", Ran(1, "/home/journal/a.jsonl is damaged"), "a.jsonl"),
        judged(healing, "promote", Ran(1, said), "a.jsonl"),
    ):
        assert wrong.startswith("WRONG"), wrong
