"""Whatever the rows: their order changes nothing, and what is written is what is merged."""

from __future__ import annotations

import csv
import gzip
import json
import random
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.feather
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from model.bundle.texts import WHITE_SPACE, prepared
from model.spec import HeadSpec
from sources.dataset import build_dataset
from sources.errors import DataError
from sources.spec import SourceSpec, SplitSpec, TargetSpec

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS = st.text(CHARACTERS, min_size=1, max_size=12).filter(lambda t: prepared(t) != "")
LABELS = st.text(CHARACTERS, min_size=1, max_size=8).map(lambda t: t.strip(WHITE_SPACE)).filter(bool)
PLAIN = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\t\r\n"), min_size=1, max_size=8)
    .map(lambda t: t.strip(WHITE_SPACE))
    .filter(bool)
)
SLOW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])

Table = list[tuple[str, str, list[str]]]


def tables(texts: st.SearchStrategy[str], labels: st.SearchStrategy[str]) -> st.SearchStrategy[Table]:
    row = st.tuples(texts, labels, st.lists(labels, max_size=3))
    return st.lists(row, min_size=1, max_size=6, unique_by=lambda r: prepared(r[0]))


def write_csv(path: Path, table: Table, **dialect: Any) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, quoting=csv.QUOTE_ALL, **dialect)
        writer.writerow(["text", "one", "many"])
        writer.writerows([text, one, json.dumps(many)] for text, one, many in table)


def write_plain_tsv(path: Path, table: Table) -> None:
    lines = [f"{text}\t{one}\t{json.dumps(many)}\n" for text, one, many in table]
    path.write_bytes(("text\tone\tmany\n" + "".join(lines)).encode())


def write_jsonl(path: Path, table: Table, ascii_only: bool) -> None:
    rows = [json.dumps({"text": t, "one": o, "many": m}, ensure_ascii=ascii_only) for t, o, m in table]
    data = ("\n".join(rows) + "\n").encode()
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)


def write_columns(path: Path, table: Table) -> None:
    texts, ones, manys = zip(*table, strict=True)
    frame = pl.DataFrame(
        {"text": texts, "one": ones, "many": manys},
        schema={"text": pl.String, "one": pl.String, "many": pl.List(pl.String)},
    )
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        pyarrow.feather.write_feather(pa.table(frame.to_arrow()), path)


WRITERS = {
    "a.csv": write_csv,
    "a.jsonl": lambda path, table: write_jsonl(path, table, False),
    "b.jsonl": lambda path, table: write_jsonl(path, table, True),
    "a.jsonl.gz": lambda path, table: write_jsonl(path, table, False),
    "a.parquet": write_columns,
    "a.feather": write_columns,
    "quoted.tsv": lambda path, table: write_csv(path, table, delimiter="\t"),
    "plain.tsv": write_plain_tsv,
}


def merged(folder: Path, name: str, table: Table) -> dict[str, tuple[Any, Any]]:
    """Text → answers, as merged from a file, with filler rows that give every split rows."""
    WRITERS[name](folder / name, table)
    labels = sorted({label for _, one, many in table for label in (one, *many)} | {"x", "y"})
    filler = [
        {"text": f"filler {s}", "split": s, "one": "xy"[i % 2], "many": ["x"]}
        for i, s in enumerate(("train", "validation", "test"))
    ]
    filler.append({"text": "filler again", "split": "train", "one": "y", "many": []})
    (folder / "filler.jsonl").write_text("\n".join(map(json.dumps, filler)))
    many = TargetSpec(
        column="many", encoding="auto" if name.startswith(("a.j", "b.j", "a.p", "a.f")) else "list"
    )
    one = TargetSpec(column="one", encoding="label")  # also one that looks like a list
    quoting = True if name == "quoted.tsv" else None
    ref = build_dataset(
        {
            "it": SourceSpec(path=name, split="train", heads={"one": one, "many": many}, quoting=quoting),
            "filler": SourceSpec(
                path="filler.jsonl", split_column="split", heads={"one": "one", "many": "many"}
            ),
        },
        {
            "one": HeadSpec(
                kind="multiclass", labels=tuple({unicodedata.normalize("NFC", x): 0 for x in labels})
            ),
            "many": HeadSpec(
                kind="multilabel", labels=tuple({unicodedata.normalize("NFC", x): 0 for x in labels})
            ),
        },
        SplitSpec(near_duplicates="off"),
        folder,
        folder / "data",
    )
    rows = pl.read_parquet(ref.path / "dataset.parquet")
    found = {
        text: (one, many)
        for text, one, many in rows.select("text", "head:one", "head:many").iter_rows()
        if not text.startswith("filler")
    }
    texts = [
        json.loads(line)
        for line in (ref.path / "rows" / "train.texts.jsonl").read_text("utf-8").split("\n")[:-1]
    ]
    assert texts == rows.filter(pl.col("split") == "train")["text"].to_list()
    return found


