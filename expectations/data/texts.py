"""What is looked at in texts: damage, HTML and, in a seeded sample, the language.

The language detector is py3langid, a naive Bayes over byte n-grams (Lui & Baldwin 2012, "langid.py"): an
optional dependency, imported inside the function. It always answers; an answer that it is not sure of, mostly
for a text of a few words, counts neither for nor against. Does not know rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model.suggestions import did_you_mean

BATCH_ROWS = 65_536
"""Texts looked at at once."""

DAMAGE: Mapping[str, str] = {
    "replacement character": "\ufffd",
    "control character": r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",
    # UTF-8 read as Latin-1 or Windows-1252: an accented letter shows as Ã or Â before a sign that no
    # word begins with, a curly quote as â€.
    "misread UTF-8": "\u00c3[\u0080-\u00bf]|\u00c2[\u00a0-\u00bf]|\u00e2\u20ac",
}
"""Kind of damage → pattern (RE2). A text counts once, under the first that fits."""

MARKUP: Mapping[str, str] = {
    # Attributes hold an equals sign: `x <y and z> 1` is no tag.
    "tag": r"</?[A-Za-z][A-Za-z0-9-]*(?:\s[^<>]*=[^<>]*)?\s*/?>",
    "comment": r"<!--|<!\[CDATA\[|<!(?i:doctype)",
    "entity": r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});",
}
"""Kind of HTML → pattern (RE2). A text counts once, under the first that fits."""

SURE = 0.5
"""Probability from which a detected language counts."""
DETECTOR = "py3langid"
MOST_KINDS = 5
"""Kinds that a sentence counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """Which kind of a defect each row has."""

    names: tuple[str, ...]
    at: NDArray[np.int16]
    """(observations,): 0 for a row without the defect, else 1 + position in `names`."""
    prefix: str = ""
    """Stands before a kind's name where a row is listed."""

    def counted(self) -> str:
        """How many rows of which kind: `tag 2, entity 1`."""
        counts = np.bincount(self.at, minlength=len(self.names) + 1)[1:].tolist()
        some = [(name, count) for name, count in zip(self.names, counts, strict=True) if count]
        return ", ".join(f"{name} {count:,}" for name, count in some[:MOST_KINDS])

    def of(self, rows: NDArray[np.int64]) -> list[str | None]:
        """The kind of each of these rows, all of which have the defect."""
        return [f"{self.prefix}{self.names[kind - 1]}" for kind in self.at[rows].tolist()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Languages:
    """What was found, or why nothing was looked for."""

    unexpected: pd.Series[Any] | None = None
    """(observations,) nullable: whether the text is in another language; null where it was not looked at."""
    kinds: Kinds | None = None
    """The unexpected languages (ISO 639-1), the most frequent first."""
    skipped: str | None = None
    """Why it was not looked at."""
    problem: str | None = None
    """Why it cannot be looked at: the configuration is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What each text is like; arrays (observations,)."""

    present: NDArray[np.bool_]
    blank: NDArray[np.bool_]
    damage: Kinds
    markup: Kinds


def look_at_texts(file: pq.ParquetFile) -> Texts:
    """Every text of the input rows, batch by batch."""
    present, blank = [np.zeros(0, np.bool_)], [np.zeros(0, np.bool_)]
    damage, markup = [np.zeros(0, np.int16)], [np.zeros(0, np.int16)]
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=["text", "text_id"]):
        text = batch.column("text")
        there = pc.is_valid(text)
        # Blank is what merging and the endpoint call so: a text without identity. Libraries count other
        # characters as white space.
        nothing = pc.and_(there, pc.is_null(batch.column("text_id")))
        present.append(there.to_numpy(zero_copy_only=False))
        blank.append(nothing.to_numpy(zero_copy_only=False))
        rows = suspects(text)
        some = text.take(pa.array(rows))
        damage.append(_at(rows, _kinds(some, DAMAGE), len(text)))
        markup.append(_at(rows, _kinds(some, MARKUP), len(text)))
    return Texts(
        present=np.concatenate(present),
        blank=np.concatenate(blank),
        damage=Kinds(names=tuple(DAMAGE), at=np.concatenate(damage)),
        markup=Kinds(names=tuple(MARKUP), at=np.concatenate(markup), prefix="HTML "),
    )


