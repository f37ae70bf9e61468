"""Read every source and find its targets: all input rows, the problems of all sources at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from model.spec import HeadSpec
from sources.errors import BadTable, DataError, Problem, raise_together
from sources.formats.locate import AbsentPath
from sources.formats.read import read_source
from sources.formats.table import Progress
from sources.labels.annotators import settle_annotators
from sources.labels.doubts import LabelDoubts
from sources.labels.find_targets import find_targets
from sources.labels.settle import settle_labels
from sources.labels.target_codes import TargetCodes
from sources.merge.join import Rows, source_rows
from sources.spec import SourceSpec, SplitSpec, source_problems, split_problems


@dataclass(frozen=True, slots=True)
class AllSources:
    """All sources read, targets found."""

    rows: Rows
    figures: list[dict[str, Any]]
    """For each source its `name`, `files`, `rows`, how its bytes were read where the configuration does not
    say it and what was not read as a label (`said`), how far its annotators agree (`agreement`:
    `sources.labels.annotators.Annotated`) and, if it is absent and optional, why: `left_out`."""
    doubts: dict[str, LabelDoubts]
    """Head → doubts about its labels; those of each row stand in `doubt:H`."""
    specs: dict[str, SourceSpec]
    """Source → its declaration, with what its files say of heads and columns themselves filled in; of those
    that were left out as it was."""


def read_all(
    sources: Mapping[str, SourceSpec],
    heads: Mapping[str, HeadSpec],
    split: SplitSpec,
    base: Path,
    progress: Progress,
) -> AllSources:
    """The rows of all sources, in the order of the sources' names.

    Raises:
        DataError: a declaration that contradicts itself, a source that cannot be read, a cell that cannot
            be understood, no rows or no texts at all.
    """
    _check_project(sources, heads, split)
    codes = {head: TargetCodes() for head in heads}
    kept = sorted({column for spec in sources.values() for column in spec.keep})
    frames: list[pl.DataFrame] = []
    figures: list[dict[str, Any]] = []
    specs = dict(sources)
    errors: list[DataError] = []
    done = 0

    def on_rows(rows: int) -> None:
        nonlocal done
        done += rows
        progress("read", done)

    for name, spec in sorted(sources.items()):
        try:
            if problems := [Problem(line) for line in source_problems(spec, heads)]:
                raise BadTable(*problems).of_source(name)
            raw = read_source(name, spec, base, on_rows, heads)
            specs[name] = raw.spec
            found = find_targets(raw, raw.spec, heads, codes, base)
            annotated = settle_annotators(found, raw.spec, heads, codes)
            frames.append(source_rows(name, annotated.frame, raw.spec, heads, kept))
            said = [*raw.said, *annotated.said]
            read = {"name": name, "files": raw.files, "rows": raw.rows_read, "said": said}
            figures.append(read | ({"agreement": annotated.agreement} if annotated.agreement else {}))
            del raw, found, annotated  # what is not in the frame is freed before the next source is read
            pa.default_memory_pool().release_unused()
        except DataError as error:
            if isinstance(error, AbsentPath) and spec.optional:
                figures.append({"name": name, "files": 0, "rows": 0, "said": [], "left_out": str(error)})
            else:
                errors.append(error)
    raise_together(errors)
    if not frames:
        raise BadTable(Problem("every source is optional and absent", "at least one source"))
    rows, doubts = settle_labels(pl.concat(frames), heads, codes, _separators(specs))
    if rows["text_id"].null_count() == rows.height:
        raise BadTable(Problem("every text is missing or blank", "texts in the text column"))
    weights = {name: spec.weight for name, spec in sources.items()}
    return AllSources(Rows(frame=rows, codes=codes, weights=weights), figures, doubts, specs)


def _separators(sources: Mapping[str, SourceSpec]) -> dict[str, set[str]]:
    """Head → what stands between labels in the sources that declare it."""
    found: dict[str, set[str]] = {}
    for spec in sources.values():
        for head, target in spec.targets.items():
            if target.encoding == "separator":
                found.setdefault(head, set()).add(target.separator)
    return found


def _check_project(
    sources: Mapping[str, SourceSpec], heads: Mapping[str, HeadSpec], split: SplitSpec
) -> None:
    problems = [Problem(f"split.{line}") for line in split_problems(split, sources)]
    if not sources:
        problems.append(Problem("there is no source", "at least one"))
    if not heads:
        problems.append(Problem("there is no head", "at least one"))
    if problems:
        raise BadTable(*problems)
