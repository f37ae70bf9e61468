"""The table of data rules: what each field of `DataRules` asks of which column, one entry a rule.

To add a rule, add a field to `DataRules` and an entry here. An entry is pure data: `expectations.data.suite`
makes a check of it for each head and split that it is about. No label name and no text stands in an entry:
labels may come from the data, and Great Expectations writes what it is given into its pages unescaped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from expectations.data.check import VALUES_BETWEEN, VALUES_IN_SET, TableName, Unit
from expectations.spec import DataRules
from model.spec import SPLITS, HeadKind

About = Literal["text", "head", "figure", "drift"]
"""`text`: the text of every row. `head`: every head's labels. `figure`: one figure of the whole dataset.
`drift`: every figure of every comparison with the champion's data."""

Asked = tuple[str, Mapping[str, Any]]
"""Name and arguments of a Great Expectations expectation, without its column."""

LANGUAGE_COLUMN = "language_unexpected"
"""Column of `observations` that is there only where languages were detected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleEntry:
    """One rule: which column is looked at, and what is expected of it."""

    name: str
    """Field of `DataRules` with its severity and tolerance."""
    about: About
    expected: str
    """Sentence for people: a format string over `rules` (`DataRules`), `rule` (the field of that name), `split`
    and `languages`."""
    column: str
    """Format string over `head` and `split`; for drift the figure's own name stands in."""
    asks: Callable[[DataRules], Asked]
    """What is expected of the column; for drift the levels are the bounds."""
    table: TableName = "observations"
    unit: Unit = "rows"
    kind: HeadKind | None = None
    """Only heads of this kind; none: all."""
    splits: tuple[str, ...] = ()
    """A check for each of these splits; none: one check."""
    absent: str | None = None
    """Why the column may be missing: the check is then skipped. None: a missing column cannot be evaluated,
    which never counts as met."""
    value_unit: str = ""
    """Unit of the cell that is shown of an offending row."""
    shows_value: bool = False
    """Whether the sentence about offending rows shows the value of one, a label."""
    warn_above: float | None = None
    """Value of a figure above which it is named although it is tolerated."""


def holds(rules: DataRules) -> Asked:
    """Every cell is true."""
    return VALUES_IN_SET, {"value_set": [True]}


def never(rules: DataRules) -> Asked:
    """Every cell is false."""
    return VALUES_IN_SET, {"value_set": [False]}


def between(low: float | None = None, high: float | None = None) -> Asked:
    """Every cell is at least `low` and at most `high`, where given."""
    bounds = {"min_value": low, "max_value": high}
    return VALUES_BETWEEN, {name: bound for name, bound in bounds.items() if bound is not None}


NO_FIGURE = "there is no such figure: no row of the split is labelled for the head, or the dataset is older"

