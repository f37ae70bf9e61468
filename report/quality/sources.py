"""The quality page's section on sources: which rows came from which file, and what the sources share.

Reads places and counts of a dataset folder, never texts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from markupsafe import Markup

from report.page import Section, breakable, join, paragraph, section, table

MOST_FILES = 8
"""Files listed of a source; one line sums the others."""


def source_remarks(profile: Mapping[str, Any]) -> list[str]:
    """A sentence for each source that was left out, and for each file that was read in a way that the
    configuration does not say."""
    remarks = []
    for one in profile["sources"]:
        if why := one.get("left_out"):
            remarks.append(f"source `{one['name']}` is optional and absent, and was left out: {why}")
        remarks += [f"source `{one['name']}`, {said}" for said in one.get("said", ())]
    return remarks


def sources_section(dataset: Path, profile: Mapping[str, Any]) -> Section:
    """One line a source and file: rows, rows without a text, distinct and shared texts, labelled heads."""
    heads = list(profile["heads"])
    columns = ["source", "file", "text_id", *(f"count:{head}" for head in heads)]
    inputs = pq.read_table(
        dataset / "observations.parquet", columns=columns, read_dictionary=["source", "file"]
    )
    distinct, shared = _texts(inputs)
    files = _files(inputs, heads)
    rows: list[tuple[object, ...]] = []
    for one in profile["sources"]:
        name = one["name"]
        found = sorted(files.get(name, {}).items())
        if not found:
            rows.append((name, "not found, left out", 0, *[None] * 3, None))
        rest = found[MOST_FILES:]
        shown = [(Path(file).name, counts) for file, counts in found[:MOST_FILES]]
        if rest:
            shown.append((f"{len(rest):,} more files", sum((c for _, c in rest), Counter())))
        for at, (file, counts) in enumerate(shown):
            labelled = ", ".join(f"{head}\u00a0{counts[head]:,}" for head in heads if counts[head])
            of_source = (distinct[name], shared[name] or None) if at == 0 else ("", "")
            blank = counts["rows"] - counts["texts"]
            rows.append(
                (
                    name if at == 0 else "",
                    breakable(file),
                    counts["rows"],
                    blank or None,
                    *of_source,
                    labelled or None,
                )
            )
    said = source_remarks(profile)
    return section(
        "Sources",
        join(*map(paragraph, said), _table_of(rows)),
        lead="Rows without a text are left out, and so are blank texts. Equal texts become one row with all "
        "their labels. “Also elsewhere” counts the texts of a source that another source holds too.",
    )


def _table_of(rows: list[tuple[object, ...]]) -> Markup:
    return table(
        ("Source", "File", "Rows", "Without text", "Distinct texts", "Also elsewhere", "Labelled rows"),
        rows,
        numeric={2, 3, 4, 5},
        wide={6},
    )


def _texts(inputs: pa.Table) -> tuple[Counter[str], Counter[str]]:
    """Source → its distinct texts, and those of them that stand in another source too."""
    pairs = inputs.select(["source", "text_id"]).filter(pc.is_valid(inputs["text_id"]))
    pairs = pairs.group_by(["source", "text_id"]).aggregate([])
    distinct = Counter(dict(_counted(pairs["source"])))
    if len(distinct) < 2:
        return distinct, Counter()
    times = pairs.group_by("text_id").aggregate([([], "count_all")])
    several = times["text_id"].filter(pc.greater(times["count_all"], 1))
    shared = pairs["source"].filter(pc.is_in(pairs["text_id"], value_set=several.combine_chunks()))
    return distinct, Counter(dict(_counted(shared)))


def _counted(values: pa.ChunkedArray) -> list[tuple[str, int]]:
    return [(str(one["values"]), int(one["counts"])) for one in pc.value_counts(values).to_pylist()]


def _files(inputs: pa.Table, heads: list[str]) -> dict[str, dict[str, Counter[str]]]:
    """Source → file → `rows`, `texts`, and per head its labelled rows."""
    counts = [f"count:{head}" for head in heads]
    found = inputs.group_by(["source", "file"]).aggregate(
        [([], "count_all"), ("text_id", "count"), *((name, "count") for name in counts)]
    )
    files: defaultdict[str, dict[str, Counter[str]]] = defaultdict(dict)
    for one in found.to_pylist():
        about = Counter({head: one[f"count:{head}_count"] for head in heads})
        about["rows"], about["texts"] = one["count_all"], one["text_id_count"]
        files[one["source"]][one["file"]] = about
    return files