def suspects(text: pa.Array) -> NDArray[np.intp]:
    """Rows of texts with a byte that a pattern of `DAMAGE` or `MARKUP` needs: the others fit none."""
    strings = text.cast(pa.large_string())
    _, offsets, data = strings.buffers()
    if data is None or not len(strings):
        return np.zeros(0, dtype=np.intp)
    bounds = np.frombuffer(offsets, dtype=np.int64)[strings.offset : strings.offset + len(strings) + 1]
    letters = np.frombuffer(data, dtype=np.uint8)[: bounds[-1]]
    found = np.flatnonzero(_SUSPECT[letters])
    after = letters[np.minimum(found + 1, letters.size - 1)]
    lead = letters[found]
    found = found[np.where(lead == 0xC3, _AFTER_C3[after], np.where(lead == 0xEF, after == 0xBF, True))]
    rows = np.searchsorted(bounds, found, side="right") - 1
    return np.unique(rows[rows >= 0])


def _bytes(values: Iterable[int]) -> NDArray[np.bool_]:
    table = np.zeros(256, dtype=np.bool_)
    table[list(values)] = True
    return table


# Controls, `&`, `<`, delete; the first byte of Â, Ã and â, and of the replacement character.
_SUSPECT = _bytes([*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), 0x26, 0x3C, 0x7F, 0xC3, 0xEF])
_AFTER_C3 = _bytes([0x82, 0x83, 0xA2])


def _at(rows: NDArray[np.intp], kinds: NDArray[np.int16], many: int) -> NDArray[np.int16]:
    found = np.zeros(many, dtype=np.int16)
    found[rows] = kinds
    return found


def _kinds(text: pa.Array, patterns: Mapping[str, str]) -> NDArray[np.int16]:
    """(texts,): 1 + position of the first pattern that fits, 0 where none does."""
    kinds = np.zeros(len(text), dtype=np.int16)
    for kind, pattern in reversed(list(enumerate(patterns.values(), start=1))):
        hit = pc.fill_null(pc.match_substring_regex(text, pattern), False)
        kinds[hit.to_numpy(zero_copy_only=False)] = kind
    return kinds


def look_at_languages(dataset: Path, expected: Sequence[str], sample: int, seed: int) -> Languages:
    """Detect the language of `sample` distinct texts of a dataset folder.

    A text is drawn by a keyed hash of its id, so neither the order of rows nor other texts decide; it
    counts once, at the first row that holds it.
    """
    if not expected:
        return Languages(skipped="no language is expected (`expectations.languages`)")
    if find_spec(DETECTOR) is None:
        return Languages(skipped='no detector is installed: pip install "headgate[language]"')
    from py3langid.langid import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
        MODEL_FILE,
        LanguageIdentifier,
    )

    detector = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    for code in expected:
        if code not in detector.labels:
            remedy = did_you_mean(code, detector.labels, likeness=0.3) or "; expected ISO 639-1, such as `en`"
            return Languages(problem=f"expectations.languages: the detector does not know {code!r}{remedy}")
    file = pq.ParquetFile(dataset / "observations.parquet")
    rows = _sampled(file.read(columns=["text_id"])["text_id"], sample, seed)
    unexpected = np.full(file.metadata.num_rows, None, dtype=object)
    codes: dict[int, str] = {}
    start = 0
    for batch in file.iter_batches(columns=["text"]):
        here = rows[(rows >= start) & (rows < start + len(batch))]
        texts = batch.column("text").take(pa.array(here - start)).to_pylist()
        for row, text in zip(here.tolist(), texts, strict=True):
            code, probability = detector.classify(text)
            if probability >= SURE:
                unexpected[row] = code not in expected
                if unexpected[row]:
                    codes[row] = str(code)
        start += len(batch)
    names = tuple(code for code, _ in Counter(codes.values()).most_common())
    at = np.zeros(len(unexpected), dtype=np.int16)
    for row, code in codes.items():
        at[row] = 1 + names.index(code)
    return Languages(unexpected=pd.Series(unexpected, dtype="boolean"), kinds=Kinds(names=names, at=at))


def _sampled(text_ids: pa.ChunkedArray, sample: int, seed: int) -> NDArray[np.int64]:
    """Rows, ascending, that hold a drawn text for the first time."""
    coded = pc.dictionary_encode(text_ids).combine_chunks()
    indices = coded.indices.to_numpy(zero_copy_only=False)
    there = np.flatnonzero(coded.indices.is_valid().to_numpy(zero_copy_only=False))
    _, first = np.unique(indices[there], return_index=True)
    first = there[first]
    ids = text_ids.take(pa.array(first)).to_pandas().to_numpy(dtype=object)
    drawn = pd.util.hash_array(ids, hash_key=f"{seed % 10**16:016d}", categorize=False)
    return np.sort(first[np.argsort(drawn, kind="stable")[:sample]])
