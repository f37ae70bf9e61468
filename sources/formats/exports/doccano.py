"""doccano, text classification: `JSONL`, `JSON` and `CSV`. The question is `label`.

An export of several people is a file each, named like them: the file's name is the annotator.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sources.errors import BadTable, Problem
from sources.formats.exports.answers import Answered, Export, labels_in, text_key, text_of
from sources.formats.exports.documents import objects, read_csv_rows, read_items
from sources.formats.jsonl import JsonNumber
from sources.formats.table import Wanted

LABEL_KEYS = ("label", "labels")
"""Where labels stand: `label` since 1.2, `labels` in earlier versions."""
OF_THE_TOOL = frozenset(("id", "Comments", "annotation_approver"))
JOINT = "#"
"""Between two labels in a CSV."""
EXPORT = "Export JSONL from a text classification project of doccano 1.2 or later."


def read_doccano(file: Path, name: str, wanted: Wanted) -> Export:
    """One exported file.

    Raises:
        UnreadableSource, BadTable, BadCell: not such a file, or one of another kind of project or version.
    """
    is_csv = name.lower().removesuffix(".gz").endswith(".csv")
    items: list[tuple[int, Mapping[str, Any]]]
    if is_csv:
        items = list(read_csv_rows(file, name, wanted.encoding))
    else:
        items = list(objects(read_items(file, name, wanted.encoding), name, "doccano"))
    keys = list(dict.fromkeys(key for _, item in items for key in item))
    label = next((key for key in LABEL_KEYS if key in keys), None)
    if label is None:
        raise _another(keys, name)
    asked = "data" if wanted.text == "text" and "text" not in keys and "data" in keys else wanted.text
    text = text_key([item for _, item in items], asked, name)
    who = Path(name.removesuffix(".gz")).stem
    rows = []
    for line, item in items:
        at = Problem("", file=name, line=line, column=label)
        others = {k: v for k, v in item.items() if k not in (text, label) and k not in OF_THE_TOOL}
        found = _pieces(item[label], at) if is_csv else _listed(item.get(label), at)
        rows.append(
            Answered(
                line=line,
                text=text_of(item.get(text), at),
                answers={"label": labels_in(found, at)},
                annotator=who,
                others=others,
            )
        )
    return Export(rows=rows, questions=["label"])


def _pieces(cell: str | None, at: Problem) -> list[str]:
    """The labels joined in one cell of a CSV."""
    pieces = (cell or "").split(JOINT) if cell else []
    if "" in (piece.strip() for piece in pieces):
        seen = f"two {JOINT!r} without a label between them, or one at the end"
        advice = f"A label that holds {JOINT!r} cannot be told from two: export JSONL."
        raise BadTable(Problem(seen, f"labels joined by {JOINT!r}", advice, file=at.file, line=at.line))
    return pieces


def _listed(value: Any, at: Problem) -> Any:
    """The labels of one document of JSON: names, no numbers and no spans."""
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, list | dict) for item in items):
        seen = "the labels are spans (start, end, label): this is sequence labelling"
        raise BadTable(Problem(seen, "names of labels of a text", EXPORT, file=at.file, line=at.line))
    if any(isinstance(item, JsonNumber) for item in items):
        seen = "the labels are numbers, as doccano wrote their ids before 1.0"
        raise BadTable(Problem(seen, "names of labels", EXPORT, file=at.file, line=at.line))
    return value


def _another(keys: list[str], name: str) -> BadTable:
    """What to say of items without labels."""
    seen, expected = f"there is no `label` (keys: {', '.join(keys[:10])})", "`id`, `text` and `label`"
    if "annotations" in keys:
        seen = "the items hold `annotations` with ids of labels, as doccano wrote them before 1.0"
    elif {"entities", "relations"} & set(keys):
        seen = "the items hold `entities`: this is sequence labelling"
    return BadTable(Problem(seen, expected, EXPORT, file=name, line=1))
