"""What a candidate takes away from clients, as findings of the verdict, and as sentences for whoever is to
consent before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from expectations.contract.compare import Contract
from expectations.contract.consent import Change
from expectations.verdict import Finding

ALLOW = "gates.contract.allow"
"""Field of the configuration that holds consents."""
SUBJECT = "contract"


def contract_findings(contract: Contract, profile: Mapping[str, Any] | None = None) -> Iterator[Finding]:
    """One finding a change: a pass where somebody consented to it, and it says by which line; else a fail.

    Args:
        profile: of the data that the champion was trained on, for how many rows a label had there.
    """
    for change in contract.lost:
        seen = change_said(contract, change, profile)
        if change in contract.consents:
            reason = f"{seen}; `{ALLOW}` consents to it: `{change.line}`"
            yield Finding(subject=f"{SUBJECT}: {change.line}", outcome="pass", reason=reason)
        else:
            reason = f"{seen}, and nobody consented to it: restore it, or add `{change.line}` to `{ALLOW}`"
            yield Finding(subject=f"{SUBJECT}: {change.line}", outcome="fail", reason=reason)


def change_said(contract: Contract, change: Change, profile: Mapping[str, Any] | None = None) -> str:
    """A change as clients see it, with the test rows that a label which is gone had."""
    if change.kind != "label gone" or not profile:
        return change.said
    head = (profile.get("heads") or {}).get(contract.former.get(change.head, change.head)) or {}
    test = (head.get("splits") or {}).get("test") or {}
    rows, count = test.get("labelled"), (test.get("counts") or {}).get(change.before)
    if not isinstance(rows, int) or not isinstance(count, int) or rows <= 0:
        return change.said
    return f"{change.said} (it had {count:,} of {rows:,} test rows when the champion was trained)"


def asks(contract: Contract, profile: Mapping[str, Any] | None = None) -> Iterator[str]:
    """What nobody consented to, one sentence each, with what else it may be."""
    for change in contract.missing:
        if change.kind == "label renamed":  # without consent it is known from the data alone
            yield f"{change.said}: most of its texts bear that name now{_consents(change)}"
        else:
            yield change_said(contract, change, profile) + _consents(change) + _or_renamed(contract, change)


def _consents(change: Change) -> str:
    return f"; `{change.line}` in `{ALLOW}` consents to it"


def _or_renamed(contract: Contract, change: Change) -> str:
    """Where one label goes and one comes, or one head: how to say that it is the same one."""
    if change.kind == "label gone":
        gone = [one for one in contract.lost if one.kind == "label gone" and one.head == change.head]
        come = contract.new_labels.get(change.head, ())
        if len(gone) == 1 and len(come) == 1:
            same = Change("label renamed", change.head, change.before, come[0])
            return f". If it is called `{come[0]}` now, put `{same.line}` there instead"
    if change.kind == "head gone":
        gone = [one for one in contract.lost if one.kind == "head gone"]
        if len(gone) == 1 and len(contract.new_heads) == 1:
            same = Change("head renamed", change.head, after=contract.new_heads[0])
            return f". If it is called `{contract.new_heads[0]}` now, put `{same.line}` there instead"
    return ""


def unused_remarks(contract: Contract) -> list[str]:
    """Consents that name nothing that happens, one sentence each."""
    return [
        f"{ALLOW}: `{change.line}` names nothing that happens between the champion and this run; if it has "
        "happened already, take the line out"
        for change in contract.unused
    ]
