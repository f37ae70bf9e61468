"""The data gate: judges a merged dataset before anything is trained on it.

Three outcomes for what was looked at: met (perhaps with tolerated defects, which are named), not met, could
not be evaluated; the last is never counted as met. Only a `critical` rule can fail the verdict.

Does not know how the sources were read, nor what is done about the verdict.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from expectations.data import drift as drifting
from expectations.data.check import Check
from expectations.data.custom_rules import load_own_rules
from expectations.data.custom_tables import ask_own, own_rows, own_tables
from expectations.data.findings import broken_rows, collect, examples, replace_file, write_findings
from expectations.data.language import Languages, look_at_languages
from expectations.data.results import (
    RuleResult,
    finding_of,
    judge_figure,
    judge_rows,
    result_of,
    results_looked_at,
)
from expectations.data.suite import build_suite
from expectations.data.tables import (
    DAMAGE,
    MARKUP,
    Tables,
    load_profile,
    load_tables,
)
from expectations.data.vocabulary import compare_words, load_words
from expectations.spec import DataRules
from expectations.verdict import Verdict
from model.spec import HeadSpec
from report.data_docs import write_data_docs


@dataclass(frozen=True, slots=True, kw_only=True)
class DataVerdict:
    """The data gate's verdict, what it looked at, and the files that show it."""

    verdict: Verdict
    """`fail` if a critical rule is not met or could not be evaluated."""
    results: tuple[RuleResult, ...]
    drift: tuple[drifting.Drift, ...]
    drift_levels: drifting.Levels
    finding_totals: Mapping[str, int]
    """Rule → rows or labels that break it, all of them."""
    data_docs: str
    """`index.html` of the Data Docs."""
    findings_parquet: str
    findings_csv: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            **asdict(self),
            "verdict": self.verdict.to_json(),
            "drift": [asdict(one) | {"level": one.level(self.drift_levels)} for one in self.drift],
        }


