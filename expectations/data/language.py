"""In which language texts are: a seeded sample, looked at by the detector if it is installed.

py3langid, a naive Bayes over byte n-grams (Lui & Baldwin 2012, "langid.py"), is an optional dependency and
imported inside the function. It always answers; what it is not sure of, mostly texts of a few words, counts
neither for nor against. Does not know rules.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
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

SURE = 0.5
"""Probability from which a detected language counts."""
DETECTOR = "py3langid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Languages:
    """What was found, or why nothing was looked for."""

    unexpected: pd.Series[Any] | None = None
    """(observations,) nullable: whether the text is in another language; null where it was not looked at."""
    codes: NDArray[np.str_] | None = None
    """(observations,): code of the detected language, empty where there is none."""
    skipped: str | None = None
    """Why it was not looked at."""
    problem: str | None = None
    """Why it cannot be looked at: the configuration is wrong."""

    @property
    def told(self) -> str:
        """How many of the sampled texts are in which unexpected language."""
        if self.unexpected is None or self.codes is None:
            return ""
        found = Counter(self.codes[self.unexpected.fillna(False).to_numpy(dtype=bool)].tolist())
        return ", ".join(f"{code} {count:,}" for code, count in found.most_common(5))


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
            near = difflib.get_close_matches(code, detector.labels, n=1, cutoff=0.3)
            known = f"did you mean {near[0]!r}?" if near else "expected ISO 639-1, such as 'en'"
            return Languages(problem=f"expectations.languages: the detector does not know {code!r}; {known}")
    file = pq.ParquetFile(dataset / "observations.parquet")
    rows = _sampled(file.read(columns=["text_id"])["text_id"], sample, seed)
    unexpected = np.full(file.metadata.num_rows, None, dtype=object)
    codes = np.full(file.metadata.num_rows, "", dtype="<U3")
    start = 0
    for batch in file.iter_batches(columns=["text"]):
        here = rows[(rows >= start) & (rows < start + len(batch))]
        texts = batch.column("text").take(pa.array(here - start)).to_pylist()
        for row, text in zip(here.tolist(), texts, strict=True):
            code, probability = detector.classify(text)
            if probability >= SURE:
                codes[row], unexpected[row] = code, code not in expected
        start += len(batch)
    return Languages(unexpected=pd.Series(unexpected, dtype="boolean"), codes=codes)


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
