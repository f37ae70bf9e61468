"""Which files a source means, what they give, and the message when they cannot be read."""

from __future__ import annotations

import gzip
import os
import socket
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sources.errors import BadCell, BadSplit, UnreadableSource
from sources.formats.locate import expand, locate
from sources.formats.read import read_source
from sources.formats.table import FILE, GIVEN, LINE
from sources.formats.text_file import refuse_if_changed
from sources.spec import SourceSpec

HEAD = {"h": "label"}


def rows(spec: SourceSpec, base: Path) -> list[tuple[Any, ...]]:
    frame = read_source("it", spec, base, lambda n: None).table.frame
    return frame.select(FILE, LINE, GIVEN, "text", "label").rows()


def write(path: Path, *cells: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("text,label\n" + "".join(f"{cell},x\n" for cell in cells))


def test_a_line_is_where_the_record_starts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(
        b'text,label\n\n"one\ntwo\n\nthree",x\nfour,y\n\n"five\r\nsix",z\nseven,x\n'
    )
    assert [row[1] for row in rows(SourceSpec(path="a.csv", heads=HEAD), tmp_path)] == [3, 7, 9, 11]


def test_a_json_line_is_its_physical_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('\n{"text":"a","label":"x"}\n\n\n{"text":"b","label":"y"}')
    assert [row[1] for row in rows(SourceSpec(path="a.jsonl", heads=HEAD), tmp_path)] == [2, 5]


def test_folder_and_glob(tmp_path: Path) -> None:
    write(tmp_path / "d" / "b.csv", "b")
    write(tmp_path / "d" / "a.csv", "a")
    write(tmp_path / "d" / "sub" / "c.csv", "c")
    (tmp_path / "d" / "README.md").write_text("no data")
    write(tmp_path / "d" / ".hidden.csv", "hidden")
    folder = rows(SourceSpec(path="d", heads=HEAD), tmp_path)
    assert [row[0] for row in folder] == ["d/a.csv", "d/b.csv", "d/sub/c.csv"]
    glob = rows(SourceSpec(path="d/*.csv", heads=HEAD), tmp_path)
    assert [row[3] for row in glob if row[3] != "hidden"] == ["a", "b"]
    deep = rows(SourceSpec(path=str(tmp_path / "d" / "**" / "c.csv"), heads=HEAD), tmp_path)
    assert [row[3] for row in deep] == ["c"]


def test_formats_may_be_mixed_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "d" / "a.csv", "a")
    (tmp_path / "d" / "b.jsonl").write_text('{"text": "b", "label": "y"}\n')
    pl.DataFrame({"text": ["c"], "label": ["z"]}).write_parquet(tmp_path / "d" / "c.parquet")
    assert [row[3] for row in rows(SourceSpec(path="d", heads=HEAD), tmp_path)] == ["a", "b", "c"]
    only = SourceSpec(path="d", format="parquet", heads=HEAD)
    assert [row[3] for row in rows(only, tmp_path)] == ["c"]


def test_a_list_column_that_only_some_files_have(tmp_path: Path) -> None:
    """With `where` all columns are read; one that another file lacks must not matter."""
    (tmp_path / "a.jsonl").write_text('{"text":"a","label":"x","spans":[1,2]}\n')
    (tmp_path / "b.jsonl").write_text('{"text":"b","label":"y"}\n')
    spec = SourceSpec(path="*.jsonl", heads=HEAD, where="label <> 'z'")
    assert [row[3] for row in rows(spec, tmp_path)] == ["a", "b"]


