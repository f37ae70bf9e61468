"""The table of data rules, one entry a field of `DataRules`: its column, and what is expected there.

To add a rule, add a field to `DataRules` and an entry here; one that looks at texts in a new way also needs
its pattern in `expectations.data.texts` and its column in `expectations.data.tables`. An entry is pure data:
`expectations.data.suite` makes a check of it for each head and split that it is about. No label name and no
text stands in an entry: labels may come from the data, and Great Expectations writes what it is given into
its pages unescaped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from expectations.data.check import VALUES_BETWEEN, VALUES_IN_SET, TableName, Unit
from expectations.spec import DataRules
from model.bundle.card import HeadKind
from model.spec import SPLITS

About = Literal["text", "head", "figure", "drift"]
"""`text`: the text of every row. `head`: every head's labels. `figure`: one figure of the whole dataset.
`drift`: every figure of every comparison with the champion's data."""

Expectation = tuple[str, Mapping[str, Any]]
"""Name and arguments of a Great Expectations expectation, without its column."""

UNITS: Mapping[TableName, Unit] = {"observations": "rows", "labels": "labels", "figures": "value"}
"""Table → what is counted in it, unless an entry says otherwise."""

LANGUAGE_COLUMN = "language_unexpected"
"""Column of `observations` that is there only where languages were detected."""


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """One rule: which column is looked at, and what is expected of it."""

    name: str
    """Field of `DataRules` with its severity and tolerance."""
    about: About
    expected: str
    """Sentence for people: a format string over `rules` (`DataRules`), `rule` (the field of that name),
    `split` and `languages`."""
    column: str
    """Format string over `head` and `split`; for drift the figure's own name stands in."""
    expects: Callable[[DataRules], Expectation]
    """What is expected of the column; for drift the levels are the bounds."""
    table: TableName = "observations"
    unit: Unit | None = None
    """None: the usual one of the table."""
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
    warn_above: Callable[[DataRules], float] | None = None
    """Value of a figure from which it is named although it is tolerated."""
    warn_below: Callable[[DataRules], float] | None = None
    """Value of a figure below which it is named although it is tolerated."""
    advice: str = ""
    """Ends the sentence about what is named: why it matters, and what to do."""


def holds(rules: DataRules) -> Expectation:
    """Every cell is true."""
    return VALUES_IN_SET, {"value_set": [True]}


def never(rules: DataRules) -> Expectation:
    """Every cell is false."""
    return VALUES_IN_SET, {"value_set": [False]}


def between(low: float | None = None, high: float | None = None) -> Expectation:
    """Every cell is at least `low` and at most `high`, where given."""
    bounds = {"min_value": low, "max_value": high}
    return VALUES_BETWEEN, {name: bound for name, bound in bounds.items() if bound is not None}


NO_FIGURE = "there is no such figure: no row of the split is labelled for the head, or the dataset is older"

NO_SUCH_CELL = "no cell of this kind was read"

NO_TOKENS = "token counts are not known here: they need the backbone's tokenizer, or there are too few texts"
ONE_SOURCE = "only one source has enough texts, or token counts are not known here"
READ_MORE = (
    "the model never sees what is cut off: raise `train.max_length`, or cut the texts where they matter"
)
NO_TRAINING_ROW = (
    "no model can learn a label without training rows: add rows, name another label in the source's "
    "`map`, or `drop` it"
)
NO_LIKE = "no champion serves that answers this head"
NO_CHANCE = "what the gates need is not known here"
ROWS_MOVED = (
    "a file may be half an export, or another one: look at the sources; if it is meant so, change "
    "`expectations.min_rows_against_champion`, `few_rows_against_champion` or `many_rows_against_champion`"
)
OTHER_ENCODER = (
    "all these tokens are one and the same to the encoder, so that it cannot tell such texts apart: choose "
    "an encoder of their language with `backbone`, such as `FacebookAI/xlm-roberta-base` (100 languages)"
)

