"""The champion gate: is each head not worse than that of the version that serves?

The same test as against the baselines (`expectations.gates.comparison`), on the test rows that neither model
has seen: this one has seen none, its champion may have, where rows moved between the splits since. A model
looks better on what it was trained on than on what is new, so such rows are left out and counted.

What clients lose with this model needs consent, and shows among the findings (`expectations.contract`). A
renamed label is one label, under both names; rows that the champion answers with a label that is gone are
left out, so that neither is a gain (decision 49).

Knows arrays and rules; does not know files or bundles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expectations.contract.compare import Contract, compare_answers
from expectations.contract.consent import consents_of
from expectations.contract.findings import contract_findings
from expectations.gates.comparison import MOST_NAMED, compared_head
from expectations.gates.scores import HeadScores
from expectations.seen_texts import KEEP_THE_SPLIT, SEEN
from expectations.spec import GateRules
from expectations.verdict import Figures, Finding, Verdict
from model.spec import HeadSpec

TEST_ROWS = "test rows vs champion"
"""Subject of the finding that says on which rows the heads were compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """What is known of the test rows since the champion was trained."""

    version: int | None = None
    """The champion's."""
    new: int | None = None
    """Test rows that were not in its data at all; none where that is not known."""

    @property
    def who(self) -> str:
        """The champion, by its number where that is known."""
        return "the champion" if self.version is None else f"version {self.version}"


NOBODY = Since()
"""Nothing is known of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What the champion answers."""

    heads: Mapping[str, HeadSpec]
    """Heads of its card, under its own names."""
    profile: Mapping[str, Any] | None = None
    """Profile of the data that it was trained on."""

    def contract(self, heads: Mapping[str, HeadSpec], rules: GateRules) -> Contract:
        """What its clients lose and gain with a model that answers `heads`.

        Raises:
            expectations.contract.consent.BadConsent: a consent can't be read.
        """
        return compare_answers(self.heads, heads, consents_of(rules.contract.allow))


def judge_champion(
    shared: Mapping[str, HeadScores],
    champion: Mapping[str, HeadScores] | None,
    rules: GateRules,
    heads: Mapping[str, HeadSpec],
    before: Before | None = None,
    *,
    seen: NDArray[np.bool_] | None = None,
    since: Since = NOBODY,
) -> Verdict:
    """Each head against the version that serves, on the same rows with the same test.

    Rules for what has no like: without a champion the first model passes here, judged by its baselines
    and floors alone; a head that the champion does not answer passes as new; one that it answers as another
    kind is judged without it. What the champion's clients lose fails, unless `gates.contract` consents to it.

    Where it is not known which rows the champion has seen, all are compared. A head that passes there passes
    against a champion that may have had an advantage; one that fails may owe it to that, and is inconclusive.

    Args:
        champion: head → the champion's answers, brought to this model's names and label order
            (`load_scores` with `Contract.counterparts`); none when nothing serves yet.
        before: what the champion answers; by default the heads that were scored, as they are now.
        seen: (N,) whether the champion was trained or calibrated on each test row; none: not known.
        since: what else is known of the test rows.

    Raises:
        ValueError: the champion was scored on other rows than the shared model, or `seen` is of others.
        expectations.contract.consent.BadConsent: a consent can't be read.
    """
    if champion is None:
        reason = "no champion serves yet; the first model is judged by its baselines and floors alone"
        return Verdict(
            gate="champion", findings=(Finding(subject="first model", outcome="pass", reason=reason),)
        )
    before = before or Before(heads={name: heads[name] for name in champion if name in heads})
    contract = before.contract(heads, rules)
    comparable = contract.same_kind(heads)
    findings = []
    for name, head in heads.items():
        subject = f"{name} vs champion"
        if name not in comparable:
            findings.append(Finding(subject=subject, outcome="pass", reason=_no_like(contract, name)))
            continue
        one, other, dropped = _without_dropped(head, shared.get(name), champion.get(name))
        if dropped and one is not None and not one.labelled.any():
            findings.append(_none_left(subject, head, rules, dropped))
            continue
        finding = _on_unseen_rows(subject, head, one, other, rules, seen)
        findings.append(_with_label_note(finding, contract, name, dropped))
    findings += contract_findings(contract, before.profile)
    compared = [champion[name] for name in comparable if name in champion]
    if compared:
        findings.append(_rows_finding(compared[0].targets.shape[0], seen, since))
    return Verdict(gate="champion", findings=tuple(findings))