def test_a_column_that_holds_lists_in_one_file_only(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text":"a","label":["x"]}\n')
    (tmp_path / "b.jsonl").write_text('{"text":"b","label":"y"}\n')
    with pytest.raises(BadCell, match=r"a\.jsonl, column 'label': lists here"):
        rows(SourceSpec(path="*.jsonl", heads=HEAD), tmp_path)


def test_paths_by_split(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "a")
    write(tmp_path / "b.csv", "b")
    spec = SourceSpec(path={"train": "a.csv", "test": "b.csv"}, heads=HEAD, limit=1)
    assert [(row[2], row[3]) for row in rows(spec, tmp_path)] == [("train", "a"), ("test", "b")]


def test_limit_counts_over_all_files_of_a_path(tmp_path: Path) -> None:
    write(tmp_path / "d" / "a.csv", "a", "b")
    write(tmp_path / "d" / "b.csv", "c", "d")
    assert [row[3] for row in rows(SourceSpec(path="d", heads=HEAD, limit=3), tmp_path)] == ["a", "b", "c"]


def test_split_column_with_other_spellings(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label,s\na,x,later\nb,x,test\nc,x,\n")
    spec = SourceSpec(path="a.csv", heads=HEAD, split_column="s", split_map={"later": "validation"})
    assert [row[2] for row in rows(spec, tmp_path)] == ["validation", "test", None]


def test_variables() -> None:
    assert expand("${A}/x/${B}.csv", {"A": "/data", "B": "b"}) == "/data/x/b.csv"
    for environment in ({}, {"A": ""}):
        with pytest.raises(UnreadableSource, match="environment variable A is not set"):
            expand("${A}/x.csv", environment)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing.csv", "no such file or folder"),
        ("thing.csv", "(did you mean `things.csv`?)"),
        ("d/*.tsv", "no file matches"),
        ("empty", "no file of a known format"),
        ("${HEADGATE_TEST_UNSET}/a.csv", "HEADGATE_TEST_UNSET is not set"),
    ],
)
def test_absent_files(path: str, message: str, tmp_path: Path) -> None:
    write(tmp_path / "things.csv", "a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableSource) as caught:
        read_source("it", SourceSpec(path=path, heads=HEAD), tmp_path, lambda n: None)
    assert message in str(caught.value)
    assert "source 'it'" in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "a")
    (tmp_path / "a.csv").chmod(0)
    with pytest.raises(UnreadableSource, match="Permission denied"):
        rows(SourceSpec(path="a.csv", heads=HEAD), tmp_path)


def test_an_optional_source_may_be_absent(build: Any) -> None:
    from model.spec import HeadSpec

    built = build(
        {"gone": SourceSpec(path="gone.csv", heads={"h": "label"}, optional=True)},
        {"h": HeadSpec(kind="multiclass")},
        filler={"h": ["x", "y"]},
    )
    gone = next(source for source in built.profile["sources"] if source["name"] == "gone")
    assert gone["rows"] == 0
    assert "no such file" in gone["left_out"]


def test_an_optional_source_that_is_there_must_be_sound(build: Any, tmp_path: Path) -> None:
    from model.spec import HeadSpec

    (tmp_path / "bad.csv").write_bytes(b"text,label\n\xff,x\n")
    with pytest.raises(UnreadableSource, match="0xff"):
        build(
            {"bad": SourceSpec(path="bad.csv", heads={"h": "label"}, optional=True)},
            {"h": HeadSpec(kind="multiclass")},
            filler={"h": ["x", "y"]},
        )


def grow(file: Path) -> None:
    with file.open("ab") as out:
        out.write(b"more,x\n")


