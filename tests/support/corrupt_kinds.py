"""What a file of the state folder may look like after a full disk, a bad sector, a slip or a newer version.

A `Kind` is one file and one harm done to it. Does not run commands.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

NEWER = "from_a_newer_version"
"""Field, word or revision that this version does not know."""
Harm = Callable[[Path], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One corruption."""

    name: str
    file: str
    """Pattern below the state folder; all matches are harmed. `NAME` stands for the project."""
    harm: Harm
    heals: bool = False
    """Whether every command must work as if nothing were: caches, and what a newer version wrote."""
    cache: bool = False
    """Whether a training reads it, so that it takes a whole retraining to see that it heals."""
    refused_by: frozenset[str] = frozenset()
    """Commands that must not take it for sound."""
    not_read_by: frozenset[str] = frozenset()
    """Commands that do without it, and must work."""
    stays: bool = False
    """Whether `NEWER` must still be there afterwards."""


def _cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _garbage(path: Path) -> None:
    path.write_bytes(random.Random(7).randbytes(max(200, path.stat().st_size // 2)))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _folder(path: Path) -> None:
    _remove(path)
    path.mkdir()


def _link(path: Path) -> None:
    _remove(path)
    path.symlink_to("there-is-no-such-file")


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _garbage_line(path: Path) -> None:
    first, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"\xff\x00 no entry\n".join([first, b"".join(others)]))


def _newer_field(path: Path) -> None:
    """In each JSON object of the file, and in those one level below it."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    made = []
    for line in lines:
        raw = json.loads(line)
        for one in [raw, *(value for value in raw.values() if isinstance(value, dict))]:
            one[NEWER] = {"more": 1}
        made.append(json.dumps(raw, indent=None if path.suffix == ".jsonl" else 1))
    path.write_text("\n".join(made) + "\n", encoding="utf-8")


def _newer_event(path: Path) -> None:
    entry = {
        "event": NEWER,
        "version": 1,
        "at": "2030-01-01T00:00:00+00:00",
        "pid": 1,
        "detail": "of a newer one",
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def _newer_revision(path: Path) -> None:
    """A database of Prefect as a newer version leaves it."""
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    with database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES (?)", (NEWER,))
    database.close()


def _garbage_database(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"SQLite format 3\x00" + random.Random(7).randbytes(5000))


_MOVES = frozenset({"rollback", "promote"})
_ENDPOINT = frozenset({"serve", "predict"})
_DAMAGE: dict[str, Harm] = {
    "cut": _cut,
    "empty": _empty,
    "garbage": _garbage,
    "a folder": _folder,
    "a link to nothing": _link,
}


def _kinds(what: str, file: str, harms: str, refused_by: frozenset[str] = frozenset()) -> list[Kind]:
    """A kind for each harm, of which the names are given with commas."""
    return [
        Kind(name=f"{what}: {harm}", file=file, harm=_DAMAGE[harm], refused_by=refused_by)
        for harm in harms.split(", ")
    ]


def _caches(**files: str) -> list[Kind]:
    made = []
    for number, (what, file) in enumerate(files.items()):
        harm = [_cut, _flipped, _garbage, _empty][number % 4]
        name = f"{what.replace('_', ' ')}: {harm.__name__.strip('_')}"
        made.append(Kind(name=name, file=file, harm=harm, heals=True, cache=True))
    return made


RELEASED: tuple[Kind, ...] = (
    Kind(
        name="journal: a garbage line",
        file="journal/NAME.jsonl",
        harm=_garbage_line,
        refused_by=_MOVES | {"retrain", "status"},
    ),
    *_kinds("journal", "journal/NAME.jsonl", "a folder, a link to nothing", _MOVES | {"retrain", "status"}),
    Kind(name="journal: a newer field", file="journal/NAME.jsonl", harm=_newer_field, heals=True, stays=True),
    Kind(name="journal: a newer event", file="journal/NAME.jsonl", harm=_newer_event, heals=True, stays=True),
    *_kinds(
        "settings",
        "projects/NAME.json",
        "cut, empty, garbage, a folder, a link to nothing",
        _MOVES | _ENDPOINT | {"retrain", "status"},
    ),
    Kind(
        name="settings: a newer field", file="projects/NAME.json", harm=_newer_field, heals=True, stays=True
    ),
    *_kinds("endpoint's state", "endpoints/NAME.json", "cut, garbage, a folder", _ENDPOINT | {"status"}),
    Kind(name="endpoint's state: a newer field", file="endpoints/NAME.json", harm=_newer_field, heals=True),
    *_kinds("watch", "bakes/NAME.json", "cut, garbage, a folder, a link to nothing", frozenset({"status"})),
    *_kinds("endpoint's job", "endpoints/NAME.job", "garbage"),
    *(
        replace(kind, not_read_by=_ENDPOINT)  # they verify only
        for kind in _kinds("private key", "keys/release.key", "empty, garbage, a folder", _MOVES)
    ),
    *_kinds("public key", "keys/release.pub", "empty, garbage, a folder"),
    *_kinds("registry", "mlflow/store.sqlite", "cut, empty, garbage, a folder", _MOVES | {"retrain"}),
    *_kinds("pointer", "releases/NAME/current", "cut, garbage, a folder"),
    *_kinds("release manifest", "releases/NAME/versions/2/release.json", "cut, a link to nothing"),
    *_kinds("champion's bundle", "releases/NAME/versions/2/bundle/model.onnx", "cut"),
    *_kinds("former bundle", "releases/NAME/versions/1/bundle/model.onnx", "garbage"),
    *_kinds("signed judgement", "mlflow/artifacts/**/judgement.json", "garbage", frozenset({"promote"})),
)
"""Of files that a release leaves."""

TRAINED: tuple[Kind, ...] = (
    *_kinds("token", "../token", "empty, garbage, a folder", _ENDPOINT),
    *_caches(
        merged_dataset="data/*/dataset.parquet",
        description_of_the_dataset="data/*/dataset.json",
        profile_of_the_dataset="data/*/profile.json",
        rows_of_the_dataset="data/*/rows/train.topic.npy",
        tokenised_rows="data/*/rows/.tokens/*/ids.npy",
        cached_baseline="cache/baselines/*/fitted/weights.safetensors",
        list_of_a_cached_baseline="cache/baselines/*/.complete",
        cached_bundle="cache/baselines/*/bundles/*/bundle/model.onnx",
        teacher_answers="cache/teachers/*/topic.npy",
        cached_scores="cache/scores/*/scores.npz",
        cheap_answers="cache/references/*/answers.npz",
    ),
    Kind(name="judged inputs: garbage", file="judged/NAME/*.json", harm=_garbage, heals=True),
    Kind(name="judged inputs: cut", file="judged/NAME/*.json", harm=_cut, heals=True),
    Kind(name="remembered merge: garbage", file="data/.merged/*.json", harm=_garbage, heals=True),
    Kind(name="kept evidence: garbage", file="runs/*/evidence/kept.json", harm=_garbage, heals=True),
    Kind(
        name="Prefect's database: garbage",
        file="prefect/prefect.db",
        harm=_garbage_database,
        refused_by=frozenset({"retrain", "validate"}),
    ),
    Kind(
        name="Prefect's database: a newer revision",
        file="prefect/prefect.db",
        harm=_newer_revision,
        refused_by=frozenset({"retrain", "validate"}),
        stays=True,
    ),
)
"""Of files that only a whole run leaves."""

KINDS = (*RELEASED, *TRAINED)
