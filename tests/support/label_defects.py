"""What can be wrong with the labels of a file, planted one by one in otherwise good files of every format.

Each defect is a function of the format, a folder and a seed that writes the files and tells what was meant.
"""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from model.spec import HeadSpec
from sources.spec import SourceSpec, SplitSpec, TargetSpec
from tests.support.label_files import (
    MARKS,
    PLAIN_CELLS,
    Make,
    Project,
    Row,
    mark_rows,
    topic_rows,
    write,
)

ROWS = 150
TOPIC, MULTICLASS = "topic", HeadSpec(kind="multiclass")
MARKED, MULTILABEL = "marks", HeadSpec(kind="multilabel")
NAMES = tuple(MARKS)
SPLIT = SplitSpec(near_duplicates="off")

Change = Callable[[list[Row], random.Random], None]
"""Plants a defect in rows; what was meant was taken down before."""


def topics(
    change: Change, head: HeadSpec = MULTICLASS, labels: dict[str, str] | None = None, **spec: Any
) -> Make:
    """Rows with one label; `spec` are fields of the target."""

    def make(format: str, folder: Path, seed: int) -> Project:
        rows = topic_rows(ROWS, seed, labels)
        meant: dict[str, Any] = {row["text"]: row[TOPIC] for row in rows}
        change(rows, random.Random(seed))
        meant = {row["text"]: row.pop("meant", meant.get(row["text"])) for row in rows}
        return project_of(rows, meant, TOPIC, head, format, folder, spec)

    return make


def marks(change: Change, head: HeadSpec = MULTILABEL, **spec: Any) -> Make:
    """Rows with any number of labels; `spec` are fields of the target. Lists in text files are JSON
    arrays."""

    def make(format: str, folder: Path, seed: int) -> Project:
        rows = mark_rows(ROWS, seed)
        meant = {row["text"]: list(row[MARKED]) for row in rows}
        change(rows, random.Random(seed))
        meant = {row["text"]: row.pop("meant", meant.get(row["text"])) for row in rows}
        fields = dict(spec)
        lists = any(isinstance(row.get(MARKED), list) for row in rows)
        if lists and format in PLAIN_CELLS and "encoding" not in fields:
            fields["encoding"] = "list"
        return project_of(rows, meant, MARKED, head, format, folder, fields)

    return make


def project_of(
    rows: list[Row],
    meant: dict[str, Any],
    name: str,
    head: HeadSpec,
    format: str,
    folder: Path,
    spec: dict[str, Any],
) -> Project:
    write(rows, folder / f"rows.{format}")
    target = TargetSpec(**({"column": name} | spec)) if "columns" not in spec else TargetSpec(**spec)
    source = SourceSpec(path=f"rows.{format}", heads={name: target})
    return Project(sources={"rows": source}, heads={name: head}, meant=meant, split=SPLIT)


def every(step: int, how: Callable[[Any], Any], column: str) -> Change:
    """Every so many rows have their cell changed."""

    def change(rows: list[Row], rng: random.Random) -> None:
        for row in rows[1::step]:
            row[column] = how(row[column])

    return change


def all_cells(how: Callable[[Any], Any], column: str) -> Change:
    return every_row(lambda row: row.__setitem__(column, how(row[column])))


def every_row(how: Callable[[Row], None]) -> Change:
    def change(rows: list[Row], rng: random.Random) -> None:
        for row in rows:
            how(row)

    return change


def unlabelled(word: Any, column: str = TOPIC) -> Change:
    """Every tenth row holds a word that means no label."""

    def change(rows: list[Row], rng: random.Random) -> None:
        for row in rows[1::10]:
            row[column], row["meant"] = word, None

    return change


def flags(of: Callable[[bool], Any], length: int = 3) -> Change:
    """Lists of flags by position."""
    return all_cells(lambda given: [of(name in given) for name in NAMES][:length], MARKED)


def joined(by: str) -> Change:
    return all_cells(lambda given: by.join(given) if given else None, MARKED)


