"""Made-up projects of every kind, and digests of what a merge makes of them.

The digests do not depend on a version of a library: rows are hashed as plain Python values, so that a dataset
that is made in another way is known to be the same one.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.feather

from model.spec import HeadSpec
from sources.dataset import DatasetRef, build_dataset
from sources.spec import SourceSpec, SplitSpec, TargetSpec
from tests.support import scale_rows

MOODS = ("calm", "froh", "müde", "traurig")
MARKS = ("a b", "b,c", 'q"uote', "señal", "x")
ODD = (
    *(
        "  leading",
        "trailing\u2003",
        "cafe\u0301",
        "caf\u00e9",
        "Zo\u0308\r\nline",
        "tab\there",
        "e\u0301\u0327",
    ),
    *(
        "\u1100\u1161\u11a8",
        "각",
        "日本語のテキスト",
        "가나다",
        "naïve — “quoted”",
        "\u200bzero",
        "\u0958",
        "क\u093c",
    ),
    *(
        "emoji 👩\u200d👩\u200d👧 ☀️",
        "Ω\u2126",
        "Привет, йод",
        "и\u0306од",
        "ﬁ",
        "Å\u212b",
        "a\u0300" * 3,
        "ｶﾞ",
    ),
)


@dataclass(frozen=True, slots=True)
class World:
    """One project."""

    write: Callable[[Path, random.Random], None]
    sources: Mapping[str, SourceSpec]
    heads: Mapping[str, HeadSpec]
    split: SplitSpec = field(default_factory=lambda: SplitSpec(near_duplicates="off"))


def _texts(rng: random.Random, count: int) -> list[str]:
    """Texts, some of them twice, some odd, some blank."""
    words = ["green", "große", "river", "sky", "ёлка", "stone", "été", "night", "and", "the", "über", "fast"]
    made = [" ".join(rng.choices(words, k=rng.randint(3, 9))) for _ in range(count)]
    for at in range(0, count, 7):
        made[at] = made[rng.randrange(count)]
    for at in range(3, count, 11):
        made[at] = rng.choice(ODD)
    made[5], made[8] = "   ", ""
    return made


def _rows(rng: random.Random, count: int) -> list[dict[str, Any]]:
    return [
        {
            "text": text,
            "mood": rng.choice(MOODS) if rng.random() < 0.9 else None,
            "marks": sorted(rng.sample(MARKS, rng.randint(0, 3))) if rng.random() < 0.9 else None,
            "group": rng.choice(["g1", "g2", "g3", "", f"own{at}"]),
            "part": rng.choice(["train", "dev", "test", "", "train"]),
            "who": rng.choice(["ann", "bob", "cy"]),
            "region": rng.choice(["north", "south", ""]),
            "n": rng.randint(0, 3),
        }
        for at, text in enumerate(_texts(rng, count))
    ]


def _csv(
    path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], bom: str = "", **dialect: Any
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, **{"lineterminator": "\n", **dialect})
    writer.writerow(columns)
    for row in rows:
        cells = [row[c] for c in columns]
        writer.writerow(["|".join(c) if isinstance(c, list) else "" if c is None else c for c in cells])
    data = (bom + out.getvalue()).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def _jsonl(path: Path, rows: Sequence[Any], end: str = "\n", **options: Any) -> None:
    options = {"ensure_ascii": False, **options}
    path.write_bytes(
        "".join((r if isinstance(r, str) else json.dumps(r, **options)) + end for r in rows).encode()
    )


def _columnar(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    frame = pl.DataFrame(rows, infer_schema_length=None)
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        pyarrow.feather.write_feather(frame.to_arrow(), path)  # type: ignore[no-untyped-call]


def _one(head: str) -> dict[str, HeadSpec]:
    return {head: HeadSpec(kind="multilabel" if head == "marks" else "multiclass")}


MOOD, MARK = _one("mood"), _one("marks")
BOTH = {**MOOD, **MARK}
SEPARATED = TargetSpec(column="marks", encoding="separator", separator="|", empty_means_none=True)
SPLITS: Any = {"split_column": "part"}


def _given(rng: random.Random, count: int, **changed: Callable[[random.Random], Any]) -> list[dict[str, Any]]:
    """Rows, with some cells made another way."""
    return [{**row, **{k: make(rng) for k, make in changed.items()}} for row in _rows(rng, count)]


def _csv_world(name: str, spec: Mapping[str, Any] = {}, count: int = 400, **dialect: Any) -> World:
    def write(folder: Path, rng: random.Random) -> None:
        rows = [{**r, "mood": r["mood"] or "calm"} for r in _rows(rng, count)]
        _csv(folder / name, rows, ["text", "mood", "marks", "part", "group", "region", "n"], **dialect)

    source = SourceSpec(path=name, heads={"mood": "mood", "marks": SEPARATED}, **{**SPLITS, **spec})
    return World(write, {"s": source}, BOTH)


def _text_world(name: str, content: str | bytes, **spec: Any) -> World:
    def write(folder: Path, rng: random.Random) -> None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return World(write, {"s": SourceSpec(path=name, heads={"mood": "mood"}, **spec)}, MOOD)


def _json_world(
    label: Callable[[random.Random], Any], heads: Mapping[str, HeadSpec], **changes: Any
) -> World:
    head = next(iter(heads))

    def write(folder: Path, rng: random.Random) -> None:
        _jsonl(folder / "a.jsonl", _given(rng, 300, **{head: label}), **changes.get("options", {}))

    spec = SourceSpec(path="a.jsonl", heads={head: changes.get("target", head)}, **SPLITS)
    return World(write, {"s": spec}, heads)


def _several(rng: random.Random, folder: Path, count: int = 300) -> None:
    _csv(folder / "a.csv", _rows(rng, count), ["text", "mood", "marks", "part", "group", "region"])
    _jsonl(folder / "b.jsonl", _rows(rng, count))
    _columnar(folder / "c.parquet", _rows(rng, count))
    _columnar(folder / "d.arrow", _rows(rng, count))


def _several_world(merge: SplitSpec, **spec: Any) -> World:
    every: Any = {**SPLITS, **spec}
    return World(
        lambda folder, rng: _several(rng, folder),
        {
            "a": SourceSpec(path="a.csv", heads={"mood": "mood", "marks": SEPARATED}, weight=0.5, **every),
            "b": SourceSpec(path="b.jsonl", heads={"mood": "mood", "marks": "marks"}, **every),
            "c": SourceSpec(path="c.parquet", heads={"mood": "mood", "marks": "marks"}, weight=2, **every),
            "d": SourceSpec(path="d.arrow", heads={"marks": "marks"}, **every),
            "gone": SourceSpec(path="absent.csv", heads={"mood": "mood"}, optional=True),
        },
        BOTH,
        merge,
    )


def _scale_world(split: SplitSpec, rows: int = 3000, *, listed: bool = True) -> World:
    heads = scale_rows.heads()
    if not listed:
        heads = {name: HeadSpec(kind=head.kind) for name, head in heads.items()}
    return World(lambda folder, rng: scale_rows.write_load(folder, rows), scale_rows.sources(), heads, split)


def _near(folder: Path, rng: random.Random) -> None:
    rows = [r for r in _rows(rng, 500) if len(r["text"]) > 20]
    for row in rows[::3]:
        row["text"] = row["text"].upper() + "!" if rng.random() < 0.5 else row["text"] + " s"
    _jsonl(folder / "a.jsonl", rows + [{**r, "text": r["text"] + "."} for r in rows[::2]])


def _multi_hot(rng: random.Random) -> list[int]:
    return [rng.randint(0, 1) for _ in MARKS]


def worlds() -> dict[str, World]:
    """Name → project."""
    lines = "text,mood\n" + "".join(f"row {at},{MOODS[at % 4]}\n" for at in range(200))
    quoted = lines + '"two\nlines",calm\n"a ""word""",froh\n"comma, inside",calm\n\n\nafter blanks,froh\n'
    hot = HeadSpec(kind="multilabel")
    first = iter(range(10**6))
    whole: Any = {"split_column": None, "heads": {"mood": "mood"}}
    found = {
        "csv": _csv_world("a.csv"),
        "csv crlf": _csv_world("a.csv", lineterminator="\r\n"),
        "csv all quoted": _csv_world("a.csv", quoting=csv.QUOTE_ALL),
        "csv semicolons": _csv_world("a.csv", delimiter=";"),
        "csv bom gz": _csv_world("a.csv.gz", bom="\ufeff"),
        "tsv": _csv_world("a.tsv", {"quoting": True}, delimiter="\t"),
        "csv limit": _csv_world("a.csv", {"limit": 150}),
        "csv where": _csv_world("a.csv", {"where": "region = 'north' AND CAST(n AS INT) > 0"}),
        "csv keep": _csv_world("a.csv", {"keep": ("region", "n"), "group": "group"}),
        "csv hashed": _csv_world("a.csv", {"split_column": None}),
        "csv lines": _text_world("a.csv", quoted),
        "csv no end": _text_world("a.csv", lines.rstrip("\n")),
        "csv open quotes": _text_world("a.csv", lines + 'six" nails,calm\n2" and 3" nails,froh\n'),
        "csv old mac": _text_world("a.csv", lines.replace("\n", "\r")),
        "csv mixed ends": _text_world("a.csv", lines + "x,calm\r\ny,froh\rz,calm\n"),
        "csv announced": _text_world("a.csv", "sep=;\n" + lines.replace(",", ";")),
        "csv no header": _text_world("a.csv", lines[10:], header=False, names=("text", "mood")),
        "csv utf-16": _text_world("a.csv", lines.encode("utf-16")),
        "csv latin-1": _text_world("a.csv", (lines + "déjà,müde\n").encode("latin-1"), encoding="latin-1"),
        "csv one column more": _text_world("a.csv", lines.replace("\n", ",\n")),
        "csv empty ends": _text_world("a.csv", lines + ",calm\nx,\n"),
        "tsv quotes": _text_world("a.tsv", lines.replace(",", "\t") + '"as is\tcalm\n'),
        "jsonl": _json_world(lambda rng: rng.choice(MOODS), MOOD),
        "jsonl ascii": _json_world(lambda rng: rng.choice(MOODS), MOOD, options={"ensure_ascii": True}),
        "jsonl crlf": _json_world(lambda rng: rng.choice(MOODS), MOOD, options={"end": "\r\n"}),
        "jsonl numbers": _json_world(lambda rng: rng.choice([1, 2, 30, 0]), MOOD),
        "jsonl floats": _json_world(lambda rng: rng.choice([1.0, 2.5, 1]), MOOD),
        "jsonl truths": _json_world(lambda rng: rng.random() < 0.5, MOOD),
        "jsonl kinds": _json_world(lambda rng: rng.choice([1, "1", "b", True, None]), MOOD),
        "jsonl dates": _json_world(lambda rng: rng.choice(["2020-01-01", "2021-02-03 10:00:00"]), MOOD),
        "jsonl lists": _json_world(lambda rng: rng.sample(MARKS, rng.randint(0, 3)), MARK),
        "jsonl numbered": _json_world(lambda rng: rng.sample([1, 2, 30, 44], rng.randint(1, 3)), MARK),
        "jsonl positions": _json_world(
            _multi_hot, {"marks": hot}, target=TargetSpec(column="marks", names=("v", "w", "x", "y", "z"))
        ),
        "jsonl late": _json_world(lambda rng: None if next(first) < 150 else rng.choice(MOODS), MOOD),
        "jsonl scores": _json_world(
            lambda rng: {"a": rng.random(), "b": 1, "c": rng.random()},
            MARK,
            target=TargetSpec(column="marks", threshold=0.4),
        ),
        "conflicts drop": _several_world(SplitSpec(conflicts="drop")),
        "conflicts error": _several_world(SplitSpec(conflicts="error", near_duplicates="off")),
        "conflicts majority": _several_world(SplitSpec(conflicts="majority", near_duplicates="off")),
        "conflicts prefer": _several_world(SplitSpec(conflicts="prefer", prefer=("c", "a"))),
        "conflicts union": _several_world(SplitSpec(conflicts="union"), keep=("region",)),
        "groups": _several_world(SplitSpec(seed=3), group="group", split_column=None),
        "groups given": _several_world(SplitSpec(), group="group"),
        "carved": _several_world(SplitSpec(), split_column=None, split="train"),
        "near": World(_near, {"s": SourceSpec(path="a.jsonl", heads={"mood": "mood"})}, MOOD, SplitSpec()),
        "near removed": World(
            _near,
            {"s": SourceSpec(path="a.jsonl", heads={"mood": "mood"})},
            MOOD,
            SplitSpec(near_duplicates="remove", near_duplicate_similarity=0.8),
        ),
        "scale": _scale_world(SplitSpec()),
        "scale unlisted": _scale_world(SplitSpec(conflicts="majority"), listed=False),
    }
    found |= {
        f"annotators {policy}": World(
            lambda folder, rng: _jsonl(folder / "a.jsonl", _rows(rng, 500)),
            {
                "s": SourceSpec(
                    path="a.jsonl",
                    heads={"mood": "mood", "marks": "marks"},
                    annotator="who",
                    annotators=policy,
                )
            },
            BOTH,
        )
        for policy in ("majority", "each")
    }
    doubtful = ["5", "5.0", "7", " calm", "n/a", "a;b", "a", "b", "“q”"]
    found["doubts"] = World(
        lambda folder, rng: _csv(
            folder / "a.csv", _given(rng, 600, mood=lambda r: r.choice(doubtful)), ["text", "mood"]
        ),
        {"s": SourceSpec(path="a.csv", **{k: v for k, v in whole.items() if v})},
        MOOD,
    )
    found["unknown labels"] = World(
        lambda folder, rng: _csv(folder / "a.csv", _rows(rng, 300), ["text", "mood", "marks", "part"]),
        {"s": SourceSpec(path="a.csv", heads={"mood": "mood", "marks": SEPARATED}, **SPLITS)},
        {
            "mood": HeadSpec(kind="multiclass", labels=MOODS[:3]),
            "marks": HeadSpec(kind="multilabel", labels=MARKS[1:]),
        },
    )
    return found


