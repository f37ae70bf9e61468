"""The sentence about the result of a check: what was seen, why it matters, and what to change, last.

`SAYS` has the words of each rule; a rule without an entry is said by what it expects. A sentence stands by
itself: no rule's name in front, the figure in it, the setting by its full path at its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, assert_never

from expectations.data.check import CheckResult, RuleOutcome
from expectations.data.offending_rows import Examples
from expectations.data.tables import Tables
from model.errors import named, places

MOST_LABELS = 3
"""Labels that a sentence names; the others are counted."""


@dataclass(frozen=True, slots=True)
class Says:
    """The words of a rule: format strings over the names that `_fields` gives."""

    seen: str
    why: str
    mend: str
    """What to do about the data."""
    setting: str | None = ""
    """Field of `expectations` that decides how much is too much; empty: the rule's tolerance. None: `mend`
    ends in what to change."""
    how: Literal["raise", "lower"] = "raise"


# A table, one rule under the other.
# fmt: off
SAYS: Mapping[str, Says] = {
    "text_present": Says("{rows} {have} no text{first}", "they are left out of training", "fill them in"),
    "text_not_blank": Says("{rows} {hold} nothing but white space{first}", "they are left out of training",
        "fill them in"),
    "text_length": Says("{rows} {have} fewer than {low:,} or more than {high:,} characters{first}",
        "often the wrong column", "change `min_chars` or `max_chars`"),
    "text_quality": Says("{rows} {hold} damaged characters ({kinds}){first}",
        "the model learns the damage", "name the file's `encoding`"),
    "markup": Says("{rows} {hold} HTML ({kinds}){first}", "the model learns the export", "remove it"),
    "repeated_text": Says("{rows} {hold} a text that stands more than {high:,} times{first}",
        "canned answers drown what people wrote", "remove them", "max_repeats"),
    "single_split": Says("{rows} {hold} a text of two splits{first}",
        "figures on trained texts are too good", "give each text one split"),
    "language": Says("{rows} sampled {are} in another language ({kinds}){first}",
        "the model is not measured on it", "add it to `languages`"),
    "labels_known": Says("{rows} of `{head}` {have} an unlisted label ({value}){first}",
        "they stay unlabelled", "mend it, add it to `heads.{head}.labels`"),
    "multiclass_exactly_one": Says("{rows} of `{head}` {hold} none or several labels ({value}){first}",
        "they stay unlabelled", "mend them, change `heads.{head}.kind`"),
    "one_answer": Says("{rows} of `{head}` {hold} a text with another answer elsewhere{first}",
        "`split.conflicts` decides about them", "mend them"),
    "sources_consistent": Says("{rows} of `{head}` {hold} a text with another answer in its source{first}",
        "its labelling guide is not clear", "settle it"),
    "sources_agree": Says("{rows} of `{head}` {hold} a text with another answer in another source{first}",
        "labelling guides differ", "settle them"),
    "coverage": Says("{value:,.0f} {split} rows are labelled for `{head}`, fewer than {bound:,.0f}",
        "every figure from so few is noise", "label more", "min_rows_per_split", "lower"),
    "rows_per_label": Says("{count:,} of {elements:,} labels of `{head}` {have} fewer than {low:,} training "
        "rows ({counted})", "a model hardly learns them", "add rows", "min_rows_per_label", "lower"),
    "informative_labels": Says("Label {on}", "such labels cannot be learned", "add rows"),
    "labels_in_every_split": Says("{count:,} of {elements:,} labels of `{head}` {are} on no {split} row "
        "({labels})", "nobody knows how well the model finds them", "add such rows"),
    "look_alike_labels": Says("{count:,} of {elements:,} labels of `{head}` hardly differ in writing "
        "({labels})", "they are usually one", "join them by `map`"),
    "two_answers": Says("{value:,.0f} different answers stand in the training rows of `{head}`",
        "one alone cannot be learned", "add rows of another label, or remove `heads.{head}`", None),
    "labelled_share": Says("{value:.2%} of the {split} rows are labelled for `{head}`",
        "a batch hardly ever holds it", "label more", "min_labelled_share", "lower"),
    "imbalance": Says("The commonest label of `{head}` is {value:,.0f} times as frequent as the rarest "
    "in the "
        "{split} rows{note}", "rare labels are hardly learned", "add rows of them", "max_imbalance"),
    "label_entropy": Says("{commonest} of the {split} rows (normalised entropy {value:.2g})",
        "one constant answer is nearly always right", "add rows of other labels",
        "min_normalised_entropy", "lower"),
    "label_cardinality": Says("{value:.3g} labels of `{head}` are on a {split} row on average",
        "the model would learn to answer none", "look whether the labels were read", "min_cardinality",
        "lower"),
    "label_density": Says("{value:.0%} of all labels of `{head}` are on a {split} row on average",
        "flags may be turned round", "look whether the labels were read", "max_density"),
    "unseen_labels": Says("{value:.2%} of the validation and test rows of `{head}` have labels without "
        "training rows{note}", "no model can learn them", "add rows or `drop` them"),
    "near_duplicates": Says("{value:.2%} of the texts are almost equal to one of another split",
        "figures on them are too good", "set `split.near_duplicates: remove`"),
    "truncation": Says("{value:.1%} of the texts of `{head}` are cut{note}",
        "the model never sees what is cut off", "cut them where they matter, or raise `train.max_length`",
        None),
    "unknown_tokens": Says("{value:.1%} of the tokens of `{head}` are unknown to the encoder{note}",
        "it cannot tell such texts apart", "choose an encoder of their language, such as "
        "`FacebookAI/xlm-roberta-base`, by `backbone.name`", None),
    "source_truncation": Says("{value:.1%} of the texts of one source are cut{note}",
        "the model never sees what is cut off", "cut them where they matter, or raise `train.max_length`",
        None),
    "source_unknown_tokens": Says("{value:.1%} of the tokens of one source are unknown to the encoder{note}",
        "it cannot tell such texts apart", "choose an encoder of their language, such as "
        "`FacebookAI/xlm-roberta-base`, by `backbone.name`", None),
    "test_rows_decide": Says(
        "An equally good model passes the margin of `{head}` with a chance of {value:.0%}{note}",
        "the run is likely to end undecided", "label more, or widen `gates.margins.{head}`", "min_chance",
        "lower"),
    "rows_against_champion": Says("`{head}` has {value:.3g} times the champion's labelled rows{note}",
        "a file may be half an export, or another one", "look at the sources",
        "min_rows_against_champion", "lower"),
    "drift": Says("The {moved} moved since the champion was trained ({figure} {value:.3g}, limit {bound:.3g}"
        "{note})", "it may no longer fit them", "look at what is new", "drift"),
}
# fmt: on
"""Rule → its words."""


def explained(result: CheckResult, tables: Tables, examples: Examples) -> CheckResult:
    """The result with its sentence, and `tolerated` in place of `met` where something is to be named.

    Args:
        examples: what `expectations.data.offending_rows.examples` found.
    """
    check = result.check
    if result.outcome == "not looked at":
        return result
    if result.outcome == "could not be evaluated" or result.elements == 0:
        return replace(
            result, outcome="could not be evaluated", reason=_lost(result),
            count=None, elements=None, observed=None,
        )  # fmt: skip
    match check.unit:
        case "value" | "share" | "times" | "drift":
            return _figure(result, tables)
        case "answer":
            return replace(result, reason=_answer(result), count=None, elements=None, observed=None)
        case "rows" | "labels" | "texts":
            return _elements(result, tables, examples.get((check.rule, check.head), ()))
        case _:
            assert_never(check.unit)


def _lost(result: CheckResult) -> str:
    """Why a check could not be evaluated, which never counts as met."""
    check = result.check
    of_head = f" of `{check.head}`" if check.head else ""
    if not result.reason:
        return (
            f"0 {check.unit}{of_head} are there to look at, and nothing never counts as met: label some, or "
            f"look at `expectations.{check.rule}`"
        )
    return (
        f"0 rows{of_head} were judged by `{check.called or check.rule}`, which never counts as met: "
        f"{result.reason}; correct `expectations.{check.rule}`"
    )


def _answer(result: CheckResult) -> str:
    """What a custom function said of the whole table."""
    check = result.check
    returned = f"the function returned {result.outcome == 'met'} for the whole table"
    if result.outcome == "met":
        return returned
    return (
        f"1 table is not as `{check.called}` expects ({check.expected}): {returned}; mend the data, or "
        f"change `expectations.{check.rule}`"
    )


def _elements(result: CheckResult, tables: Tables, found: Sequence[tuple[str, int, str]]) -> CheckResult:
    """A check of many elements, of which some break it, or of a whole column or table."""
    check, count, elements = result.check, result.count, result.elements
    if count is None or not elements:
        name = check.called or check.rule
        said = (
            f"`{name}` was met"
            if result.outcome == "met"
            else f"1 table is not as `{name}` expects: mend the data, or change `expectations.{check.rule}`"
        )
        return replace(result, reason=said, count=None, elements=None, observed=None)
    result = replace(result, observed=count / elements)
    if result.outcome == "met" and not count:
        return replace(result, reason=f"all {elements:,} {check.unit}")
    outcome: RuleOutcome = "tolerated" if result.outcome == "met" else result.outcome
    fields: dict[str, Any] = {
        "rows": f"{count:,} of {elements:,} {check.unit} ({count / elements:.2%})",
        "count": count,
        "have": "has" if count == 1 else "have",
        "hold": "holds" if count == 1 else "hold",
        "are": "is" if count == 1 else "are",
        "elements": elements,
        "first": f", first {places((file, line) for file, line, _ in found)}" if found else "",
        "value": ", ".join(dict.fromkeys(str(value) for *_, value in found if value)) or "not listed",
        "kinds": tables.kinds[check.column or ""].counted() if (check.column or "") in tables.kinds else "",
    }
    if check.table == "labels" and result.rows is not None:
        fields |= _labels(result, tables)
    return _said(replace(result, outcome=outcome), fields, tables.notes.get(check.column or "", ""))


def _labels(result: CheckResult, tables: Tables) -> dict[str, str]:
    """The labels that break a check, with their training rows."""
    check, frame = result.check, tables.frames["labels"]
    assert result.rows is not None
    broken = frame.iloc[result.rows]
    rows = broken[f"train_rows:{check.head}"].fillna(0).astype(int).tolist()
    found = list(zip(map(named, map(str, broken["label"])), rows, strict=True))
    more = f" and {len(found) - MOST_LABELS:,} more" if len(found) > MOST_LABELS else ""
    some = found[:MOST_LABELS]
    every = int(tables.figures.get(f"labelled:{check.head}:train", 0))
    on = [f"all {n:,}" if n else f"none of {every:,}" for _, n in some]
    others = "".join(f", {label} on {rows}" for (label, _), rows in zip(some[1:], on[1:], strict=True))
    return {
        "labels": ", ".join(label for label, _ in some) + more,
        "counted": ", ".join(f"{label} {n:,}" for label, n in some) + more,
        "on": f"{some[0][0]} of `{check.head}` is on {on[0]} training rows{others}{more}",
    }


def _figure(result: CheckResult, tables: Tables) -> CheckResult:
    """A check of one figure."""
    check, value = result.check, tables.figures[str(result.check.column)]
    noted = check.warn_above is not None and value > 0 and value >= check.warn_above
    noted |= check.warn_below is not None and value < check.warn_below
    outcome: RuleOutcome = "tolerated" if result.outcome == "met" and noted else result.outcome
    result = replace(result, outcome=outcome, count=None, elements=None, observed=value)
    note = tables.notes.get(str(check.column), "")
    if outcome == "met":
        return replace(result, reason=_within(result, value) + note)
    hardly = f"One label of `{check.head}` stands on nearly 100%"
    commonest = tables.notes.get(f"commonest:{check.head}:{check.split}", hardly)
    of_head = f" of `{check.head}`" if check.head else ""
    moved = f"{check.expected.split(' as in ')[0]}{of_head} in the {check.split} rows"
    figure = check.figure.split(" (")[0]
    return _said(
        result, {"value": value, "note": note, "commonest": commonest, "moved": moved, "figure": figure}
    )


def _within(result: CheckResult, value: float) -> str:
    """A figure that is as expected, beside its bound."""
    check = result.check
    low, high = check.kwargs.get("min_value"), check.kwargs.get("max_value")
    form = ".2%" if check.unit == "share" else ",.4g"
    plain = f"{value:,.0f}" if check.unit == "value" and float(value).is_integer() else f"{value:{form}}"
    return f"{plain} seen, " + (f"at most {high:{form}}" if low is None else f"at least {low:{form}}")


def _said(result: CheckResult, fields: Mapping[str, Any], sentence: str = "") -> CheckResult:
    """The result with the words of its rule.

    Args:
        sentence: what the merge said, in the place of the rule's own words.
    """
    check = result.check
    low, high = check.kwargs.get("min_value"), check.kwargs.get("max_value")
    bounds = {"low": low, "high": high, "bound": high if low is None else low}
    values = {"note": "", "head": check.head, "split": check.split, **bounds, **fields}
    says = SAYS.get(check.rule) or _plain(result)
    parts = [part.format(**values) for part in (says.seen, says.why, says.mend)]
    said = sentence or f"{parts[0]}: {parts[1]}; {parts[2]}"
    closing = _closing(result, says, bounds["bound"], told=bool(sentence))
    return replace(result, reason=said + closing)


def _closing(result: CheckResult, says: Says, bound: float | None, *, told: bool) -> str:
    """The setting that decides, by its path, with what it is now.

    Args:
        told: the merge has said what to change.
    """
    check, tolerated = result.check, result.outcome == "tolerated"
    if told and (tolerated or check.rule == "one_answer"):  # more of these would be lost without a word
        return ""
    if told:
        return f"; or raise `expectations.{check.rule}.tolerance` (now {check.tolerance:g})"
    if says.setting is None:
        return ""
    if check.rule == "rows_against_champion" and tolerated:
        few = (result.observed or 0.0) < 1
        return f", or {'lower' if few else 'raise'} `expectations.{'few' if few else 'many'}_{check.rule}`"
    if says.setting == "drift":
        level = "warn" if tolerated else "fail"
        return f", or raise `expectations.drift_{str(check.column).split(':')[0]}_{level}`"
    if says.setting:
        return f", or {says.how} `expectations.{says.setting}` (now {bound:g})"
    if tolerated:
        return f"; tolerated by `expectations.{check.rule}.tolerance` (now {check.tolerance:g})"
    return f", or raise `expectations.{check.rule}.tolerance` (now {check.tolerance:g})"


def _plain(result: CheckResult) -> Says:
    """The words of a rule that has none of its own: what it expects, and its advice."""
    check = result.check
    expected, advice = _literal(check.expected), _literal(check.advice or "mend them")
    if check.called:
        seen = f"{{rows}} {{are}} not as `{_literal(check.called)}` expects{{first}}"
        return Says(seen, expected, f"mend them, or change `expectations.{check.rule}`", None)
    if check.unit in ("value", "share", "drift"):
        form = ".2%" if check.unit == "share" else ",.4g"
        return Says(f"{{value:{form}}} was seen{{note}}, not as expected", expected, advice)
    return Says("{rows} {are} not as expected{first}", expected, advice)


def _literal(text: str) -> str:
    """A text in a format string."""
    return text.replace("{", "{{").replace("}", "}}")
