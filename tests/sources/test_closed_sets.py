"""Every member of every closed set of options does something: none is declared and then not handled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pytest

from model.spec import HeadSpec
from sources.formats.locate import ENDINGS, EXPORT_ENDINGS
from sources.formats.read import read_source
from sources.labels.cells import CellError, CellReader
from sources.labels.find_targets import find_targets
from sources.labels.target_codes import Target, TargetCodes
from sources.merge.conflicts import WeightedTarget, resolve_conflict
from sources.spec import (
    AnnotatorPolicy,
    CellEncoding,
    ConflictPolicy,
    ExportFormat,
    FileFormat,
    NearDuplicatePolicy,
    SourceFormat,
    SourceSpec,
    SplitSpec,
    TargetSpec,
)
from tests.support.workbooks import write_xlsx

ROWS = pl.DataFrame({"text": ["a", "b"], "label": ["x", "y"]})


def file_of(format: str, folder: Path) -> str:
    """`ROWS` in a file whose ending names no format."""
    file = folder / "rows.data"
    match format:
        case "csv":
            ROWS.write_csv(file)
        case "tsv":
            ROWS.write_csv(file, separator="\t")
        case "jsonl":
            file.write_text("".join(json.dumps(row) + "\n" for row in ROWS.to_dicts()))
        case "parquet":
            ROWS.write_parquet(file)
        case "arrow":
            ROWS.write_ipc(file, compat_level=pl.CompatLevel.oldest())
        case "excel":
            pytest.importorskip("fastexcel")
            write_xlsx(file, {"Sheet1": [["text", "label"], ["a", "x"], ["b", "y"]]})
        case "label_studio":
            tasks = [
                {
                    "id": 1,
                    "data": {"text": row["text"]},
                    "annotations": [
                        {
                            "completed_by": 1,
                            "result": [
                                {
                                    "from_name": "label",
                                    "to_name": "text",
                                    "type": "choices",
                                    "value": {"choices": [row["label"]]},
                                }
                            ],
                        }
                    ],
                }
                for row in ROWS.to_dicts()
            ]
            file.write_text(json.dumps(tasks))
        case "doccano":
            file.write_text(
                json.dumps([{"id": 1, **row, "label": [row["label"]]} for row in ROWS.to_dicts()])
            )
        case "prodigy":
            tasks = [
                {"text": row["text"], "accept": [row["label"]], "answer": "accept"} for row in ROWS.to_dicts()
            ]
            file.write_text(json.dumps(tasks))
        case "argilla":
            records = [
                {
                    "fields": {"text": row["text"]},
                    "responses": {"label": [{"value": row["label"], "user_id": "u"}]},
                }
                for row in ROWS.to_dicts()
            ]
            file.write_text(json.dumps(records))
        case "spacy":
            cats = [{label: label == row["label"] for label in ("x", "y")} for row in ROWS.to_dicts()]
            items = zip(ROWS["text"], cats, strict=True)
            file.write_text(json.dumps([{"text": text, "cats": one} for text, one in items]))
        case "fasttext":
            file.write_text("".join(f"__label__{row['label']} {row['text']}\n" for row in ROWS.to_dicts()))
        case "label_text":
            file.write_text("".join(f"{row['label']} {row['text']}\n" for row in ROWS.to_dicts()))
        case "json":
            file.write_text(json.dumps({"train": [[row["text"], row["label"]] for row in ROWS.to_dicts()]}))
        case _:
            raise AssertionError(f"no file is made for {format!r}: add it here")
    return file.name


def source_of(format: str, folder: Path) -> SourceSpec:
    """A source of this format that holds `ROWS`."""
    heads = {"h": "label"}
    match format:
        case "auto":
            ROWS.write_csv(folder / "rows.csv")
            return SourceSpec(path="rows.csv", heads=heads)
        case "saved":
            import datasets

            datasets.Dataset.from_dict(ROWS.to_dict(as_series=False)).save_to_disk(folder / "saved")
            return SourceSpec(path="saved", format="saved", heads=heads)
        case "hub":
            # The library takes a folder in place of a name.
            (folder / "hub").mkdir()
            ROWS.write_parquet(folder / "hub" / "train.parquet")
            return SourceSpec(hub=str(folder / "hub"), format="hub", heads=heads)
        case _ if format in get_args(ExportFormat):
            return SourceSpec(path=file_of(format, folder), format=format)  # type: ignore[arg-type]
        case _:
            return SourceSpec(path=file_of(format, folder), format=format, heads=heads)  # type: ignore[arg-type]


@pytest.mark.parametrize("format", get_args(SourceFormat))
def test_every_source_format_is_read(format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    spec, codes = source_of(format, tmp_path), TargetCodes()
    raw = read_source("it", spec, tmp_path, lambda rows: None, ["h"])
    found = find_targets(raw, raw.spec, {"h": HeadSpec(kind="multiclass")}, {"h": codes}, tmp_path)
    labels = [codes.targets[code].positives for code in found["target:h"]]
    assert [*zip(found["text"], labels, strict=True)] == [("a", ("x",)), ("b", ("y",))]
    assert (raw.files, raw.rows_read) == (1, 2)


def test_every_file_format_has_an_ending() -> None:
    assert set(ENDINGS.values()) == set(get_args(FileFormat))
    assert set(EXPORT_ENDINGS) == set(get_args(ExportFormat))


@pytest.mark.parametrize("policy", get_args(AnnotatorPolicy))
def test_every_policy_on_annotators_is_followed(policy: Any, build: Any, tmp_path: Path) -> None:
    rows = [("a", "kim", "y"), ("a", "lea", "x"), ("a", "mo", "x")]
    (tmp_path / "a.csv").write_text("text,who,h\n" + "".join(f"{','.join(row)}\n" for row in rows))
    built = build(
        {"it": SourceSpec(path="a.csv", split="train", heads={"h": "h"}, annotator="who", annotators=policy)},
        {"h": HeadSpec(kind="multiclass")},
        filler={"h": ["x", "y"]},
    )
    expected = {"majority": ("x", 0), "first": ("y", 0), "each": (None, 1)}
    assert (built.answers("h")["a"], built.profile["conflicts"]["h"]) == expected[policy]


CELLS = {"auto": "x", "label": "x", "list": '["x"]', "separator": "x", "letters": "x"}


@pytest.mark.parametrize("encoding", get_args(CellEncoding))
def test_every_encoding_is_read(encoding: Any, build: Any, tmp_path: Path) -> None:
    reader = CellReader(TargetSpec(column="c", encoding=encoding), is_list=False, multilabel=True)
    if encoding != "columns":
        assert reader.labels(CELLS[encoding]) == ("x",)
        return
    with pytest.raises(CellError):  # one column alone is no set of columns
        reader.labels("1")
    (tmp_path / "a.csv").write_text("text,x\na,1\n")
    target = TargetSpec(columns=("x",), encoding="columns")
    built = build(
        {"it": SourceSpec(path="a.csv", split="train", heads={"h": target})},
        {"h": HeadSpec(kind="multilabel")},
        filler={"h": [["x"], ["y"]]},
    )
    assert built.answers("h")["a"] == ["x"]


@pytest.mark.parametrize("policy", get_args(ConflictPolicy))
@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_every_conflict_policy_resolves(policy: Any, kind: Any) -> None:
    x, y = Target(("x",)), Target(("y",))
    given = [WeightedTarget(x, "one", 1.0), WeightedTarget(y, "other", 2.0)]
    union = Target(("x", "y")) if kind == "multilabel" else None
    expected = {"error": None, "drop": None, "majority": y, "prefer": x, "union": union}
    split = SplitSpec(conflicts=policy, prefer=("one", "other"))
    assert resolve_conflict(given, kind, split) == (expected[policy], union is None or policy != "union")


@pytest.mark.parametrize("policy", get_args(NearDuplicatePolicy))
def test_every_near_duplicate_policy_is_followed(policy: Any, build: Any, tmp_path: Path) -> None:
    text = "the parcel arrived at the wrong door on a rainy day in march"
    (tmp_path / "a.csv").write_text(f"text,h,s\n{text},x,train\n{text}!,x,test\n")
    built = build(
        {"it": SourceSpec(path="a.csv", split_column="s", heads={"h": "h"})},
        {"h": HeadSpec(kind="multiclass")},
        SplitSpec(near_duplicates=policy, near_duplicate_similarity=0.9),
        filler={"h": ["x", "y"]},
    )
    stays = text in built.answers("h")
    found = built.profile["near_duplicates"]
    assert {"off": (True, True), "report": (True, False), "remove": (False, False)}[policy] == (
        stays,
        found is None,
    )