def nfc(label: str) -> str:
    return unicodedata.normalize("NFC", label)


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "plain.tsv"])
@SLOW
@given(table=tables(TEXTS, LABELS))
def test_any_table_merges_to_itself(name: str, table: Table) -> None:
    assume(not any(text.startswith("filler") for text, _, _ in table))
    with tempfile.TemporaryDirectory() as folder:
        found = merged(Path(folder), name, table)
    assert found == {prepared(t): (nfc(one), sorted(set(map(nfc, many)))) for t, one, many in table}


@SLOW
@given(table=tables(PLAIN, PLAIN))
def test_any_unquoted_table_merges_to_itself(table: Table) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = merged(Path(folder), "plain.tsv", table)
    assert found == {prepared(t): (nfc(one), sorted(set(map(nfc, many)))) for t, one, many in table}


ROW = st.fixed_dictionaries(
    {
        "text": st.sampled_from(["a", " a", "b", "c", "d", "e", "f", "g", "h", "", "e\u0301", "\u00e9"]),
        "one": st.sampled_from([None, "x", "y", "z"]),
        "many": st.sampled_from([None, [], ["p"], ["q", "p"]]),
        "group": st.sampled_from([None, "g1", "g2", "g3"]),
        "split": st.sampled_from([None, None, "train", "validation", "test"]),
    }
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(st.tuples(st.sampled_from(["s1", "s2"]), ROW), min_size=6, max_size=25),
    policy=st.sampled_from(["drop", "majority", "prefer"]),
    shuffle=st.randoms(use_true_random=False),
)
def test_row_order_changes_nothing(rows: list[Any], policy: Any, shuffle: random.Random) -> None:
    mixed = rows.copy()
    shuffle.shuffle(mixed)
    assert outcome(rows, policy) == outcome(mixed, policy)


def outcome(rows: list[tuple[str, dict[str, Any]]], policy: Any) -> Any:
    """Fingerprint, rows and splits; or the kind of refusal."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {}
        for source in ("s1", "s2"):
            mine = [row for at, row in rows if at == source] or [{"text": "only", "one": None}]
            full = [{"many": None, "group": None, "split": None, **row} for row in mine]
            (folder / f"{source}.jsonl").write_text("\n".join(map(json.dumps, full)))
            sources[source] = SourceSpec(
                path=f"{source}.jsonl",
                heads={"one": "one", "many": "many"},
                group="group",
                split_column="split",
                weight=1.0 if source == "s1" else 1.7,
            )
        heads = {
            "one": HeadSpec(kind="multiclass", labels=("x", "y", "z")),
            "many": HeadSpec(kind="multilabel", labels=("p", "q")),
        }
        split = SplitSpec(
            conflicts=policy, prefer=("s2", "s1"), near_duplicates="off", test=0.3, validation=0.3
        )
        try:
            ref = build_dataset(sources, heads, split, folder, folder / "data")
        except DataError as error:
            return type(error), sorted(str(p) for p in error.problems)
        table = pl.read_parquet(ref.path / "dataset.parquet").drop("origins")
        return ref.fingerprint, table.to_dicts()
