"""What is expected of one head: its labels, its answers, and how both are distributed over the splits.

Pure. No label name stands in a check: labels may come from the data.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from expectations.data.check import (
    VALUES_BETWEEN,
    VALUES_IN_SET,
    Check,
    figure_check,
    is_false,
    is_true,
    row_check,
)
from expectations.spec import DataRules
from model.spec import SPLITS, HeadSpec

NO_FIGURE = "there is no such figure: no row of the split is labelled for the head, or the dataset is older"
"""Why a figure of a head and split may be missing."""


def head_checks(
    rules: DataRules, head: str, spec: HeadSpec, columns: Mapping[str, Collection[str]]
) -> list[Check]:
    """All checks of one head.

    Args:
        columns: table → names of its columns.
    """
    checks = [
        row_check(
            "labels_known",
            rules.labels_known,
            VALUES_IN_SET,
            "every label is one of the head's",
            kwargs=is_false(f"unknown_label:{head}"),
            head=head,
        )
    ]
    if spec.kind == "multiclass":
        checks.append(
            row_check(
                "multiclass_exactly_one",
                rules.multiclass_exactly_one,
                VALUES_BETWEEN,
                "a labelled cell holds exactly one label",
                kwargs={"column": f"count:{head}", "min_value": 1, "max_value": 1},
                head=head,
            )
        )
    checks.append(
        row_check(
            "one_answer",
            rules.one_answer,
            VALUES_IN_SET,
            "no text has two different answers",
            kwargs=is_false(f"conflict:{head}"),
            head=head,
        )
    )
    checks += [
        row_check(
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
        row_check(
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
    for name, rule, column, split, expected in (
        (
            "informative_labels",
            rules.informative_labels,
            "varies",
            "train",
            "no label applies to all or no training rows",
        ),
        (
            "unseen_labels",
            rules.unseen_labels,
            "seen",
            "train",
            "labels of validation and test rows stand in training rows",
        ),
        (
            "look_alike_labels",
            rules.look_alike_labels,
            "distinct",
            None,
            "no two labels differ only by case, white space, zero-width or look-alike characters",
        ),
    ):
        checks.append(
            row_check(
                name,
                rule,
                VALUES_IN_SET,
                expected,
                "labels",
                kwargs=is_true(f"{column}:{head}"),
                head=head,
                split=split,
                unit="labels",
            )
        )
    checks.append(
        row_check(
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
    return (
        checks
        + _conflicts(rules, head, columns.get("observations", ()))
        + _shares(rules, head, spec, columns.get("figures", ()))
    )


def _conflicts(rules: DataRules, head: str, present: Collection[str]) -> list[Check]:
    """Where two answers of one text come from."""
    return [
        row_check(
            name,
            rule,
            VALUES_IN_SET,
            expected,
            kwargs=is_false(column),
            head=head,
            skipped=None if column in present else absent,
        )
        for name, rule, expected, column, absent in (
            (
                "sources_consistent",
                rules.sources_consistent,
                "no source gives one text two different answers",
                f"conflict_within:{head}",
                "the dataset does not say where conflicts are: it is older",
            ),
            (
                "sources_agree",
                rules.sources_agree,
                "no two sources give one text different answers",
                f"conflict_between:{head}",
                "only one source labels this head",
            ),
        )
    ]


def _shares(rules: DataRules, head: str, spec: HeadSpec, present: Collection[str]) -> list[Check]:
    """Figures of the profile, per split."""
    checks: list[Check] = []
    for split in SPLITS:
        about: dict[str, Any] = {"present": present, "absent": NO_FIGURE, "head": head, "split": split}
        checks += [
            figure_check(
                "labelled_share",
                rules.labelled_share,
                f"coverage:{head}:{split}",
                f"at least {rules.min_labelled_share:.3g} of the rows are labelled",
                low=rules.min_labelled_share,
                **about,
            ),
            figure_check(
                "imbalance",
                rules.imbalance,
                f"imbalance:{head}:{split}",
                f"the commonest label is at most {rules.max_imbalance:,g} times as frequent as the rarest",
                high=rules.max_imbalance,
                **about,
            ),
            figure_check(
                "label_entropy",
                rules.label_entropy,
                f"normalised_entropy:{head}:{split}",
                f"normalised entropy of the labels is at least {rules.min_normalised_entropy:.3g}",
                low=rules.min_normalised_entropy,
                **about,
            ),
        ]
        if spec.kind == "multilabel":
            checks += [
                figure_check(
                    "label_cardinality",
                    rules.label_cardinality,
                    f"cardinality:{head}:{split}",
                    f"at least {rules.min_cardinality:.3g} labels a row on average",
                    low=rules.min_cardinality,
                    **about,
                ),
                figure_check(
                    "label_density",
                    rules.label_density,
                    f"density:{head}:{split}",
                    f"at most {rules.max_density:.3g} of all labels on a row on average",
                    high=rules.max_density,
                    **about,
                ),
            ]
        if split != "train":
            checks.append(
                row_check(
                    "labels_in_every_split",
                    rules.labels_in_every_split,
                    VALUES_IN_SET,
                    f"every label applies to a {split} row",
                    "labels",
                    kwargs=is_true(f"{split}:{head}"),
                    head=head,
                    split=split,
                    unit="labels",
                )
            )
    return checks
