"""What is expected of one dataset, as a list of checks: each a Great Expectations expectation by name.

Pure: from the rules, the heads and the columns that are there. Does not know how a check is evaluated
(`expectations.data.gx`), nor where the tables come from (`expectations.data.tables`).

No label name and no text stands in a check that the rules make: labels may come from the data, and
Great Expectations writes what it is given into its pages unescaped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from expectations.data.check import VALUES_BETWEEN, VALUES_IN_SET, Check, is_false, is_true, row_check
from expectations.data.custom_checks import own_check
from expectations.data.drift import Drift, figure_names
from expectations.data.head_rules import head_checks
from expectations.data.language import Languages
from expectations.data.vocabulary import SUBJECT
from expectations.spec import DataRules
from model.spec import HeadSpec

NOT_LOOKED_FOR = {
    "near_duplicates": "near-duplicates were not looked for (`split.near_duplicates: off`)",
    "truncation": "token lengths are not known here: they need the backbone's tokenizer",
    "language": "no language is expected (`expectations.languages`)",
    "drift": "nothing to compare with: there is no champion whose data is known",
}
"""Rule → why its figure may be missing."""


def build_suite(
    rules: DataRules,
    heads: Mapping[str, HeadSpec],
    columns: Mapping[str, Collection[str]],
    *,
    drift: Sequence[Drift] = (),
    languages: Languages | None = None,
) -> tuple[Check, ...]:
    """All checks, in the order of `DataRules`.

    Args:
        columns: table → names of its columns. A figure that is not there is skipped and says why.
        drift: comparisons with the champion's data; their figures stand in `figures` under
            `expectations.data.drift.figure_names`.
    """
    checks = [*_texts(rules), _language(rules, languages or Languages(skipped=NOT_LOOKED_FOR["language"]))]
    for head, spec in heads.items():
        checks += head_checks(rules, head, spec, columns)
    checks += _figures(rules, columns.get("figures", ()))
    checks += _drift(rules, drift)
    checks += (own_check(f"extra[{at}]", entry) for at, entry in enumerate(rules.extra))
    return tuple(checks)


def _texts(rules: DataRules) -> list[Check]:
    length = f"texts have {rules.min_chars:,} to {rules.max_chars:,} characters"
    return [
        row_check(
            "text_present",
            rules.text_present,
            VALUES_IN_SET,
            "every row has a text",
            kwargs=is_true("text_present"),
        ),
        row_check(
            "text_not_blank",
            rules.text_not_blank,
            VALUES_IN_SET,
            "no text is blank",
            kwargs=is_false("text_blank"),
        ),
        row_check(
            "text_length",
            rules.text_length,
            VALUES_BETWEEN,
            length,
            kwargs={"column": "chars", "min_value": rules.min_chars, "max_value": rules.max_chars},
        ),
        row_check(
            "text_quality",
            rules.text_quality,
            VALUES_IN_SET,
            "no replacement or control characters, no misread UTF-8",
            kwargs=is_false("text_damaged"),
        ),
        row_check(
            "markup",
            rules.markup,
            VALUES_IN_SET,
            "no HTML tags, comments or entities",
            kwargs=is_false("text_markup"),
        ),
        row_check(
            "repeated_text",
            rules.repeated_text,
            VALUES_BETWEEN,
            f"no text stands more than {rules.max_repeats:,} times among the rows",
            kwargs={"column": "repeats", "max_value": rules.max_repeats},
        ),
        row_check(
            "single_split",
            rules.single_split,
            VALUES_IN_SET,
            "no text stands in two splits as given",
            kwargs=is_false("in_two_splits"),
        ),
    ]


def _language(rules: DataRules, languages: Languages) -> Check:
    named = ", ".join(rules.languages)
    return row_check(
        "language",
        rules.language,
        VALUES_IN_SET,
        f"texts are in {named} (of {rules.language_sample:,} sampled, seed {rules.language_seed})"
        if named
        else "texts are in the languages expected",
        kwargs=is_false("language_unexpected"),
        unit="texts",
        skipped=languages.skipped,
        problem=languages.problem,
    )


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
        what = "labels" if one.head else "words" if one.subject == SUBJECT else "text lengths"
        if one.excess is not None and one.noise_unseen is not None:
            high = max(rules.drift_unseen_fail, one.noise_unseen)
            checks.append(
                check(
                    expected="words as in the champion's data: of those that its training texts do not hold "
                    f"less than {high:.3g} more than in texts that it was not trained on",
                    split=one.split,
                    kwargs={"column": figure_names(one)[2], "max_value": high, "strict_max": True},
                    warn_above=max(rules.drift_unseen_warn, one.noise_unseen),
                )
            )
            continue
        if one.noise_psi is None or one.noise_js is None:
            checks.append(
                check(
                    expected=f"{what} as in the champion's data",
                    head=one.head,
                    split=one.split,
                    skipped=_why_not_compared(one, rules),
                )
            )
            continue
        psi, js, _ = figure_names(one)
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


def _why_not_compared(one: Drift, rules: DataRules) -> str:
    if one.state == "too few rows":
        seen = f"{one.rows:,} rows now, {one.rows_then:,} in the champion's data"
        return f"{one.state}: {seen}, at least {rules.drift_min_rows:,} are needed"
    if one.state == "too few words":
        return f"{one.state}: at least {rules.drift_min_tokens:,} are needed on either side"
    return one.state