def made(world: World, folder: Path, seed: int = 16) -> DatasetRef:
    """The dataset of a project, written and merged below `folder`."""
    folder.mkdir(parents=True)
    world.write(folder, random.Random(seed))
    return build_dataset(world.sources, world.heads, world.split, folder, folder / "out")


def digests(ref: DatasetRef) -> dict[str, str]:
    """Part of a dataset folder → 16 digits of a digest of what it holds."""
    about = json.loads((ref.path / "dataset.json").read_text(encoding="utf-8"))
    about.pop("evidence")  # it holds hashes of polars, which may change with its version
    found = {"dataset.json": _of(about), "fingerprint": ref.fingerprint[:16]}
    found["profile.json"] = _of(json.loads((ref.path / "profile.json").read_text(encoding="utf-8")))
    for file in sorted(ref.path.glob("*.parquet")):
        table = pl.read_parquet(file)
        found[file.stem] = _of([sorted((n, str(t)) for n, t in table.schema.items()), table.to_dicts()])
    rows = hashlib.sha256()
    for file in sorted((ref.path / "rows").iterdir()):
        rows.update(file.name.encode() + file.read_bytes())
    return found | {"rows": rows.hexdigest()[:16]}


def _of(plain: Any) -> str:
    text = json.dumps(plain, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