def judge_data(
    dataset: Path,
    rules: DataRules,
    heads: Mapping[str, HeadSpec],
    out: Path,
    champion_profile: Mapping[str, Any] | None = None,
    token_lengths: Mapping[str, Any] | None = None,
    base: Path | None = None,
) -> DataVerdict:
    """Judge a dataset folder; everything that is written goes under `out`.

    Args:
        heads: name → head, labels filled in as far as they are known.
        champion_profile: `profile.json` of the data that the champion was trained on; none on a first run.
        token_lengths: `{"max_length": tokens, "splits": {split: {"rows": n, "truncated": n, …}}}`; none
            where no tokenizer was at hand, and truncation is then not looked at.
        base: what `expectations.modules` start from; the current folder if it is none.

    Raises:
        expectations.data.custom_rules.OwnRulesError: a file of `expectations.modules` cannot be used.
        expectations.data.tables.DatasetError: the dataset folder lacks a file or a column.
    """
    from expectations.data.gx import evaluate

    own = load_own_rules(rules.modules, base or Path())
    profile = load_profile(dataset)
    tables = load_tables(dataset, heads, profile)
    languages = look_at_languages(dataset, rules.languages, rules.language_sample, rules.language_seed)
    if languages.unexpected is not None:
        tables.frames["observations"]["language_unexpected"] = languages.unexpected
    levels = drifting.Levels(
        psi_warn=rules.drift_psi_warn,
        psi_fail=rules.drift_psi_fail,
        js_warn=rules.drift_js_warn,
        js_fail=rules.drift_js_fail,
        min_rows=rules.drift_min_rows,
        unseen_warn=rules.drift_unseen_warn,
        unseen_fail=rules.drift_unseen_fail,
        min_tokens=rules.drift_min_tokens,
    )
    comparisons = (
        *drifting.compare(profile, champion_profile, levels),
        *compare_words(load_words(dataset), profile, champion_profile, levels),
    )
    figures = {**tables.figures, **drifting.figures(comparisons), **_truncation(token_lengths)}
    frames = {**tables.frames, "figures": pd.DataFrame([figures])}
    columns = {name: tuple(frame.columns) for name, frame in frames.items()}
    checks = build_suite(rules, heads, columns, drift=comparisons, languages=languages)
    checks, own_frames = ask_own(checks, own, dataset, heads)
    asked = [check for check in checks if check.skipped is None]
    evaluated = evaluate(
        asked, {**frames, **own_frames, **own_tables(dataset, heads, asked)}, tuple(own.functions)
    )
    broken = own_rows(checks, evaluated.evaluations, own_frames)
    findings = collect(dataset, checks, tables, broken, languages.codes)
    where = examples(findings)
    moved = {name: one.moved for one in comparisons for name in drifting.figure_names(one)}

    said = iter(evaluated.evaluations)
    results = []
    for check in checks:
        if check.skipped is not None:
            results.append(result_of(check, "not looked at", check.skipped))
            continue
        evaluation = next(said)
        if evaluation.success is None or evaluation.elements == 0:
            nothing = "there was nothing to look at: no row that it applies to"
            sentence = f"{evaluation.error or nothing}; this never counts as met"
            results.append(result_of(check, "could not be evaluated", sentence))
        elif check.unit == "value":
            column = str(check.column)
            cells, told = moved.get(column, ()), _extremes(check, profile)
            results.append(judge_figure(check, evaluation.success, figures[column], cells, told))
        elif check.unit == "answer":
            answer = f"it said {evaluation.success} of the whole table"
            results.append(result_of(check, "met" if evaluation.success else "not met", answer))
        else:
            counts = evaluation.unexpected, evaluation.elements
            example = where.get((check.rule, check.head))
            labels, told = _labels(check, tables), _kinds_told(check, tables, languages)
            if check.table in ("dataset", "rows") and evaluation.unexpected and evaluation.rows is None:
                told = "too many to list their rows"
            results.append(judge_rows(check, evaluation.success, *counts, example, labels, told))
    counted: Counter[str] = Counter()
    for result in results:
        counted[result.rule] += result.count or 0
    # What only the merge could find (near-duplicates) has no count of its own here.
    totals = {rule: n for rule, n in {**profile.get("finding_totals", {}), **(+counted)}.items() if n}

    parquet, text = write_findings(findings, out)
    judged = DataVerdict(
        verdict=Verdict(gate="data", findings=tuple(map(finding_of, results_looked_at(results)))),
        results=tuple(results),
        drift=comparisons,
        drift_levels=levels,
        finding_totals=totals,
        data_docs=str(write_data_docs(evaluated.pages, results, out / "data_docs")),
        findings_parquet=str(parquet),
        findings_csv=str(text),
    )
    replace_file(out / "data_verdict.json", json.dumps(judged.to_json(), indent=1).encode("utf-8"))
    return judged


def _truncation(token_lengths: Mapping[str, Any] | None) -> dict[str, float]:
    if token_lengths is None:
        return {}
    splits = token_lengths["splits"].values()
    rows = sum(split["rows"] for split in splits)
    return {"truncation_share": sum(split["truncated"] for split in splits) / rows} if rows else {}


def _labels(check: Check, tables: Tables) -> list[str]:
    if check.table != "labels":
        return []
    frame = tables.frames["labels"]
    return [str(label) for label in frame["label"].iloc[broken_rows(check, frame)]]


def _kinds_told(check: Check, tables: Tables, languages: Languages) -> str:
    """How many of which kind, for the rules that know kinds."""
    if check.rule == "language":
        return languages.told
    kinds, found = {
        "text_quality": (DAMAGE, tables.damage),
        "markup": (MARKUP, tables.markup),
    }.get(check.rule, ({}, np.zeros(0, np.int8)))
    counts = np.bincount(found, minlength=len(kinds) + 1)[1:].tolist()
    return ", ".join(f"{kind} {count:,}" for kind, count in zip(kinds, counts, strict=True) if count)


def _extremes(check: Check, profile: Mapping[str, Any]) -> str:
    """The commonest and the rarest label with their rows, where a figure is about their ratio."""
    if check.rule != "imbalance" or check.head is None or check.split is None:
        return ""
    counts = {k: n for k, n in profile["heads"][check.head]["splits"][check.split]["counts"].items() if n}
    most, least = (pick(counts, key=lambda label: (counts[label], label)) for pick in (max, min))
    return f"{most!r} on {counts[most]:,} rows, {least!r} on {counts[least]:,}"
