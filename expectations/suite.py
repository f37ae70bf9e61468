"""What is expected of one dataset, as a list of checks: each a Great Expectations expectation by name.

Pure: from the rules, the heads and the columns that are there. Does not know how a check is evaluated
(`expectations.great`), nor where the tables come from (`expectations.tables`).

No label name and no text stands in a check that the rules make: labels may come from the data, and
Great Expectations writes what it is given into its pages unescaped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from expectations.drift import Drift, figure_names
from expectations.spec import DataRules, Rule, Severity
from model.spec import SPLITS, HeadSpec

TableName = Literal["observations", "labels", "figures", "dataset", "rows"]
"""`observations`: one row an input row. `labels`: one row a head and label. `figures`: one row, one column
a figure. For the user's own expectations `dataset`, one row a text, and `rows`, one row an input row."""

VALUES_IN_SET = "expect_column_values_to_be_in_set"
VALUES_BETWEEN = "expect_column_values_to_be_between"
VALUES_NOT_NULL = "expect_column_values_to_not_be_null"

EXTRA_KEYS = ("type", "kwargs", "severity", "tolerance", "table")
"""What an entry of `extra` may hold."""

NOT_LOOKED_FOR = {
    "near_duplicates": "near-duplicates were not looked for (`split.near_duplicates: off`)",
    "truncation": "token lengths are not known here: they need the backbone's tokenizer",
    "drift": "nothing to compare with: there is no champion whose data is known",
}
"""Rule → why its figure may be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One expectation, and what its outcome means."""

    rule: str
    """Field of `DataRules`, or `extra[0]`."""
    expected: str
    """What is expected, for people."""
    severity: Severity
    tolerance: float
    """Share of elements that may break it."""
    table: TableName
    type: str
    """Name of the Great Expectations expectation."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    head: str | None = None
    split: str | None = None
    unit: str = "rows"
    """What is counted: `rows`, `labels`, or `value` for a figure by itself."""
    warn_above: float | None = None
    """For a figure: the value from which it is named although it is within its bound; 0 itself is fine."""
    problem: str | None = None
    """Why it cannot be evaluated at all: the configuration of an extra expectation is wrong."""
    skipped: str | None = None
    """Why it is not looked at; it then counts neither for nor against."""

    @property
    def column(self) -> str | None:
        """The one column it looks at, if it is that kind of check."""
        column = self.kwargs.get("column")
        return column if isinstance(column, str) else None


def build_suite(
    rules: DataRules,
    heads: Mapping[str, HeadSpec],
    columns: Mapping[str, Collection[str]],
    *,
    drift: Sequence[Drift] = (),
) -> tuple[Check, ...]:
    """All checks, in the order of `DataRules`.

    Args:
        columns: table → names of its columns. A figure that is not there is skipped and says why.
        drift: comparisons with the champion's data; their figures stand in `figures` under
            `expectations.drift.figure_names`.
    """
    checks = [*_texts(rules)]
    for head, spec in heads.items():
        checks += _targets(rules, head, spec)
    checks += _figures(rules, columns.get("figures", ()))
    checks += _drift(rules, drift)
    checks += (_extra(f"extra[{at}]", entry) for at, entry in enumerate(rules.extra))
    return tuple(checks)


def _row_check(
    rule_name: str, rule: Rule, type_: str, expected: str, table: TableName = "observations", **more: Any
) -> Check:
    kwargs = {**more.pop("kwargs"), "mostly": 1.0 - rule.tolerance}
    return Check(
        rule=rule_name,
        severity=rule.severity,
        tolerance=rule.tolerance,
        type=type_,
        expected=expected,
        table=table,
        kwargs=kwargs,
        **more,
    )


def _texts(rules: DataRules) -> list[Check]:
    length = f"texts have {rules.min_chars:,} to {rules.max_chars:,} characters"
    return [
        _row_check(
            "text_present",
            rules.text_present,
            VALUES_IN_SET,
            "every row has a text",
            kwargs=_true("text_present"),
        ),
        _row_check(
            "text_not_blank",
            rules.text_not_blank,
            VALUES_IN_SET,
            "no text is blank",
            kwargs=_false("text_blank"),
        ),
        _row_check(
            "text_length",
            rules.text_length,
            VALUES_BETWEEN,
            length,
            kwargs={"column": "chars", "min_value": rules.min_chars, "max_value": rules.max_chars},
        ),
        _row_check(
            "text_quality",
            rules.text_quality,
            VALUES_IN_SET,
            "no replacement or control characters, no misread UTF-8",
            kwargs=_false("text_damaged"),
        ),
        _row_check(
            "single_split",
            rules.single_split,
            VALUES_IN_SET,
            "no text stands in two splits as given",
            kwargs=_false("in_two_splits"),
        ),
    ]


def _targets(rules: DataRules, head: str, spec: HeadSpec) -> list[Check]:
    checks = [
        _row_check(
            "labels_known",
            rules.labels_known,
            VALUES_IN_SET,
            "every label is one of the head's",
            kwargs=_false(f"unknown_label:{head}"),
            head=head,
        )
    ]
    if spec.kind == "multiclass":
        checks.append(
            _row_check(
                "multiclass_exactly_one",
                rules.multiclass_exactly_one,
                VALUES_BETWEEN,
                "a labelled cell holds exactly one label",
                kwargs={"column": f"count:{head}", "min_value": 1, "max_value": 1},
                head=head,
            )
        )
    checks.append(
        _row_check(
            "one_answer",
            rules.one_answer,
            VALUES_IN_SET,
            "no text has two different answers",
            kwargs=_false(f"conflict:{head}"),
            head=head,
        )
    )
    checks += [
        _row_check(
            "coverage",
            rules.coverage,
            VALUES_BETWEEN,
            f"at least {rules.min_rows_per_split:,} labelled rows",
            "figures",
            kwargs={"column": f"labelled:{head}:{split}", "min_value": rules.min_rows_per_split},
            head=head,
            split=split,
            unit="value",
        )
        for split in SPLITS
    ]
    checks.append(
        _row_check(
            "rows_per_label",
            rules.rows_per_label,
            VALUES_BETWEEN,
            f"every label has at least {rules.min_rows_per_label:,} training rows",
            "labels",
            kwargs={"column": f"train_rows:{head}", "min_value": rules.min_rows_per_label},
            head=head,
            split="train",
            unit="labels",
        )
    )
    for name, rule, column, expected in (
        (
            "informative_labels",
            rules.informative_labels,
            "varies",
            "no label applies to all or no training rows",
        ),
        (
            "unseen_labels",
            rules.unseen_labels,
            "seen",
            "labels of validation and test rows stand in training rows",
        ),
    ):
        checks.append(
            _row_check(
                name,
                rule,
                VALUES_IN_SET,
                expected,
                "labels",
                kwargs=_true(f"{column}:{head}"),
                head=head,
                split="train",
                unit="labels",
            )
        )
    checks.append(
        _row_check(
            "two_answers",
            rules.two_answers,
            VALUES_BETWEEN,
            "training rows hold at least two different answers",
            "figures",
            kwargs={"column": f"answers:{head}", "min_value": 2},
            head=head,
            split="train",
            unit="value",
        )
    )
    return checks


def _figures(rules: DataRules, present: Collection[str]) -> list[Check]:
    return [
        Check(
            rule=name,
            expected=f"{expected}: at most {rule.tolerance:.3g} of all",
            severity=rule.severity,
            tolerance=rule.tolerance,
            table="figures",
            type=VALUES_BETWEEN,
            kwargs={"column": f"{name}_share", "max_value": rule.tolerance},
            unit="value",
            warn_above=0.0,
            skipped=None if f"{name}_share" in present else NOT_LOOKED_FOR[name],
        )
        for name, rule, expected in (
            ("near_duplicates", rules.near_duplicates, "texts almost equal to one of another split"),
            ("truncation", rules.truncation, "texts longer than the model reads"),
        )
    ]


def _drift(rules: DataRules, comparisons: Sequence[Drift]) -> list[Check]:
    def check(**known: Any) -> Check:
        return Check(
            rule="drift",
            severity=rules.drift.severity,
            tolerance=0.0,
            table="figures",
            type=VALUES_BETWEEN,
            unit="value",
            **known,
        )

    if all(one.state == "nothing to compare with" for one in comparisons):
        return [check(expected="as in the champion's data", skipped=NOT_LOOKED_FOR["drift"])]
    checks = []
    for one in comparisons:
        what = "labels" if one.head else "text lengths"
        if one.noise_psi is None or one.noise_js is None:
            reason = f"{one.state}: {one.rows:,} rows now, {one.rows_then:,} in the champion's data"
            checks.append(
                check(
                    expected=f"{what} as in the champion's data",
                    head=one.head,
                    split=one.split,
                    skipped=f"{reason}, at least {rules.drift_min_rows:,} are needed",
                )
            )
            continue
        psi, js = figure_names(one)
        for column, name, warn, fail, noise in (
            (psi, "PSI", rules.drift_psi_warn, rules.drift_psi_fail, one.noise_psi),
            (js, "JS", rules.drift_js_warn, rules.drift_js_fail, one.noise_js),
        ):
            # Noise is never drift: the levels rise to it where the rows are few.
            checks.append(
                check(
                    expected=f"{what} as in the champion's data: {name} below {max(fail, noise):.3g}",
                    head=one.head,
                    split=one.split,
                    kwargs={"column": column, "max_value": max(fail, noise), "strict_max": True},
                    warn_above=max(warn, noise),
                )
            )
    return checks


def _extra(name: str, entry: Mapping[str, Any]) -> Check:
    """An expectation of the user's own. What is wrong with its entry is kept in `problem`, with the
    gravest severity where none can be read, so that a slip of the pen never lets data through."""
    problems = [f"`{key}` is not one of {', '.join(EXTRA_KEYS)}" for key in entry if key not in EXTRA_KEYS]
    severity = entry.get("severity", "critical")
    if severity not in get_args(Severity):
        problems.append(f"`severity` is {severity!r}, expected one of {', '.join(get_args(Severity))}")
        severity = "critical"
    tolerance = entry.get("tolerance", 0.0)
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance <= 1:
        problems.append(f"`tolerance` is {tolerance!r}, expected a share between 0 and 1")
        tolerance = 0.0
    table = entry.get("table", "dataset")
    if table not in ("dataset", "observations"):
        problems.append(f"`table` is {table!r}, expected `dataset` or `observations`")
        table = "dataset"
    type_ = entry.get("type")
    if not isinstance(type_, str) or not type_:
        problems.append("`type` is missing: the name of an expectation, such as " + VALUES_NOT_NULL)
        type_ = "expectation without a type"
    kwargs = entry.get("kwargs", {})
    if not isinstance(kwargs, Mapping) or not all(isinstance(key, str) for key in kwargs):
        problems.append("`kwargs` is not a mapping from argument to value")
        kwargs = {}
    if tolerance and "mostly" not in kwargs:
        kwargs = {**kwargs, "mostly": 1.0 - tolerance}
    return Check(
        rule=name,
        expected=type_.removeprefix("expect_").replace("_", " "),
        severity=severity,
        tolerance=float(tolerance),
        table="rows" if table == "observations" else "dataset",
        type=type_,
        kwargs=dict(kwargs),
        problem="; ".join(f"expectations.{name}: {problem}" for problem in problems) or None,
    )


def _true(column: str) -> dict[str, Any]:
    return {"column": column, "value_set": [True]}


def _false(column: str) -> dict[str, Any]:
    return {"column": column, "value_set": [False]}