RULES: tuple[RuleEntry, ...] = (
    RuleEntry(
        name="text_present",
        about="text",
        expected="every row has a text",
        column="text_present",
        asks=holds,
    ),
    RuleEntry(
        name="text_not_blank",
        about="text",
        expected="no text is blank",
        column="text_blank",
        asks=never,
    ),
    RuleEntry(
        name="text_length",
        about="text",
        expected="texts have {rules.min_chars:,} to {rules.max_chars:,} characters",
        column="chars",
        asks=lambda rules: between(rules.min_chars, rules.max_chars),
        value_unit="characters",
    ),
    RuleEntry(
        name="text_quality",
        about="text",
        expected="no replacement or control characters, no misread UTF-8",
        column="text_damaged",
        asks=never,
    ),
    RuleEntry(
        name="markup",
        about="text",
        expected="no HTML tags, comments or entities",
        column="text_markup",
        asks=never,
    ),
    RuleEntry(
        name="repeated_text",
        about="text",
        expected="no text stands more than {rules.max_repeats:,} times among the rows",
        column="repeats",
        asks=lambda rules: between(high=rules.max_repeats),
        value_unit="times",
    ),
    RuleEntry(
        name="single_split",
        about="text",
        expected="no text stands in two splits as given",
        column="in_two_splits",
        asks=never,
    ),
    RuleEntry(
        name="language",
        about="text",
        expected="texts are in the expected languages: {languages}"
        " (of {rules.language_sample:,} sampled, seed {rules.language_seed})",
        column=LANGUAGE_COLUMN,
        asks=never,
        unit="texts",
        absent="no language is expected (`expectations.languages`)",
    ),
    RuleEntry(
        name="labels_known",
        about="head",
        expected="every label is one of the head's",
        column="unknown_label:{head}",
        asks=never,
        shows_value=True,
    ),
    RuleEntry(
        name="multiclass_exactly_one",
        about="head",
        kind="multiclass",
        expected="a labelled cell holds exactly one label",
        column="count:{head}",
        asks=lambda rules: between(1, 1),
        value_unit="labels",
    ),
    RuleEntry(
        name="one_answer",
        about="head",
        expected="no text has two different answers",
        column="conflict:{head}",
        asks=never,
    ),
    RuleEntry(
        name="coverage",
        about="head",
        splits=SPLITS,
        expected="at least {rules.min_rows_per_split:,} labelled rows",
        table="figures",
        column="labelled:{head}:{split}",
        asks=lambda rules: between(rules.min_rows_per_split),
        unit="value",
    ),
    RuleEntry(
        name="rows_per_label",
        about="head",
        splits=("train",),
        expected="every label has at least {rules.min_rows_per_label:,} training rows",
        table="labels",
        column="train_rows:{head}",
        asks=lambda rules: between(rules.min_rows_per_label),
        unit="labels",
    ),
    RuleEntry(
        name="informative_labels",
        about="head",
        splits=("train",),
        expected="no label applies to all or no training rows",
        table="labels",
        column="varies:{head}",
        asks=holds,
        unit="labels",
    ),
    RuleEntry(
        name="unseen_labels",
        about="head",
        splits=("train",),
        expected="labels of validation and test rows stand in training rows",
        table="labels",
        column="seen:{head}",
        asks=holds,
        unit="labels",
    ),
    RuleEntry(
        name="look_alike_labels",
        about="head",
        expected="no two labels differ only by case, white space, zero-width or look-alike characters",
        table="labels",
        column="distinct:{head}",
        asks=holds,
        unit="labels",
    ),
    RuleEntry(
        name="two_answers",
        about="head",
        splits=("train",),
        expected="training rows hold at least two different answers",
        table="figures",
        column="answers:{head}",
        asks=lambda rules: between(2),
        unit="value",
    ),
    RuleEntry(
        name="sources_consistent",
        about="head",
        expected="no source gives one text two different answers",
        column="conflict_within:{head}",
        asks=never,
        absent="the dataset does not say where conflicts are: it is older",
    ),
    RuleEntry(
        name="sources_agree",
        about="head",
        expected="no two sources give one text different answers",
        column="conflict_between:{head}",
        asks=never,
        absent="only one source labels this head",
    ),
    RuleEntry(
        name="labelled_share",
        about="head",
        splits=SPLITS,
        expected="at least {rules.min_labelled_share:.3g} of the rows are labelled",
        table="figures",
        column="coverage:{head}:{split}",
        asks=lambda rules: between(rules.min_labelled_share),
        unit="share",
        absent=NO_FIGURE,
    ),
    RuleEntry(
        name="imbalance",
        about="head",
        splits=SPLITS,
        expected="the commonest label is at most {rules.max_imbalance:,g} times as frequent as the rarest",
        table="figures",
        column="imbalance:{head}:{split}",
        asks=lambda rules: between(high=rules.max_imbalance),
        unit="value",
        absent=NO_FIGURE,
    ),
    RuleEntry(
        name="label_entropy",
        about="head",
        splits=SPLITS,
        expected="normalised entropy of the labels is at least {rules.min_normalised_entropy:.3g}",
        table="figures",
        column="normalised_entropy:{head}:{split}",
        asks=lambda rules: between(rules.min_normalised_entropy),
        unit="value",
        absent=NO_FIGURE,
    ),
    RuleEntry(
        name="label_cardinality",
        about="head",
        kind="multilabel",
        splits=SPLITS,
        expected="at least {rules.min_cardinality:.3g} labels a row on average",
        table="figures",
        column="cardinality:{head}:{split}",
        asks=lambda rules: between(rules.min_cardinality),
        unit="value",
        absent=NO_FIGURE,
    ),
    RuleEntry(
        name="label_density",
        about="head",
        kind="multilabel",
        splits=SPLITS,
        expected="at most {rules.max_density:.3g} of all labels on a row on average",
        table="figures",
        column="density:{head}:{split}",
        asks=lambda rules: between(high=rules.max_density),
        unit="share",
        absent=NO_FIGURE,
    ),
    RuleEntry(
        name="labels_in_every_split",
        about="head",
        splits=("validation", "test"),
        expected="every label applies to a {split} row",
        table="labels",
        column="{split}:{head}",
        asks=holds,
        unit="labels",
    ),
    RuleEntry(
        name="near_duplicates",
        about="figure",
        expected="texts almost equal to one of another split: at most {rule.tolerance:.3g} of all",
        table="figures",
        column="near_duplicates_share",
        asks=lambda rules: between(high=rules.near_duplicates.tolerance),
        unit="share",
        absent="near-duplicates were not looked for (`split.near_duplicates: off`)",
        warn_above=0.0,
    ),
    RuleEntry(
        name="truncation",
        about="figure",
        expected="texts longer than the model reads: at most {rule.tolerance:.3g} of all",
        table="figures",
        column="truncation_share",
        asks=lambda rules: between(high=rules.truncation.tolerance),
        unit="share",
        absent="token lengths are not known here: they need the backbone's tokenizer",
        warn_above=0.0,
    ),
    RuleEntry(
        name="drift",
        about="drift",
        expected="as in the champion's data",
        table="figures",
        column="",
        asks=lambda rules: (VALUES_BETWEEN, {"strict_max": True}),
        unit="drift",
        absent="nothing to compare with: there is no champion whose data is known",
    ),
)
"""Every data rule, in the order in which checks are made; those of the heads are made head by head."""