def shrink(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def write_again(file: Path) -> None:
    """The same bytes at another time: what was read may have been half of each."""
    stat = file.stat()
    file.write_bytes(file.read_bytes())
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


@pytest.mark.parametrize("change", [grow, shrink, write_again, Path.unlink], ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "a.jsonl", "a.parquet", "a.feather"])
def test_a_file_that_changes_while_it_is_read(name: str, change: Any, tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": [str(i) for i in range(60_000)], "label": ["x", "y"] * 30_000})
    file = tmp_path / name
    match name.removesuffix(".gz").rpartition(".")[2]:
        case "parquet":
            frame.write_parquet(file)
        case "feather":
            frame.write_ipc(file, compat_level=pl.CompatLevel.oldest())
        case "jsonl":
            frame.write_ndjson(file)
        case ending:
            data = frame.write_csv(separator="\t" if ending == "tsv" else ",").encode()
            file.write_bytes(gzip.compress(data, 1) if name.endswith(".gz") else data)
    calls = []

    def meddle(rows: int) -> None:
        calls.append(rows)
        if len(calls) == 1:  # text files are read in two parts: the second is still to come
            change(file)

    with pytest.raises(UnreadableSource, match=r"(changed|vanished) while it was read") as e:
        read_source("it", SourceSpec(path=name, heads=HEAD), tmp_path, meddle)
    assert name in str(e.value)


def test_a_saved_dataset_that_changes_while_it_is_read(saved: Path) -> None:
    arrow = next((saved / "saved" / "train").glob("*.arrow"))

    def meddle(rows: int) -> None:
        os.utime(arrow, ns=(0, 0))

    spec = SourceSpec(path="saved", heads=HEAD, split_map={"later": "validation"})
    with pytest.raises(UnreadableSource, match="changed while it was read") as caught:
        read_source("it", spec, saved, meddle)
    assert arrow.name in str(caught.value)


def test_a_file_replaced_by_one_of_the_same_size(tmp_path: Path) -> None:
    file, other = tmp_path / "a.csv", tmp_path / "b.csv"
    write(file, "a")
    write(other, "b")
    stat = file.stat()
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(UnreadableSource, match="changed"), refuse_if_changed(file, "a.csv"):
        other.rename(file)


def test_a_file_that_vanishes(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "a")
    with pytest.raises(UnreadableSource, match="vanished"), refuse_if_changed(tmp_path / "a.csv", "a.csv"):
        (tmp_path / "a.csv").unlink()


def test_problems_of_all_sources_are_raised_at_once(build: Any, tmp_path: Path) -> None:
    from model.spec import HeadSpec
    from sources.errors import DataError

    (tmp_path / "b.csv").write_text("text,label\na\n")
    (tmp_path / "c.csv").write_bytes(b"text,label\n\xff,x\n")
    sources = {n: SourceSpec(path=f"{n}.csv", heads={"h": "label"}) for n in ("a", "b", "c")}
    with pytest.raises(DataError) as caught:
        build(sources, {"h": HeadSpec(kind="multiclass")})
    message = str(caught.value)
    assert message.startswith("3 problems")
    assert all(f"source '{n}'" in message for n in ("a", "b", "c"))


def test_locate_names_files_from_the_configuration(tmp_path: Path) -> None:
    write(tmp_path / "base" / "in" / "a.csv", "a")
    write(tmp_path / "out.csv", "b")
    assert locate("in/a.csv", "auto", tmp_path / "base")[0].name == "in/a.csv"
    assert locate("../out.csv", "auto", tmp_path / "base")[0].name.endswith("out.csv")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["joy", "anger"]),
            "tags": datasets.List(datasets.ClassLabel(names=["p", "q"])),
        }
    )

    def part(*texts: str) -> Any:
        columns = {
            "text": list(texts),
            "label": [i % 2 for i in range(len(texts))],
            "tags": [[1, 0]] * len(texts),
        }
        return datasets.Dataset.from_dict(columns, features=features)

    datasets.DatasetDict(train=part("a", "b"), later=part("c", "d")).save_to_disk(tmp_path / "saved")
    part("e", "f", "g").select([2, 0]).save_to_disk(tmp_path / "one")
    return tmp_path


def test_a_saved_dataset_with_splits(saved: Path) -> None:
    spec = SourceSpec(path="saved", heads=HEAD, split_map={"later": "validation"})
    assert [row[1:] for row in rows(spec, saved)] == [
        (1, "train", "a", "joy"),
        (2, "train", "b", "anger"),
        (1, "validation", "c", "joy"),
        (2, "validation", "d", "anger"),
    ]


def test_a_saved_dataset_without_splits_keeps_its_selection(saved: Path) -> None:
    spec = SourceSpec(path="one", format="saved", heads=HEAD)
    assert [row[2:] for row in rows(spec, saved)] == [(None, "g", "joy"), (None, "e", "joy")]
    tags = read_source("it", SourceSpec(path="one", heads={"t": "tags"}), saved, lambda n: None).table
    assert tags.lists == {"tags"}
    assert tags.frame["tags"].to_list() == ['["q","p"]', '["q","p"]']


def test_a_saved_dataset_below_a_variable(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_TEST_SAVED", str(saved))
    spec = SourceSpec(path="${HEADGATE_TEST_SAVED}/one", heads=HEAD)
    assert [row[3] for row in rows(spec, saved)] == ["g", "e"]


def test_an_unknown_split_of_a_saved_dataset(saved: Path) -> None:
    with pytest.raises(BadSplit, match=r"split_map: .later: validation"):
        rows(SourceSpec(path="saved", heads=HEAD), saved)


def test_a_damaged_saved_dataset(saved: Path) -> None:
    next((saved / "one").glob("*.arrow")).write_bytes(b"no arrow")
    with pytest.raises(UnreadableSource, match="cannot be"):
        rows(SourceSpec(path="one", heads=HEAD), saved)


def test_a_folder_that_is_no_saved_dataset(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(UnreadableSource, match="save_to_disk"):
        rows(SourceSpec(path="d", format="saved", heads=HEAD), tmp_path)


def test_an_unreachable_hub_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    import datasets
    import huggingface_hub.constants

    with socket.socket() as probe:  # a port that nobody listens on
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    spec = SourceSpec(hub="nobody/nothing", revision="v1", heads=HEAD)
    with pytest.raises(UnreadableSource) as caught:
        rows(spec, tmp_path)
    message = str(caught.value)
    assert "hub:nobody/nothing@v1" in message
    assert "hub cannot be reached" in message
    assert "save_to_disk" in message
