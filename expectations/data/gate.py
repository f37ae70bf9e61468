"""The data gate: judges a merged dataset before anything is trained on it.

Three outcomes for what was looked at: met (perhaps with tolerated defects, which are named), not met, could
not be evaluated; the last is never counted as met. Only a `critical` rule can fail the verdict.

Does not know how the sources were read, what is done about the verdict, nor how it is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from expectations.chances import chance_figures
from expectations.data.check import CheckResult
from expectations.data.custom_checks import call_functions, custom_tables
from expectations.data.custom_functions import load_custom_rules
from expectations.data.drift import Drift, Levels, compare, levels_of
from expectations.data.offending_rows import count_rows, examples, offending_rows, with_rows, write_table
from expectations.data.reasons import explained
from expectations.data.rules import LANGUAGE_COLUMN
from expectations.data.suite import build_suite
from expectations.data.tables import Tables, load_profile, load_tables
from expectations.data.texts import Languages, look_at_languages
from expectations.data.vocabulary import compare_words, load_words
from expectations.known import NOTHING, Known
from expectations.spec import DataRules
from expectations.stats.reading import reading_figures
from expectations.verdict import Verdict
from expectations.volume import rows_against
from model.errors import named
from model.files import write_json
from model.spec import HeadSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class DataVerdict:
    """The data gate's verdict, what it looked at, and the files that show it."""

    verdict: Verdict
    """`fail` if a critical rule is not met or could not be evaluated."""
    results: tuple[CheckResult, ...]
    drift: tuple[Drift, ...]
    drift_levels: Levels
    offending_totals: Mapping[str, int]
    """Rule → rows or labels that break it, all of them."""
    data_docs: str
    """Where the index of the Data Docs belongs; whoever shows the verdict writes it from `pages`."""
    pages: Mapping[str, str]
    """Table → HTML of what Great Expectations' Data Docs say of it: counts, no values from the data."""
    offending_parquet: str
    offending_csv: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, without the pages."""
        return {
            "verdict": self.verdict.to_json(),
            "results": [result.to_json() for result in self.results],
            "drift": [asdict(one) | {"level": one.level(self.drift_levels)} for one in self.drift],
            "drift_levels": asdict(self.drift_levels),
            "finding_totals": dict(self.offending_totals),
            "data_docs": self.data_docs,
            "findings_parquet": self.offending_parquet,
            "findings_csv": self.offending_csv,
        }


def judge_data(
    dataset: Path,
    rules: DataRules,
    heads: Mapping[str, HeadSpec],
    out: Path,
    known: Known = NOTHING,
    base: Path | None = None,
) -> DataVerdict:
    """Judge a dataset folder; everything that is written goes under `out`.

    Args:
        heads: name → head, labels filled in as far as they are known.
        known: the champion's data, token lengths and chances; what is missing is not looked at.
        base: what `expectations.modules` start from; the current folder if it is none.

    Raises:
        expectations.data.custom_functions.CustomRulesError: a file of `expectations.modules` cannot be used.
        expectations.data.tables.DatasetError: the dataset folder lacks a file or a column.
    """
    from expectations.data.gx.evaluate import evaluate

    custom = load_custom_rules(rules.modules, base or Path())
    profile, levels = load_profile(dataset), levels_of(rules)
    tables = load_tables(dataset, heads, profile)
    languages = look_at_languages(dataset, rules.languages, rules.language_sample, rules.language_seed)
    comparisons = (
        *compare(profile, known.champion_profile, levels),
        *compare_words(load_words(dataset), profile, known.champion_profile, levels),
    )
    tables = _with_figures(
        _completed(tables, languages, comparisons, levels),
        reading_figures(known.token_lengths),
        rows_against(profile, known.champion_profile),
        chance_figures(known.chances),
    )
    columns = {name: tuple(frame.columns) for name, frame in tables.frames.items()}
    checks = build_suite(rules, heads, columns, drift=comparisons, languages=languages)
    checks, returned = call_functions(checks, custom, dataset, heads)
    frames = {**tables.frames, **returned, **custom_tables(dataset, heads, checks)}
    counted = count_rows(checks, tables.frames["observations"])
    evaluated, pages = evaluate(checks, frames, tuple(custom.functions), counted)
    evaluated = tuple(with_rows(result, frames) for result in evaluated)
    offending = offending_rows(dataset, evaluated, tables)
    places = examples(offending)
    results = tuple(explained(result, tables, places) for result in evaluated)
    parquet, text = write_table(offending, out, "findings")
    judged = DataVerdict(
        verdict=Verdict(gate="data", findings=tuple(r.finding() for r in results if r.looked_at)),
        results=results,
        drift=comparisons,
        drift_levels=levels,
        offending_totals=_totals(results, profile),
        data_docs=str(out / "data_docs" / "index.html"),
        pages=pages,
        offending_parquet=str(parquet),
        offending_csv=str(text),
    )
    write_json(out / "data_verdict.json", judged.to_json())
    return judged


def _completed(
    tables: Tables,
    languages: Languages,
    comparisons: Sequence[Drift],
    levels: Levels,
) -> Tables:
    """The tables with languages and figures of drift."""
    observations, kinds = tables.frames["observations"], dict(tables.kinds)
    if languages.unexpected is not None and languages.kinds is not None:
        observations = observations.copy(deep=False)
        observations[LANGUAGE_COLUMN] = languages.unexpected
        kinds[LANGUAGE_COLUMN] = languages.kinds
    figures, notes = dict(tables.figures), dict(tables.notes)
    for one in comparisons:
        moved = ", ".join(f"{named(name)} {then:.1%} → {now:.1%}" for name, then, now in one.moved)
        for figure in one.figures(levels):
            figures[figure.column] = figure.value
            notes[figure.column] = f"; {moved}" if moved else ""
    frames = {**tables.frames, "observations": observations}
    return replace(tables, frames=frames, figures=figures, kinds=kinds, notes=notes)


def _with_figures(tables: Tables, *more: tuple[Mapping[str, float], Mapping[str, str]]) -> Tables:
    """The tables with further figures and notes, and the table of all figures."""
    figures, notes = dict(tables.figures), dict(tables.notes)
    for found, said in more:
        figures |= found
        notes |= said
    frames = {**tables.frames, "figures": pd.DataFrame([figures])}
    return replace(tables, frames=frames, figures=figures, notes=notes)


def _totals(results: Sequence[CheckResult], profile: Mapping[str, Any]) -> dict[str, int]:
    """Rule → how many rows or labels break it."""
    counted: Counter[str] = Counter()
    for result in results:
        counted[result.check.rule] += result.count or 0
    # What only the merge could find (near-duplicates) has no count of its own here.
    return {rule: n for rule, n in {**profile.get("finding_totals", {}), **(+counted)}.items() if n}
