"""The champion gate: is each head not worse than that of the version that serves?

The same test as against the baselines (`expectations.gates.comparison`), on the test rows that neither model
has seen: this one has seen none, its champion may have, where rows moved between the splits since. A model
looks better on what it was trained on than on what is new, so such rows are left out and counted.

Knows arrays and rules; does not know files or bundles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from expectations.gates.comparison import compared_head
from expectations.gates.scores import HeadScores
from expectations.seen_texts import KEEP_THE_SPLIT
from expectations.spec import GateRules
from expectations.verdict import Figures, Finding, Outcome, Verdict
from model.spec import HeadSpec

TEST_ROWS = "test rows vs champion"
"""Subject of the finding that says on which rows the heads were compared."""


def judge_champion(
    shared: Mapping[str, HeadScores],
    champion: Mapping[str, HeadScores] | None,
    rules: GateRules,
    heads: Mapping[str, HeadSpec],
    champion_heads: Mapping[str, HeadSpec] | None = None,
    *,
    seen: NDArray[np.bool_] | None = None,
) -> Verdict:
    """Each head against the version that serves, on the same rows with the same test.

    Rules for what has no like: without a champion the first model passes here, judged by its baselines
    and floors alone; a head that the champion does not answer, or answers as another kind, passes as
    new; a head that the champion answers and this model does not fails, unless `allow_dropped_heads`.

    Where it is not known which rows the champion has seen, all are compared. A head that passes there passes
    against a champion that may have had an advantage; one that fails may owe it to that, and is inconclusive.

    Args:
        champion: head → the champion's answers, brought to this model's label order (`load_scores` with
            its card); none when nothing serves yet.
        champion_heads: heads of the champion's card, for what it answers beyond `heads`.
        seen: (N,) whether the champion was trained or calibrated on each test row; none: not known.

    Raises:
        ValueError: the champion was scored on other rows than the shared model, or `seen` is of others.
    """
    if champion is None:
        reason = "no champion serves yet; the first model is judged by its baselines and floors alone"
        return Verdict(
            gate="champion", findings=(Finding(subject="first model", outcome="pass", reason=reason),)
        )
    known = (
        champion_heads
        if champion_heads is not None
        else {name: heads[name] for name in champion if name in heads}
    )
    findings = []
    for name, head in heads.items():
        subject = f"{name} vs champion"
        if name not in known or known[name].kind != head.kind:
            was = f"answers it as {known[name].kind}" if name in known else "does not answer it"
            reason = f"new head: the champion {was}, so there is nothing to compare with"
            findings.append(Finding(subject=subject, outcome="pass", reason=reason))
            continue
        finding = _on_unseen_rows(subject, head, shared.get(name), champion.get(name), rules, seen)
        findings.append(_with_label_note(finding, head, known[name]))
    for name in sorted(set(known) - set(heads)):
        outcome: Outcome = "pass" if rules.allow_dropped_heads else "fail"
        remedy = (
            "allowed by `gates.allow_dropped_heads`"
            if rules.allow_dropped_heads
            else "its callers would miss the head: configure it again or set `gates.allow_dropped_heads`"
        )
        reason = f"the champion answers {name!r} and this model does not; {remedy}"
        findings.append(Finding(subject=f"{name} vs champion", outcome=outcome, reason=reason))
    compared = [scores for name, scores in champion.items() if name in heads and name in known]
    if compared:
        findings.append(_rows_finding(compared[0].targets.shape[0], seen))
    return Verdict(gate="champion", findings=tuple(findings))


def _rows_finding(rows: int, seen: NDArray[np.bool_] | None) -> Finding:
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
    figures = {"metric": f"{left:,} of {rows:,} rows", "n": left, "left_out": gone}
    if not gone:
        reason = f"compared on all {rows:,} test rows; the champion was trained on none of them"
    else:
        reason = (
            f"compared on {left:,} of {rows:,} test rows: {gone:,} are left out, because the champion was "
            "trained (or its thresholds were chosen) on them"
        )
    if left:
        return Finding(subject=TEST_ROWS, outcome="pass", reason=reason, figures=figures)
    reason = f"{reason}; {KEEP_THE_SPLIT}"
    return Finding(subject=TEST_ROWS, outcome="inconclusive", reason=reason, figures=figures)


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
    fair, others, lost = shared.without(seen), champion.without(seen), 0
    if head.primary_metric == "macro_f1":
        # A label without a row counts 0 for both models and would hide what the others lose.
        kept = ~(shared.occurring & ~fair.occurring)
        lost = int((~kept).sum())
        fair, others = fair.of_labels(kept), others.of_labels(kept)
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


def _with_label_note(finding: Finding, head: HeadSpec, champions: HeadSpec) -> Finding:
    """The finding with a note where the champion knows other labels: its answers were brought to this model's
    by name."""
    gone, new = set(champions.labels) - set(head.labels), set(head.labels) - set(champions.labels)
    if not gone and not new:
        return finding
    notes = [
        f"{len(names)} {word}"
        for names, word in ((new, "new to this model"), (gone, "gone from it"))
        if names
    ]
    return Finding(
        subject=finding.subject,
        outcome=finding.outcome,
        reason=f"{finding.reason} (labels {', '.join(notes)}; compared by name)",
        figures={**finding.figures, "labels_new": len(new), "labels_gone": len(gone)},
    )
