"""The outcome of a gate, `pass`, `fail` or `inconclusive`, with its evidence; and what only a pass can make.

Does not know how evidence is gathered, nor what is done about a verdict.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from model.errors import HeadgateError

_WORD = re.compile(r"[a-z]+[ ,-]")
"""A first word, and no path or name."""

Outcome = Literal["pass", "fail", "inconclusive"]

Comparison = Literal["difference", "better", "not_worse", "ratio", "control", "budget", "floor", "ceiling"]
"""How a finding is compared, the figure `compare`: as a difference against a margin, which must be certainly
above 0 (`better`) or not certainly below the margin (`not_worse`), as a ratio or a control against a limit,
or alone against a budget, a floor or a ceiling."""

Figures = dict[str, float | int | str | None]
"""Named figures behind a finding; `report.verdict_table` says which names a table shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a gate looked at: a head's metric, a latency, a data rule.

    Raises:
        ValueError: the outcome is none of the three, or it is `pass` beside a figure that is not finite:
            such a pass can be neither made nor read back from a file.
    """

    subject: str
    """What was looked at: `emotion`, `p95 of one request`, `labels_known[intent]`."""
    outcome: Outcome
    reason: str
    """One sentence that stands by itself: what was seen and, unless it passed, why that matters and what to
    change, the setting by its full path last."""
    figures: Mapping[str, float | int | str | None] = field(default_factory=dict)
    """Named figures with their unit in the name; `None` where one could not be had."""
    remark: str = ""
    """What a person should know although it does not decide: one sentence, shown beside any outcome."""

    def __post_init__(self) -> None:
        """Refuse an unknown outcome, and a pass beside a figure that is not finite."""
        if self.outcome not in get_args(Outcome):
            raise ValueError(f"{self.subject}: outcome {self.outcome!r}; expected one of {get_args(Outcome)}")
        if self.outcome == "pass":
            for name, figure in self.figures.items():
                if isinstance(figure, float) and not math.isfinite(figure):
                    raise ValueError(
                        f"{self.subject}: {name} is {figure}; a figure that is not finite never passes"
                    )


def said(sentence: str) -> str:
    """A sentence as it stands alone: it begins with a capital, unless with a name or figure."""
    return sentence[:1].upper() + sentence[1:] if _WORD.match(sentence) else sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of a gate with the evidence behind it."""

    gate: str
    """`data`, `accuracy`, `references`, `labels`, `champion`, `slices`, `latency`, `http`, `memory`, or
    `release` for all of them."""
    findings: tuple[Finding, ...]

    @property
    def outcome(self) -> Outcome:
        """`fail` if any finding fails, else `inconclusive` if any is (or nothing was looked at), else
        `pass`. All must pass, so no correction for several tests is needed (intersection–union test:
        Berger 1982, Technometrics 24, 295–300)."""
        outcomes = {finding.outcome for finding in self.findings}
        if "fail" in outcomes:
            return "fail"
        return "pass" if outcomes == {"pass"} else "inconclusive"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it did not pass, one sentence a finding; empty for a pass."""
        if not self.findings:
            return (f"the {self.gate} gate looked at nothing, which is never a pass",)
        return tuple(said(f.reason) for f in self.findings if f.outcome != "pass")

    @property
    def remarks(self) -> tuple[str, ...]:
        """What to know beside the outcome, one sentence a finding that has a remark."""
        return tuple(said(f.remark) for f in self.findings if f.remark)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: gate, outcome, findings. Figures that are not finite become their names, since JSON
        has no numbers for them."""
        findings = []
        for finding in self.findings:
            raw = asdict(finding)
            raw["figures"] = {
                name: str(figure) if isinstance(figure, float) and not math.isfinite(figure) else figure
                for name, figure in finding.figures.items()
            }
            findings.append(raw)
        return {"gate": self.gate, "outcome": self.outcome, "findings": findings}


def verdict_from_json(raw: Mapping[str, Any]) -> Verdict:
    """A `Verdict` from `to_json`. The stored outcome is not read: it follows from the findings."""
    return Verdict(gate=raw["gate"], findings=tuple(Finding(**f) for f in raw["findings"]))


def combine(verdicts: Sequence[Verdict], gate: str = "release", *, required: Sequence[str] = ()) -> Verdict:
    """All findings of all gates as one verdict.

    A gate that looked at nothing, or one of `required` that is not among the verdicts, makes it
    inconclusive: forgetting to look is not a pass.
    """
    findings: list[Finding] = [
        Finding(subject=name, outcome="inconclusive", reason=f"the {name} gate did not run; run it")
        for name in required
        if name not in {verdict.gate for verdict in verdicts}
    ]
    for verdict in verdicts:
        findings += verdict.findings or [
            Finding(subject=verdict.gate, outcome="inconclusive", reason=verdict.reasons[0])
        ]
    return Verdict(gate=gate, findings=tuple(findings))


class NotApproved(HeadgateError):
    """A version was to be approved on a verdict that is not a pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedVersion:
    """A registered version that passed every gate. Deploying takes one of these; `approve` makes it."""

    name: str
    """Registered model."""
    version: int
    """Registered version."""
    bundle_sha256: str
    """Digest of the bundle's manifest: the bytes that were judged."""
    verdict: Verdict

    def __post_init__(self) -> None:
        """Refuse a verdict that is not a pass."""
        if self.verdict.outcome != "pass":
            raise NotApproved(
                f"version {self.version} of {self.name!r} is not approved: the {self.verdict.gate} "
                f"verdict is {self.verdict.outcome}: {'; '.join(self.verdict.reasons)}"
            )