# A table, one rule under the other: its lines are set by hand.
# fmt: off
RULES: tuple[RuleEntry, ...] = (
    RuleEntry("text_present", "text", "every row has a text", "text_present", holds),
    RuleEntry("text_not_blank", "text", "no text is blank", "text_blank", never),
    RuleEntry("text_length", "text", "texts have {rules.min_chars:,} to {rules.max_chars:,} characters",
        "chars", lambda rules: between(rules.min_chars, rules.max_chars), value_unit="characters"),
    RuleEntry("text_quality", "text", "no replacement or control characters, no misread UTF-8",
        "text_damaged", never),
    RuleEntry("markup", "text", "no HTML tags, comments or entities", "text_markup", never),
    RuleEntry("repeated_text", "text", "no text stands more than {rules.max_repeats:,} times among the rows",
        "repeats", lambda rules: between(high=rules.max_repeats), value_unit="times"),
    RuleEntry("single_split", "text", "no text stands in two splits as given", "in_two_splits", never),
    RuleEntry("language", "text",
        "texts are in the expected languages: {languages} (of {rules.language_sample:,} sampled, seed "
        "{rules.language_seed})",
        LANGUAGE_COLUMN, never, unit="texts", absent="no language is expected (`expectations.languages`)"),
    RuleEntry("labels_known", "head", "every label is one of the head's", "unknown_label:{head}", never,
        shows_value=True),
    RuleEntry("multiclass_exactly_one", "head", "a labelled cell holds exactly one label", "count:{head}",
        lambda rules: between(1, 1), kind="multiclass", value_unit="labels"),
    RuleEntry("labels_stripped", "head", "labels have no blanks at their ends", "labels_stripped:{head}",
        never, absent=NO_SUCH_CELL),
    RuleEntry("number_spellings", "head", "whole numbers are not written as floats",
        "number_spellings:{head}", never, absent=NO_SUCH_CELL),
    RuleEntry("empty_lists", "head", "no cell is an empty list", "empty_lists:{head}", never,
        absent=NO_SUCH_CELL),
    RuleEntry("choices_read", "head", "no cell is an object with choices", "choices_read:{head}", never,
        absent=NO_SUCH_CELL),
    RuleEntry("joined_labels", "head", "no label looks like several, joined", "joined_labels:{head}", never,
        absent=NO_SUCH_CELL),
    RuleEntry("missing_words", "head", "no label looks like a word for a missing one",
        "missing_words:{head}", never, absent=NO_SUCH_CELL),
    RuleEntry("clean_labels", "head", "no label holds what another tool left in it", "clean_labels:{head}",
        never, absent=NO_SUCH_CELL),
    RuleEntry("one_answer", "head", "no text has two different answers", "conflict:{head}", never),
    RuleEntry("coverage", "head", "at least {rules.min_rows_per_split:,} labelled rows",
        "labelled:{head}:{split}", lambda rules: between(rules.min_rows_per_split), splits=SPLITS,
        table="figures"),
    RuleEntry("rows_per_label", "head", "every label has at least {rules.min_rows_per_label:,} training rows",
        "train_rows:{head}", lambda rules: between(rules.min_rows_per_label), splits=("train",),
        table="labels"),
    RuleEntry("informative_labels", "head", "no label applies to all or no training rows", "varies:{head}",
        holds, splits=("train",), table="labels"),
    RuleEntry("unseen_labels", "head",
        "validation and test rows whose labels stand in no training row: at most {rule.tolerance:.3g}",
        "unseen_labels:{head}", lambda rules: between(high=rules.unseen_labels.tolerance), table="figures",
        unit="share", absent=NO_FIGURE, warn_above=lambda rules: 0.0, advice=NO_TRAINING_ROW),
    RuleEntry("look_alike_labels", "head",
        "no two labels differ only by case, white space, look-alike characters or the spelling of a number",
        "distinct:{head}", holds, table="labels"),
    RuleEntry("two_answers", "head", "training rows hold at least two different answers", "answers:{head}",
        lambda rules: between(2), splits=("train",), table="figures"),
    RuleEntry("sources_consistent", "head", "no source gives one text two different answers",
        "conflict_within:{head}", never,
        absent="the dataset does not say where conflicts are: it is older"),
    RuleEntry("sources_agree", "head", "no two sources give one text different answers",
        "conflict_between:{head}", never, absent="only one source labels this head"),
    RuleEntry("labelled_share", "head", "at least {rules.min_labelled_share:.3g} of the rows are labelled",
        "coverage:{head}:{split}", lambda rules: between(rules.min_labelled_share), splits=SPLITS,
        table="figures", unit="share", absent=NO_FIGURE),
    RuleEntry("imbalance", "head",
        "the commonest label is at most {rules.max_imbalance:,g} times as frequent as the rarest",
        "imbalance:{head}:{split}", lambda rules: between(high=rules.max_imbalance), splits=SPLITS,
        table="figures", absent=NO_FIGURE),
    RuleEntry("label_entropy", "head",
        "normalised entropy of the labels is at least {rules.min_normalised_entropy:.3g}",
        "normalised_entropy:{head}:{split}", lambda rules: between(rules.min_normalised_entropy),
        splits=SPLITS, table="figures", absent=NO_FIGURE),
    RuleEntry("label_cardinality", "head", "at least {rules.min_cardinality:.3g} labels a row on average",
        "cardinality:{head}:{split}", lambda rules: between(rules.min_cardinality), kind="multilabel",
        splits=SPLITS, table="figures", absent=NO_FIGURE),
    RuleEntry("label_density", "head", "at most {rules.max_density:.3g} of all labels on a row on average",
        "density:{head}:{split}", lambda rules: between(high=rules.max_density), kind="multilabel",
        splits=SPLITS, table="figures", unit="share", absent=NO_FIGURE),
    RuleEntry("labels_in_every_split", "head", "every label applies to a {split} row", "{split}:{head}",
        holds, splits=("validation", "test"), table="labels"),
    RuleEntry("rows_against_champion", "head",
        "at least {rules.min_rows_against_champion:.3g} times the labelled rows that the champion had",
        "rows_against_champion:{head}", lambda rules: between(rules.min_rows_against_champion),
        table="figures", unit="times", absent=NO_LIKE,
        warn_above=lambda rules: rules.many_rows_against_champion,
        warn_below=lambda rules: rules.few_rows_against_champion, advice=ROWS_MOVED),
    RuleEntry("test_rows_decide", "head",
        "an equally good model passes its margin with a chance of at least {rules.min_chance:.3g}",
        "test_rows_decide:{head}", lambda rules: between(rules.min_chance), table="figures", unit="share",
        absent=NO_CHANCE),
    RuleEntry("near_duplicates", "figure",
        "texts almost equal to one of another split: at most {rule.tolerance:.3g} of all",
        "near_duplicates_share", lambda rules: between(high=rules.near_duplicates.tolerance),
        table="figures", unit="share",
        absent="near-duplicates were not looked for (`split.near_duplicates: off`)",
        warn_above=lambda rules: 0.0),
    RuleEntry("truncation", "head",
        "texts longer than the model reads: at most {rule.tolerance:.3g} in every split",
        "truncation:{head}", lambda rules: between(high=rules.truncation.tolerance), table="figures",
        unit="share", absent=NO_TOKENS, warn_above=lambda rules: rules.truncation_warn, advice=READ_MORE),
    RuleEntry("unknown_tokens", "head",
        "tokens that the encoder does not know: at most {rule.tolerance:.3g} in every split",
        "unknown_tokens:{head}", lambda rules: between(high=rules.unknown_tokens.tolerance),
        table="figures", unit="share", absent=NO_TOKENS,
        warn_above=lambda rules: rules.unknown_tokens_warn, advice=OTHER_ENCODER),
    RuleEntry("source_truncation", "figure",
        "texts of any source longer than the model reads: at most {rule.tolerance:.3g}",
        "source_truncation", lambda rules: between(high=rules.source_truncation.tolerance),
        table="figures", unit="share", absent=ONE_SOURCE, advice=READ_MORE),
    RuleEntry("source_unknown_tokens", "figure",
        "tokens of any source that the encoder does not know: at most {rule.tolerance:.3g}",
        "source_unknown_tokens", lambda rules: between(high=rules.source_unknown_tokens.tolerance),
        table="figures", unit="share", absent=ONE_SOURCE, advice=OTHER_ENCODER),
    RuleEntry("drift", "drift", "as in the champion's data", "",
        lambda rules: (VALUES_BETWEEN, {"strict_max": True}), table="figures", unit="drift",
        absent="nothing to compare with: there is no champion whose data is known"),
)
# fmt: on
"""Every data rule, in the order in which checks are made; those of the heads are made head by head."""
