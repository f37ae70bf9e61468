"""The champion gate: is each head not worse than that of the version that serves?

The same test as against the baselines (`expectations.gates.comparison`). Knows arrays and rules; does not
know files or bundles.
"""

from __future__ import annotations

from collections.abc import Mapping

from expectations.gates.comparison import compared_head
from expectations.gates.scores import HeadScores
from expectations.spec import GateRules
from expectations.verdict import Finding, Outcome, Verdict
from model.spec import HeadSpec


def judge_champion(
    shared: Mapping[str, HeadScores],
    champion: Mapping[str, HeadScores] | None,
    rules: GateRules,
    heads: Mapping[str, HeadSpec],
    champion_heads: Mapping[str, HeadSpec] | None = None,
) -> Verdict:
    """Each head against the version that serves, on the same rows with the same test.

    Rules for what has no like: without a champion the first model passes here, judged by its baselines
    and floors alone; a head that the champion does not answer, or answers as another kind, passes as
    new; a head that the champion answers and this model does not fails, unless `allow_dropped_heads`.

    Args:
        champion: head → the champion's answers, brought to this model's label order (`load_scores` with
            its card); none when nothing serves yet.
        champion_heads: heads of the champion's card, for what it answers beyond `heads`.

    Raises:
        ValueError: the champion was scored on other rows than the shared model.
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
        finding = compared_head(
            subject,
            head,
            shared.get(name),
            champion.get(name),
            rules,
            rules.champion_margin,
            against="the champion",
        )
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
    return Verdict(gate="champion", findings=tuple(findings))


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