def _no_like(contract: Contract, name: str) -> str:
    """Why a head is judged without the champion."""
    if name in contract.counterparts:
        was = contract.counterparts[name].kind
        return f"judged without the champion, which answers it as {was}: there is nothing to compare with"
    return "new head: the champion does not answer it, so there is nothing to compare with"


def _without_dropped(
    head: HeadSpec, shared: HeadScores | None, champion: HeadScores | None
) -> tuple[HeadScores | None, HeadScores | None, int]:
    """Both models' answers without the rows that the champion answers with a label that is gone, and how many
    those are. To count them as its errors would make a gain of every label that is taken away.

    A multilabel head has none: there the label's own cells are not compared.
    """
    if shared is None or champion is None or head.kind == "multilabel":
        return shared, champion, 0
    gone = champion.labelled & (champion.decisions < 0)
    if not gone.any():
        return shared, champion, 0
    return (*_fair(head, shared, champion, gone), int(gone.sum()))


def _none_left(subject: str, head: HeadSpec, rules: GateRules, dropped: int) -> Finding:
    reason = (
        f"no labelled test row is left to compare on: the champion answers all {dropped:,} with labels that "
        "are gone from this model"
    )
    figures: Figures = {"metric": head.primary_metric, "compare": "difference", "n": 0}
    figures |= {"margin": rules.champion_margin, "rows_of_gone_labels": dropped}
    return Finding(subject=subject, outcome="inconclusive", reason=reason, figures=figures)


def _fair(
    head: HeadSpec, shared: HeadScores, champion: HeadScores, gone: NDArray[np.bool_]
) -> tuple[HeadScores, HeadScores]:
    """Both without the rows `gone`, and under macro-F1 without labels that have no row then: one counts 0 for
    both models and would hide what the others lose."""
    fair, others = shared.without(gone), champion.without(gone)
    if head.primary_metric != "macro_f1":
        return fair, others
    kept = ~(shared.occurring & ~fair.occurring)
    return fair.of_labels(kept), others.of_labels(kept)


def _rows_finding(rows: int, seen: NDArray[np.bool_] | None, since: Since) -> Finding:
    """On how many of the test rows the heads were compared."""
    if seen is None:
        reason = (
            f"compared on all {rows:,} test rows; on which of them the champion was trained is not known: an "
            "older version of Headgate made it, or the list of its texts is lost, and its dataset is gone. "
            "What passes is sound; what seems worse stays undecided until a version with its list serves"
        )
        figures: Figures = {"metric": "all; which were seen is not known", "n": rows}
        return Finding(subject=TEST_ROWS, outcome="pass", reason=reason, figures=figures)
    gone = int(seen.sum())
    left = rows - gone
    figures = {"metric": f"{left:,} of {rows:,} rows", "n": left, "left_out": gone, "new": since.new}
    if not gone:
        reason = f"compared on all {rows:,} test rows; {since.who} was trained on none of them"
    else:
        reason = (
            f"compared on {left:,} of {rows:,} test rows: {gone:,} are left out, because {since.who} was "
            "trained (or its thresholds were chosen) on them"
        )
    if since.new:
        reason += f"; {since.new:,} of those compared are new since {since.who}"
    remark = reason if gone or since.new else ""
    if left:
        return Finding(subject=TEST_ROWS, outcome="pass", reason=reason, figures=figures, remark=remark)
    reason = f"{reason}; {KEEP_THE_SPLIT}"
    return Finding(subject=TEST_ROWS, outcome="inconclusive", reason=reason, figures=figures)


