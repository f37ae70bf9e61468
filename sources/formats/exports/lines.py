"""Lines of labels and a text: fastText's (`__label__a __label__b text`) and `label text`. The question is
`label`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from sources.errors import BadTable, Problem
from sources.formats.exports.answers import Answered, Export
from sources.formats.table import Wanted
from sources.formats.text_file import open_text

MARK = "__label__"
"""Before each label, fastText's default."""
MAX_PROBLEMS = 10_000
"""Bad lines counted before reading stops."""
FEW_ALONE, MOST_ALONE = 5, 0.1
"""First words that stand on one line only, and their share of the lines, up to which they may be labels."""

HEADERS = {(label, text) for label in ("label", "labels", "class") for text in ("text", "sentence")}
TABLE = "A file with names of columns is a table: set `format: tsv`, `text` and `heads`."

NO_LABEL = "lines without a label are unlabelled"


def read_fasttext(file: Path, name: str, wanted: Wanted) -> Export:
    """A file for fastText: labels at the start or the end of each line.

    Raises:
        UnreadableSource: see `sources.formats.text_file`.
        BadTable: no line has a label, or one stands in the middle of a text.
    """
    notes: Counter[str] = Counter()
    rows: list[Answered] = []
    problems: list[Problem] = []
    for number, line in _lines(file, name, wanted.encoding):
        words = line.split()
        start, end = 0, len(words)
        while start < end and words[start].startswith(MARK):
            start += 1
        while end > start and words[end - 1].startswith(MARK):
            end -= 1
        if any(word.startswith(MARK) for word in words[start:end]):
            seen = f"a word that begins with {MARK} in the middle of the text"
            problems.append(Problem(seen, "labels at the start of a line", file=name, line=number))
        labels = {word.removeprefix(MARK) for word in (*words[:start], *words[end:])}
        if "" in labels:
            problems.append(Problem(f"{MARK} without a label", "a label", file=name, line=number))
        if len(problems) >= MAX_PROBLEMS:
            break
        notes[NO_LABEL] += not labels
        answers = {"label": tuple(sorted(labels))} if labels else {}
        rows.append(Answered(line=number, text=_between(line, start, len(words) - end), answers=answers))
    if problems:
        raise BadTable(*problems)
    if rows and not any(row.answers for row in rows):
        advice = "Lines of a label and a text without that mark are `format: label_text`."
        raise BadTable(Problem(f"no line holds {MARK}", f"{MARK}a text", advice, file=name))
    return Export(rows=rows, questions=["label"], notes=+notes)


def _between(line: str, before: int, after: int) -> str | None:
    """A line without so many words at its start and end; the white space inside stays as it is."""
    text = line.strip()
    for _ in range(before):
        text = (text.split(maxsplit=1)[1:] or [""])[0]
    for _ in range(after):
        text = (text.rsplit(maxsplit=1)[:-1] or [""])[0]
    return text or None


def read_label_text(file: Path, name: str, wanted: Wanted) -> Export:
    """Lines of one label, white space and a text: a tab where every line has one, else the first blank.

    Raises:
        UnreadableSource: see `sources.formats.text_file`.
        BadTable: lines without a text, lines with a tab beside lines without, fastText's marks, or first
            words that are no labels: most of them stand on one line only.
    """
    lines = _lines(file, name, wanted.encoding)
    tabbed = [number for number, line in lines if "\t" in line.strip()]
    if tabbed and len(tabbed) < len(lines):
        odd = next(number for number, line in lines if "\t" not in line.strip())
        seen = f"no tab here, and tabs on {len(tabbed):,} other lines"
        advice = "Write a tab between label and text on every line, or on none."
        raise BadTable(Problem(seen, "one way to part them", advice, file=name, line=odd))
    rows, problems = [], []
    for number, line in lines:
        label, _, text = line.strip().partition("\t") if tabbed else _first_word(line.strip())
        if not text.strip() or not label.strip():
            problems.append(Problem("one word alone", "a label and a text", file=name, line=number))
        if (label.lower(), text.strip().lower()) in HEADERS:
            problems.append(Problem("a header", "a label and a text", TABLE, file=name, line=number))
        if label.startswith(MARK):
            problems.append(
                Problem(
                    f"{MARK} before the label", "a label", "Set `format: fasttext`.", file=name, line=number
                )
            )
        if len(problems) >= MAX_PROBLEMS:
            break
        rows.append(Answered(line=number, text=text.strip(), answers={"label": (label.strip(),)}))
    if problems:
        raise BadTable(*problems)
    once = Counter(row.answers["label"] for row in rows)
    alone = sum(count == 1 for count in once.values())
    if alone > max(FEW_ALONE, len(rows) * MOST_ALONE):
        seen = f"{alone:,} of {len(rows):,} lines begin with a word that no other line begins with"
        expected = "lines that begin with their label"
        raise BadTable(Problem(seen, expected, "Set the `format` that the file has.", file=name))
    return Export(rows=rows, questions=["label"])


def _first_word(line: str) -> tuple[str, str, str]:
    parts = line.split(maxsplit=1)
    return (parts[0], " ", parts[1]) if len(parts) == 2 else (line, "", "")


def _lines(file: Path, name: str, encoding: str) -> list[tuple[int, str]]:
    """The lines that are not blank, with their numbers, from 1."""
    with open_text(file, name, encoding) as text:
        content = text.read().replace("\r\n", "\n").replace("\r", "\n")
    return [(number, line) for number, line in enumerate(content.split("\n"), start=1) if line.strip()]