def _empty_as_unlabelled(make: Make) -> Make:
    """Rows without a mark are unlabelled, where a string holds the marks."""

    def made(format: str, folder: Path, seed: int) -> Project:
        project = make(format, folder, seed)
        return replace(project, meant={text: given or None for text, given in project.meant.items()})

    return made


def strings(by: str, **spec: Any) -> Make:
    """Marks joined in one string."""
    return _empty_as_unlabelled(marks(joined(by), **spec))


def only_joined(rows: list[Row], rng: random.Random) -> None:
    """No label stands alone in its cell."""
    for row in rows:
        row[MARKED] = row["meant"] = sorted(rng.sample(NAMES, 2))
        row[MARKED] = ";".join(row[MARKED])


def header_again(names: tuple[str, str], mark: str = "") -> Change:
    def change(rows: list[Row], rng: random.Random) -> None:
        rows.insert(70, {"text": mark + names[0], TOPIC: names[1], "meant": None})

    return change


def one_row_a_label(rows: list[Row], rng: random.Random) -> None:
    given = [row for row in rows if row[MARKED]]
    rows[:] = [
        {"text": row["text"], MARKED: label, "meant": row[MARKED]} for row in given for label in row[MARKED]
    ]


def flag_columns(cells: dict[bool | None, Any]) -> Change:
    """A column for each label; of every tenth row nothing is known."""

    def change(rows: list[Row], rng: random.Random) -> None:
        for number, row in enumerate(rows):
            given = row.pop(MARKED)
            known = number % 10 != 1
            row.update({name: cells[name in given if known else None] for name in NAMES})
            row["meant"] = given if known else None

    return change


def answers(yes: str, no: str) -> Change:
    """A row for each text and label, which accepts or rejects it."""

    def change(rows: list[Row], rng: random.Random) -> None:
        rows[:] = [
            {
                "text": row["text"],
                MARKED: name,
                "answer": yes if name in row[MARKED] else no,
                "meant": row[MARKED],
            }
            for row in rows
            for name in NAMES
        ]

    return change


def numbers(rows: list[Row], rng: random.Random) -> None:
    """Integers, every fourth written as a float: a table with gaps."""
    for at, row in enumerate(rows):
        row[TOPIC] = f"{row[TOPIC]}.0" if at % 4 == 1 else row[TOPIC]


def _two_files(change: Callable[[list[Row]], list[Row]], labels: dict[str, str] | None = None) -> Make:
    """Two files of one source, the second of them changed."""

    def make(format: str, folder: Path, seed: int) -> Project:
        rows, more = topic_rows(ROWS, seed, labels), topic_rows(ROWS, seed + 1, labels)
        meant = {row["text"]: row[TOPIC] for row in (*rows, *more)}
        (folder / "in").mkdir()
        write(rows, folder / "in" / f"a.{format}")
        write(change(more), folder / "in" / f"b.{format}")
        source = SourceSpec(path="in", heads={TOPIC: TOPIC})
        return Project(sources={"rows": source}, heads={TOPIC: MULTICLASS}, meant=meant, split=SPLIT)

    return make


def partitions(format: str, folder: Path, seed: int) -> Project:
    """The label stands in the path."""
    rows = topic_rows(ROWS, seed, {"food": "fast food"})
    meant = {row["text"]: row[TOPIC] for row in rows}
    for label in set(meant.values()):
        place = folder / "in" / f"topic={label.replace(' ', '%20')}"
        place.mkdir(parents=True)
        write([{"text": row["text"]} for row in rows if row[TOPIC] == label], place / f"part-0.{format}")
    source = SourceSpec(path="in", heads={TOPIC: TOPIC})
    return Project(sources={"rows": source}, heads={TOPIC: MULTICLASS}, meant=meant, split=SPLIT)