def without_repeats(remarks: Sequence[str], verdict: Verdict) -> tuple[str, ...]:
    """The remarks on the data, less what the verdict says of the same test rows."""
    told = any(one.subject == TEST_ROWS and one.remark for one in verdict.findings)
    return tuple(one for one in remarks if not (told and SEEN[1:] in one))


def _on_unseen_rows(
    subject: str,
    head: HeadSpec,
    shared: HeadScores | None,
    champion: HeadScores | None,
    rules: GateRules,
    seen: NDArray[np.bool_] | None,
) -> Finding:
    """One head on the rows that the champion has not seen."""
    margin, against = rules.champion_margin, "the champion"
    if shared is None or champion is None or seen is None:
        found = compared_head(subject, head, shared, champion, rules, margin, against=against)
        return found if seen is not None else _without_a_fail(found)
    before = shared.labelled
    gone, rows = int((before & seen).sum()), int(before.sum())
    if gone == 0:
        return compared_head(subject, head, shared, champion, rules, margin, against=against)
    if gone == rows and shared.finite and champion.finite:
        reason = (
            f"None of the {rows:,} labelled test rows of `{subject.removesuffix(' vs champion')}` is left to "
            f"compare on, since the champion was trained on all of them: {KEEP_THE_SPLIT}"
        )
        figures: Figures = {"metric": head.primary_metric, "compare": "difference", "margin": margin}
        figures |= {"n": 0, "left_out": gone}
        return Finding(subject=subject, outcome="inconclusive", reason=reason, figures=figures)
    fair, others = _fair(head, shared, champion, seen)
    lost = len(shared.labels) - len(fair.labels)
    found = compared_head(subject, head, fair, others, rules, margin, against=against)
    note = f"on {rows - gone:,} of {rows:,} labelled test rows; the champion was trained on the others"
    if lost:
        note += f"; {lost:,} labels have no row left and are not compared"
    advice = f"; {KEEP_THE_SPLIT}" if found.outcome == "inconclusive" else ""
    return replace(
        found,
        reason=f"{found.reason} ({note}){advice}",
        figures={**found.figures, "left_out": gone, "labels_without_rows": lost},
    )


def _without_a_fail(finding: Finding) -> Finding:
    """The finding, undecided where it fails by a difference that seen rows may explain."""
    upper = finding.figures.get("upper")
    if finding.outcome != "fail" or not isinstance(upper, float) or not math.isfinite(upper):
        return finding
    reason = (
        f"{finding.reason} (undecided: it is not known on which of these rows the champion was trained, and "
        "on such rows it has an advantage)"
    )
    return replace(finding, outcome="inconclusive", reason=reason)


def _with_label_note(finding: Finding, contract: Contract, name: str, dropped: int) -> Finding:
    """The finding with a note where the champion knows other labels, or calls them otherwise."""
    new = contract.new_labels.get(name, ())
    own = [change for change in contract.lost if change.head == name]
    gone = [change for change in own if change.kind == "label gone"]
    renamed = [change for change in own if change.kind == "label renamed"]
    former = contract.former[name]
    notes = [f"the champion calls it `{former}`"] if former != name else []
    notes += [f"`{one.before}` is compared as `{one.after}`" for one in renamed]
    notes += [f"{len(new):,} new label{'s' if len(new) > 1 else ''}"] if new else []
    if gone:
        rows = "its cells are not compared"
        if contract.counterparts[name].kind == "multiclass":
            rows = f"{dropped:,} rows that the champion answers so are left out"
        named = ", ".join(f"`{change.before}`" for change in gone[:MOST_NAMED])
        more = f" and {len(gone) - MOST_NAMED:,} more" if len(gone) > MOST_NAMED else ""
        notes.append(f"{named}{more} gone from it: {rows}")
    if not notes:
        return finding
    figures: Figures = {"labels_new": len(new), "labels_gone": len(gone), "labels_renamed": len(renamed)}
    return replace(
        finding,
        reason=f"{finding.reason} ({'; '.join(notes)})",
        figures={**finding.figures, **figures, "rows_of_gone_labels": dropped},
    )
