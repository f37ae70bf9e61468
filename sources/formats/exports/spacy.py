"""spaCy's text categories (`cats`) as JSON: objects with `text` and `cats`, pairs of a text and `{"cats":
…}`, and the documents of `paragraphs` that spaCy 2 was trained on. The question is `cats`.

A category that a text does not name is unknown there, as in spaCy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sources.errors import BadCell, BadTable, Problem, UnreadableSource, quoted
from sources.formats.exports.answers import Answered, Export, Flags, text_of
from sources.formats.exports.documents import read_items
from sources.formats.table import Wanted

NO_CATEGORY = "texts without categories are unlabelled"
TRUTH = {"0": False, "0.0": False, "1": True, "1.0": True}
EXPORT = 'Write JSON lines of {"text": doc.text, "cats": doc.cats}, one a document.'


def read_spacy(file: Path, name: str, wanted: Wanted) -> Export:
    """One file of texts with categories.

    Raises:
        UnreadableSource, BadTable, BadCell: not such a file (a `DocBin` is none), or a category with a score
            that is neither 0 nor 1.
    """
    if name.lower().endswith(".spacy"):
        seen = "a binary DocBin of spaCy"
        raise UnreadableSource(Problem(seen, "texts and `cats` as JSON", EXPORT, file=name))
    notes: Counter[str] = Counter()
    rows = []
    for line, item in read_items(file, name, wanted.encoding):
        at = Problem("", file=name, line=line)
        for text, cats, others in _documents(item, wanted.text, name, line):
            flags = {} if cats is None else flags_of(cats, at, scores=wanted.scores)
            notes[NO_CATEGORY] += not flags
            answers = {"cats": flags} if flags else {}
            rows.append(Answered(line=line, text=text_of(text, at), answers=answers, others=others))
    return Export(rows=rows, questions=["cats"], notes=notes)


def _documents(item: Any, text: str, name: str, line: int) -> Iterator[tuple[Any, Any, Mapping[str, Any]]]:
    """(Text, categories, what else there is) of each document in an item."""
    if isinstance(item, list) and len(item) == 2 and isinstance(item[1], dict):
        yield item[0], item[1].get("cats"), {}
    elif isinstance(item, dict) and text in item and "cats" in item:
        yield item[text], item["cats"], {k: v for k, v in item.items() if k not in (text, "cats")}
    elif isinstance(item, dict) and isinstance(item.get("paragraphs"), list):
        for paragraph in item["paragraphs"]:
            if not isinstance(paragraph, dict) or "raw" not in paragraph:
                raise BadTable(
                    Problem("a paragraph without its text (`raw`)", "`raw`", EXPORT, file=name, line=line)
                )
            yield paragraph["raw"], paragraph.get("cats"), {}
    else:
        seen = f"an item without `{text}` and `cats`"
        if isinstance(item, dict):
            seen += f" (keys: {', '.join(list(item)[:10])})"
        raise BadTable(Problem(seen, f"`{text}` and `cats`", EXPORT, file=name, line=line))


def flags_of(cats: Any, at: Problem, *, scores: bool = False) -> Flags:
    """Category → whether it applies, of `{"A": 1, "B": 0}` or `[{"label": "A", "value": 1}]`.

    Args:
        scores: what is neither 0 nor 1 is kept as a score, for a head with a `threshold`.

    Raises:
        BadCell: no such thing, or a score between 0 and 1: somebody has to say from where on it applies.
    """
    if isinstance(cats, list) and all(
        isinstance(one, dict) and {"label", "value"} <= set(one) for one in cats
    ):
        cats = {str(one["label"]): one["value"] for one in cats}
    if not isinstance(cats, dict):
        expected = "an object of category and 0 or 1"
        raise BadCell(Problem("`cats` is no object", expected, EXPORT, file=at.file, line=at.line))
    found: dict[str, bool | str] = {}
    for label, value in cats.items():
        truth = value if isinstance(value, bool) else TRUTH.get(str(value))
        if truth is None and scores:
            found[str(label)] = str(value)
            continue
        if truth is None:
            seen = f"the category {quoted(str(label))} has the value {quoted(str(value))}"
            advice = "For scores set `threshold`: `heads: {HEAD: {threshold: 0.5}}`."
            raise BadCell(Problem(seen, "0, 1, true or false", advice, file=at.file, line=at.line))
        found[str(label)] = truth
    return found