def label_outside_training(format: str, folder: Path, seed: int) -> Project:
    """A label that only one test row has."""
    rows = [
        row | {"split": ("train", "validation", "test")[at // 3 % 3]}
        for at, row in enumerate(topic_rows(ROWS, seed))
    ]
    meant = {row["text"]: row[TOPIC] for row in rows}
    rows.append({"text": "hammer saw nail", TOPIC: "tool", "split": "test"})
    meant["hammer saw nail"] = "tool"
    write(rows, folder / f"rows.{format}")
    source = SourceSpec(path=f"rows.{format}", heads={TOPIC: TOPIC}, split_column="split")
    return Project(sources={"rows": source}, heads={TOPIC: MULTICLASS}, meant=meant, split=SPLIT)


def _union(make: Make) -> Make:
    def made(format: str, folder: Path, seed: int) -> Project:
        return replace(make(format, folder, seed), split=SplitSpec(near_duplicates="off", conflicts="union"))

    return made


NUMBERED = {"weather": "0", "food": "3", "animal": "5"}
DEFECTS: dict[str, Make] = {
    "flags in lists": marks(flags(int)),
    "flags with named positions": marks(flags(int), names=NAMES),
    "float flags": marks(flags(float)),
    "boolean flags": marks(flags(bool)),
    "flags of a wrong length": marks(flags(int, 2), names=NAMES),
    "flags as a string": marks(
        all_cells(lambda given: " ".join(str(int(n in given)) for n in NAMES), MARKED),
        separator=" ",
        encoding="separator",
    ),
    "flags as letters": marks(
        all_cells(lambda given: "".join(str(int(n in given)) for n in NAMES), MARKED), encoding="letters"
    ),
    "scores by position": marks(flags(lambda yes: 0.9 if yes else 0.1)),
    "scores with a threshold": marks(flags(lambda yes: 0.9 if yes else 0.1), names=NAMES, threshold=0.5),
    "label to score": marks(all_cells(lambda given: {n: 0.8 if n in given else 0.1 for n in NAMES}, MARKED)),
    "label to score with a threshold": marks(
        all_cells(lambda given: {n: 0.8 if n in given else 0.1 for n in NAMES}, MARKED),
        encoding="auto",
        threshold=0.5,
    ),
    "a list with nothing in it, as text": marks(all_cells(json.dumps, MARKED)),
    "a Python list": marks(all_cells(str, MARKED)),
    "an array as it is printed": marks(
        all_cells(lambda given: str([int(n in given) for n in NAMES]).replace(",", ""), MARKED)
    ),
    "a JSON list of one label": topics(all_cells(lambda label: json.dumps([label]), TOPIC)),
    "a Python list of one label": topics(all_cells(lambda label: str([label]), TOPIC)),
    "choices of a labelling tool": _empty_as_unlabelled(
        marks(
            all_cells(
                lambda given: (
                    None if not given else given[0] if len(given) == 1 else json.dumps({"choices": given})
                ),
                MARKED,
            )
        )
    ),
    "an object": topics(all_cells(lambda label: json.dumps({"label": label}), TOPIC)),
    "blanks at the end": topics(every(3, lambda label: f"{label} ", TOPIC)),
    "a tab before": topics(every(3, lambda label: f" {label}", TOPIC)),
    "a no-break space": topics(every(3, lambda label: f"{label}\u00a0", TOPIC)),
    "blanks around pieces": strings(" , ", encoding="separator"),
    "joined by #": strings("#"),
    "joined by ;": strings(";"),
    "joined by |": strings("|"),
    "joined by commas": strings(","),
    "joined by commas and blanks": strings(", "),
    "joined by slashes": strings("/"),
    "joined by plus": strings("+"),
    "joined by ampersands": strings(" & "),
    "joined by blanks": strings(" "),
    "never alone": marks(only_joined),
    "the wrong separator": strings(";", encoding="separator"),
    "joins of listed labels": strings("#", head=HeadSpec(kind="multilabel", labels=NAMES)),
    **{
        f"the word {word}": topics(unlabelled(word))
        for word in ("nan", "None", "NULL", "N/A", "-", "?", "#N/A", "\\N")
    },
    "a word named as missing": topics(unlabelled("nan"), missing=("nan",)),
    "-1 among numbers": topics(unlabelled("-1"), labels=NUMBERED),
    "-1 named as missing": topics(unlabelled("-1"), labels=NUMBERED, missing=("-1",)),
    "5 and 5.0": topics(numbers, labels=NUMBERED),
    "5.0 where 5 is listed": topics(numbers, HeadSpec(kind="multiclass", labels=("0", "3", "5")), NUMBERED),
    "7 and 007": topics(every(4, lambda label: f"00{label}", TOPIC), labels=NUMBERED),
    "true, True and 1": topics(
        every(4, lambda label: {"true": "1", "false": "0"}[label], TOPIC),
        labels={"weather": "true", "food": "false", "animal": "true"},
    ),
    "another case": topics(every(4, str.upper, TOPIC)),
    "an invisible character": topics(every(4, lambda label: f"{label[:2]}\u200b{label[2:]}", TOPIC)),
    "an invisible character at the end": topics(every(4, lambda label: f"{label}\u200b", TOPIC)),
    "a letter of another script": topics(every(4, lambda label: label.replace("a", "а"), TOPIC)),
    "another Unicode form": topics(
        every(4, lambda label: unicodedata.normalize("NFD", label), TOPIC), labels={"food": "café"}
    ),
    "compatibility characters": topics(
        every(4, lambda label: label.replace("fi", "ﬁ"), TOPIC), labels={"food": "fish"}
    ),
    "an empty list": topics(
        lambda rows, rng: (
            [
                row.update({TOPIC: [row[TOPIC]]} if at % 9 else {TOPIC: [], "meant": None})
                for at, row in enumerate(rows)
            ]
            and None
        ),
        encoding="list",
    ),
    "quotes": topics(every(4, lambda label: f"'{label}'", TOPIC)),
    "entities": topics(
        every(4, lambda label: label.replace("&", "&amp;"), TOPIC), labels={"food": "food & drink"}
    ),
    "misread UTF-8": topics(
        every(4, lambda label: label.encode().decode("latin-1"), TOPIC),
        labels={"food": "café", "animal": "bête"},
    ),
    "the header again": topics(header_again(("text", TOPIC))),
    "the header again, with a mark": topics(header_again(("text", TOPIC), "\ufeff")),
    "the header of another file": topics(header_again(("sentence", "label"))),
    "one row a label": marks(one_row_a_label),
    "one row a label, united": _union(marks(one_row_a_label)),
    "a label outside training": label_outside_training,
    "columns of flags": marks(flag_columns({True: "1", False: "0", None: None}), columns=NAMES),
    "columns of flags with -1": marks(flag_columns({True: "1", False: "0", None: "-1"}), columns=NAMES),
    "columns of flags with -1, named": marks(
        flag_columns({True: "1", False: "0", None: "-1"}), columns=NAMES, missing=("-1",)
    ),
    "columns of scores": marks(flag_columns({True: "0.91", False: "0.2", None: None}), columns=NAMES),
    "columns of scores with a threshold": marks(
        flag_columns({True: "0.91", False: "0.2", None: None}), columns=NAMES, threshold=0.5
    ),
    "columns of yes and no": marks(flag_columns({True: "yes", False: "no", None: None}), columns=NAMES),
    "answers that reject": marks(answers("accept", "reject")),
    "answers that reject, named": marks(answers("accept", "reject"), answer="answer"),
    "answers of yes and no, named": marks(answers("yes", "no"), answer="answer"),
    "labels in the path": partitions,
    "files of other columns": _two_files(
        lambda rows: [{"text": row["text"], "klass": row[TOPIC]} for row in rows]
    ),
    "lists in one file only": _two_files(
        lambda rows: [{"text": row["text"], TOPIC: [row[TOPIC]]} for row in rows]
    ),
    "words in one file, booleans in another": _two_files(
        lambda rows: [row | {TOPIC: row[TOPIC] == "true"} for row in rows],
        labels={"weather": "false", "food": "true", "animal": "false"},
    ),
    "case by file": _two_files(
        lambda rows: [{"text": row["text"], TOPIC: row[TOPIC].title()} for row in rows]
    ),
}
"""Name → how it is planted, in any format."""
