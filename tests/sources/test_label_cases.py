"""A label is read as its author meant it, or refused or remarked on with place, cell and the setting that
decides: files that other tools were reported to misread, made anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from model.spec import HeadSpec
from sources.errors import BadCell, BadLabels, BadTable, DataError, UnreadableSource
from sources.spec import SourceSpec, SplitSpec, TargetSpec, source_problems
from tests.sources.conftest import Build, Built
from tests.support.label_file_defects import DELIMITED, IN_BYTES, planted
from tests.support.label_files import FORMATS, Project

QUIET = SplitSpec(near_duplicates="off")
TOPIC = {"topic": HeadSpec(kind="multiclass")}
MARKS = {"marks": HeadSpec(kind="multilabel")}


def made(kind: str, format: str, folder: Path) -> Project:
    return planted(format)[kind](format, folder, 17)


def built(project: Project, build: Build) -> Built:
    return build(dict(project.sources), dict(project.heads), project.split)


def answers_are_meant(found: Built, project: Project) -> bool:
    [head] = project.heads
    answers = found.answers(head)
    return all(
        (sorted(answers[text]) if isinstance(answers.get(text), list) else answers.get(text))
        == (sorted(meant) if isinstance(meant, list) else meant)
        for text, meant in project.meant.items()
    )


def doubt(found: Built, rule: str) -> str:
    """What the profile says of the only head."""
    [said] = found.profile["doubts"].values()
    return str(said[rule])


REFUSED = {
    "flags in lists": ("3 flags", "names: [LABEL_1, LABEL_2, LABEL_3]", "line "),
    "float flags": ("3 flags", "names:"),
    "boolean flags": ("3 flags", "names:"),
    "flags as a string": ("3 flags", "names:"),
    "flags of a wrong length": ("a list of 2", "3 flags or scores"),
    "scores by position": ("3 scores", "threshold: 0.5"),
    "label to score": ("threshold",),
    "a Python list": ("list",),
    "a JSON list of one label": ("looks like a list", "encoding: list"),
    "an object": ("looks like an object", "threshold"),
    "the header again": ("names of columns", "joined", "line 7"),
    "the header again, with a mark": ("names of columns", "line 7"),
    "the header of another file": ("names of columns", "line 7"),
    "columns of flags with -1": ("'-1'", "missing"),
    "files of other columns": ("topic",),
    "lists in one file only": ("list",),
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused(
    kind: str, format: str, build: Build, tmp_path: Path
) -> None:
    project = made(kind, format, tmp_path)
    with pytest.raises(DataError) as caught:
        built(project, build)
    said = str(caught.value)
    for piece in REFUSED[kind]:
        assert piece in said, said
    assert "rows." in said or "b." in said  # the file
    assert "today" not in said and "again" not in said  # never a text


READ = {
    "flags with named positions": None,
    "scores with a threshold": None,
    "label to score with a threshold": None,
    "choices of a labelling tool": "choices_read",
    "blanks at the end": "labels_stripped",
    "a tab before": "labels_stripped",
    "a no-break space": "labels_stripped",
    "blanks around pieces": None,
    "a word named as missing": None,
    "-1 named as missing": None,
    "5 and 5.0": "number_spellings",
    "5.0 where 5 is listed": "number_spellings",
    "another Unicode form": None,
    "an empty list": "empty_lists",
    "one row a label, united": None,
    "columns of flags": None,
    "columns of flags with -1, named": None,
    "labels in the path": None,
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", READ)
def test_what_is_certain_is_read_and_counted(kind: str, format: str, build: Build, tmp_path: Path) -> None:
    project = made(kind, format, tmp_path)
    found = built(project, build)
    assert answers_are_meant(found, project)
    [head] = project.heads
    rule = READ[kind]
    assert set(found.profile["doubts"].get(head, {})) == ({rule} if rule else set())
    if rule:
        rows = found.table("findings").filter(pl.col("rule") == rule)
        assert rows.height == found.ref.totals[rule] > 0
        file, line = rows.select("file", "line").row(0)
        said = doubt(found, rule)
        assert f"{rows.height:,} rows of `{head}`" in said and f"first {file}:{line}" in said


REMARKED = {
    **{
        f"joined by {name}": ("joined_labels", "encoding: separator")
        for name in ("#", ";", "|", "commas", "slashes")
    },
    "joined by plus": ("joined_labels", 'separator: "+"'),
    "joined by ampersands": ("joined_labels", 'separator: "&"'),
    "joined by blanks": ("joined_labels", 'separator: " "'),
    "never alone": ("joined_labels", 'separator: ";"'),
    "the wrong separator": ("joined_labels", 'separator: ";"'),
    "joins of listed labels": ("joined_labels", 'separator: "#"'),
    "the word nan": ("missing_words", 'missing: ["nan"]'),
    "the word None": ("missing_words", "missing: [None]"),
    "the word N/A": ("missing_words", 'missing: ["N/A"]'),
    "the word -": ("missing_words", 'missing: ["-"]'),
    "the word ?": ("missing_words", 'missing: ["?"]'),
    "-1 among numbers": ("missing_words", 'missing: ["-1"]'),
    "7 and 007": ("look_alike_labels", '"003": "3"'),
    "true, True and 1": ("look_alike_labels", '"1": "true"'),
    "another case": ("look_alike_labels", "WEATHER: weather"),
    "an invisible character": ("clean_labels", "invisible"),
    "a letter of another script": ("look_alike_labels", "map:"),
    "quotes": ("clean_labels", "\"'food'\": food"),
    "entities": ("clean_labels", '"food &amp; drink": "food & drink"'),
    "misread UTF-8": ("clean_labels", '"cafÃ©": "café"'),
    "one row a label": ("one_answer", "conflicts: union"),
}


@pytest.mark.parametrize("format", ("csv", "jsonl", "parquet"))
@pytest.mark.parametrize("kind", REMARKED)
def test_what_is_likely_wrong_is_remarked_on(kind: str, format: str, build: Build, tmp_path: Path) -> None:
    found = built(made(kind, format, tmp_path), build)
    rule, advice = REMARKED[kind]
    said = doubt(found, rule)
    assert advice in said and f"rows.{format}:" in said
    assert found.ref.totals[rule] > 0


@pytest.mark.parametrize("kind", sorted(DELIMITED | IN_BYTES))
def test_bytes_are_read_by_what_they_say(kind: str, build: Build, tmp_path: Path) -> None:
    project = made(kind, "csv", tmp_path)
    refused = {
        "cp1252": "encoding: cp1252",
        "mac_roman": "encoding: mac_roman",
        "UTF-16 without a mark": "encoding: utf-16-le",
        "carets": 'delimiter: "^"',
        "no header": 'delimiter: ";"',
    }
    if kind in refused:
        with pytest.raises(DataError) as caught:
            built(project, build)
        assert refused[kind] in str(caught.value)
        return
    found = built(project, build)
    assert answers_are_meant(found, project)
    [source] = found.profile["sources"]
    said = {
        "semicolons": 'delimiter: ";"',
        "semicolons, announced": 'delimiter: ";"',
        "semicolons, announced after a mark": 'delimiter: ";"',
        "bars": 'delimiter: "|"',
        "no header, named": 'delimiter: ";"',
        "UTF-16 with a mark": "encoding: utf-16",
    }.get(kind)
    assert (said is None and source["said"] == []) or said in source["said"][0]


def test_every_text_codec_is_a_setting_and_nothing_else() -> None:
    def problems(**spec: Any) -> list[str]:
        return list(source_problems(SourceSpec(path="a.csv", heads={"topic": "topic"}, **spec), ["topic"]))

    assert problems(encoding="cp1252") == problems(encoding="utf-16") == problems(delimiter="\t") == []
    assert "rot13" in problems(encoding="rot13")[0] and "one character" in problems(delimiter="::")[0]


@pytest.mark.parametrize("codec", ("utf-16-le", "shift_jis", "koi8_r", "utf-32"))
def test_a_named_encoding_is_read(codec: str, build: Build, tmp_path: Path) -> None:
    word = "погода" if codec == "koi8_r" else "天気" if codec == "shift_jis" else "Wëtter"
    (tmp_path / "a.csv").write_bytes(f"text,topic\na,{word}\nb,other\n".encode(codec))
    source = SourceSpec(path="a.csv", encoding=codec, split="train", heads={"topic": "topic"})
    found = build({"it": source}, TOPIC, QUIET, filler={"topic": [word, "other"]})
    assert found.answers("topic")["a"] == word


def test_a_wrong_encoding_names_the_line(build: Build, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text,topic\na,x\nb,\u0401\n".encode())
    source = SourceSpec(path="a.csv", encoding="ascii", heads={"topic": "topic"})
    with pytest.raises(UnreadableSource, match=r"a\.csv, line 3: bytes that are not ascii"):
        build({"it": source}, TOPIC, QUIET)


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("Der Kühlschrank läuft für Öl und Straße über", "cp1252"),
        ("Přílišný žluťoučký kůň úpěl ďábelské ódy", "cp1250"),
        ("Погода сегодня очень плохая, дождь", "cp1251"),
        ("Погода сегодня очень плохая, дождь", "koi8_r"),
        ("きょうの天気はとても悪い", "shift_jis"),
        ("今天天气很不好我们走吧", "gb18030"),
        ("It’s the customer’s “final” offer — really", "cp1252"),
    ],
)
def test_the_guess_of_an_encoding(text: str, codec: str) -> None:
    from sources.formats.encodings import guessed_encoding

    assert guessed_encoding(text.encode(codec)) == codec


def test_labels_0_and_1_in_lists_are_labels_where_they_are_listed(build: Build, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "marks": [0, 1]}\n{"text": "b", "marks": [1]}\n')
    source = SourceSpec(path="a.jsonl", split="train", heads={"marks": "marks"})
    heads = {"marks": HeadSpec(kind="multilabel", labels=("0", "1"))}
    assert build({"it": source}, heads, QUIET, filler={"marks": [["0"], ["1"]]}).answers("marks")["a"] == [
        "0",
        "1",
    ]
    with pytest.raises(BadCell, match="list of 2 flags"):
        build({"it": source}, MARKS, QUIET, filler={"marks": [["0"], ["1"]]})


def test_indices_into_a_labels_file_are_no_flags(build: Build, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("x\ny\nz\n")
    (tmp_path / "a.jsonl").write_text('{"text": "a", "marks": [0, 1]}\n{"text": "b", "marks": [1]}\n')
    target = TargetSpec(column="marks", labels_file="names.txt")
    source = SourceSpec(path="a.jsonl", split="train", heads={"marks": target})
    found = build({"it": source}, MARKS, QUIET, filler={"marks": [["x"], ["z"]]})
    assert found.answers("marks")["a"] == ["x", "y"]


def test_listed_labels_are_never_in_doubt(build: Build, tmp_path: Path) -> None:
    labels = ("nan", "5", "5.0", "Food", "food", "a#b", "a", "b")
    rows = [{"text": f"{label} {n}", "topic": label} for label in labels for n in range(30)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = SourceSpec(path="a.jsonl", heads={"topic": "topic"})
    found = build({"it": source}, {"topic": HeadSpec(kind="multiclass", labels=labels)}, QUIET)
    assert found.profile["doubts"] == {} and found.answers("topic")["5.0 1"] == "5.0"


def test_one_number_in_two_sources_is_one_label(build: Build, tmp_path: Path) -> None:
    (tmp_path / "may.csv").write_text("text,stars\n" + "".join(f"m{n},{n % 3}\n" for n in range(60)))
    june = "".join(f"j{n},{n % 3}.0\n" for n in range(60)) + "gap,\n"
    (tmp_path / "june.csv").write_text("text,stars\n" + june)
    sources = {m: SourceSpec(path=f"{m}.csv", heads={"stars": "stars"}) for m in ("may", "june")}
    found = build(sources, {"stars": HeadSpec(kind="multiclass")}, QUIET)
    assert found.ref.heads["stars"].labels == ("0", "1", "2")
    assert "'1.0' as '1'" in doubt(found, "number_spellings") and "june.csv:2" in doubt(
        found, "number_spellings"
    )


def test_versions_and_hierarchies_stay_as_they_are(build: Build, tmp_path: Path) -> None:
    labels = ("1.0", "1", "1.5", "animal/dog", "animal/cat", "food/rice")
    rows = [{"text": f"{label} {n}", "topic": label} for label in labels for n in range(30)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = build({"it": SourceSpec(path="a.jsonl", heads={"topic": "topic"})}, TOPIC, QUIET)
    assert set(found.ref.heads["topic"].labels) == set(labels)
    # Two spellings of one number are still named.
    assert set(found.profile["doubts"]["topic"]) == {"look_alike_labels"}


def _seven_splits(new: str, folder: Path) -> dict[str, SourceSpec]:
    rows = [f"{topic} {n},{topic}" for topic in ("food", "animal") for n in range(120)]
    (folder / "base.csv").write_text("text,topic\n" + "\n".join(rows) + "\n")
    (folder / "new.csv").write_text(f"text,topic\n{new},tool\n")
    return {name: SourceSpec(path=f"{name}.csv", heads={"topic": "topic"}) for name in ("base", "new")}


@pytest.mark.parametrize("number", range(8))
def test_one_row_of_a_new_label_ends_alike_wherever_it_falls(
    number: int, build: Build, tmp_path: Path
) -> None:
    found = build(_seven_splits(f"saw number {number}", tmp_path), TOPIC, QUIET)
    rows = found.table("dataset")
    split, answer = rows.filter(pl.col("text") == f"saw number {number}").select("split", "head:topic").row(0)
    unseen = found.profile["unseen_labels"]
    if split == "train":
        assert answer == "tool" and unseen == {} and "tool" in found.ref.heads["topic"].labels
    else:
        assert answer is None and unseen == {"topic": {"tool": {split: 1}}}
        assert found.ref.heads["topic"].labels == ("animal", "food")


def test_a_new_label_of_a_multilabel_head_alone_is_left_out(build: Build, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "marks": ["x", "new"]}\n')
    source = SourceSpec(path="a.jsonl", split="test", heads={"marks": "marks"})
    found = build({"it": source}, MARKS, QUIET, filler={"marks": [["x"], ["y"]]})
    assert found.answers("marks")["a"] == ["x"]
    assert found.profile["unseen_labels"] == {"marks": {"new": {"test": 1}}}


def test_an_absent_source_is_in_the_profile_and_in_a_reused_folder(build: Build, tmp_path: Path) -> None:
    sources = _seven_splits("saw number 1", tmp_path)
    before = build(dict(sources), TOPIC, QUIET)
    later = SourceSpec(path="${HEADGATE_NO_SUCH}/b.csv", optional=True, heads={"topic": "topic"})
    after = build({**sources, "later": later}, TOPIC, QUIET)
    [left] = [source for source in after.profile["sources"] if source["name"] == "later"]
    assert "HEADGATE_NO_SUCH is not set" in left["left_out"] and before.ref.path != after.ref.path


def test_a_head_whose_only_source_is_absent_is_told_so(build: Build, tmp_path: Path) -> None:
    later = SourceSpec(path="later.csv", optional=True, heads={"marks": "marks"})
    sources = {**_seven_splits("saw number 1", tmp_path), "later": later}
    with pytest.raises(BadLabels, match=r"head 'marks'.*`later` is optional and absent"):
        build(sources, {**TOPIC, **MARKS}, QUIET)


def test_the_union_of_rows_is_no_conflict(build: Build, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,marks\na,x\na,y\nb,x\n")
    source = SourceSpec(path="a.csv", split="train", heads={"marks": "marks"})
    split = SplitSpec(near_duplicates="off", conflicts="union")
    found = build({"it": source}, MARKS, split, filler={"marks": [["x"], ["y"]]})
    assert found.answers("marks")["a"] == ["x", "y"] and found.ref.totals["one_answer"] == 0


def test_a_file_without_its_header_is_told_so_without_its_words(build: Build, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("the secret rain falls on goats,weather\nrice and more rice again,food\n")
    with pytest.raises(BadTable) as caught:
        build({"it": SourceSpec(path="a.csv", heads={"topic": "topic"})}, TOPIC, QUIET)
    assert "header: false" in str(caught.value) and "secret" not in str(caught.value)


def test_quoted_cells_of_a_tsv_are_read_by_its_header(build: Build, tmp_path: Path) -> None:
    rows = "".join(f'"t{n}"\t"{("x", "y")[n % 2]}"\n' for n in range(60))
    (tmp_path / "a.tsv").write_text(f'"text"\t"topic"\n{rows}')
    found = build({"it": SourceSpec(path="a.tsv", heads={"topic": "topic"})}, TOPIC, QUIET)
    assert found.answers("topic")["t1"] == "y" and "quoting: true" in found.profile["sources"][0]["said"][0]
