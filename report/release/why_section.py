"""The first lines of a release page: what became of the version, and why.

Does not know how a verdict came about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from expectations.gates.figures import FindingFigures, verdict_figures
from expectations.verdict import Finding, Verdict
from report.page import Section, badge, join, paragraph, section, subheading, table
from report.release.became import Release
from report.verdict_table import figure_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What became of a version."""

    verdict: Verdict
    name: str
    """Project."""
    version: str
    """`version 3`; `this version` where nothing was registered."""
    serves: bool
    """Whether it was deployed."""
    undone: str
    """Why its deployment was taken back; empty where it was not."""
    champion: str
    """What served when it was judged; empty when nothing did."""
    held: str = ""
    """Why it was not promoted although it passed; empty where it was."""
    unconfirmed: str = ""
    """Why it is not known whether it answers as judged; empty where it is."""
    watched: str = ""
    """What was seen of it while it was watched; empty where it was not."""
    taken_back: str = ""
    """Why it was taken back while it was watched; empty where it was not."""

    @property
    def open_ones(self) -> list[Finding]:
        """What did not pass: failures first, each kind in the order in which it was looked at."""
        return [
            finding
            for outcome in ("fail", "inconclusive")
            for finding in self.verdict.findings
            if finding.outcome == outcome
        ]

    @property
    def _seen(self) -> str:
        return f" {self.watched[:1].upper()}{self.watched[1:]}." if self.watched else ""

    def sentence(self) -> str:
        """What became of the version, in one sentence or two."""
        version, checks = self.version[:1].upper() + self.version[1:], len(self.verdict.findings)
        every = "its one check" if checks == 1 else f"all {checks} checks"
        stays = f"{self.champion[:1].upper() + self.champion[1:]} goes on serving." if self.champion else ""
        stays = stays or "Nothing serves."
        if self.undone:
            return f"{version} passed every check, but its deployment was taken back: {self.undone} {stays}"
        if self.taken_back:
            return f"{version} passed every check, was deployed and taken back: {self.taken_back}. {stays}"
        if self.held:
            return f"{version} passed every check and stays a candidate: {self.held}."
        if self.unconfirmed:
            return f"{version} passed every check and is the champion, but {self.unconfirmed}."
        if self.serves:
            return f"{version} serves: it passed {every}." + self._seen
        if self.verdict.outcome == "pass":
            return f"{version} passed {every} and may serve."
        if not checks:
            return f"{version} does not ship: nothing was checked. {stays}"
        outcomes = [finding.outcome for finding in self.open_ones]
        failed, undecided = outcomes.count("fail"), outcomes.count("inconclusive")
        parts = [f"{failed} failed"] if failed else []
        parts += [f"{undecided} could not be decided"] if undecided else []
        return f"{version} does not ship: of {checks} checks {' and '.join(parts)}. {stays}"

    def next_step(self) -> Markup:
        """What a reader can do now, with the command for it."""
        number = self.version.removeprefix("version ")
        if not number.isdigit():
            return Markup("")
        judge = f"headgate judge {self.name} {number}"
        if self.undone or self.taken_back or self.unconfirmed:
            return Markup("<code>{}</code> says what serves now.").format(f"headgate status {self.name}")
        if self.held:
            return Markup("<code>{}</code> compares it with what serves now.").format(judge)
        if self.serves or self.verdict.outcome == "pass":
            ask = f'headgate predict {self.name} "some text"'
            return Markup("<code>{}</code> asks it.").format(ask)
        if self.verdict.outcome == "inconclusive":
            override = f'headgate promote {self.name} {number} --override "why" --expires 7d'
            return Markup(
                "<code>{}</code> judges it again; <code>{}</code> lets it serve for a while. What would "
                "decide it stands below."
            ).format(judge, override)
        return Markup("change the data or the setting that stands below beside each check, then retrain.")


def ending_of(name: str, verdict: Verdict, became: Release) -> Ending:
    """What terminal, page and registry say of a version."""
    return Ending(
        verdict=verdict,
        name=name,
        version=f"version {became.registered['version']}" if became.registered else "this version",
        serves=bool(became.deployed),
        undone=became.undone,
        held=became.held,
        unconfirmed=became.unconfirmed,
        watched=became.watched,
        taken_back=became.taken_back,
        champion=became.champion,
    )


def why_section(ending: Ending) -> Section:
    """Why it ships, or why not and what to do about it; then what to know besides."""
    if aside := ending.undone or ending.taken_back or ending.held or ending.unconfirmed:
        body: object = paragraph(aside)
    elif not ending.verdict.findings:
        body = join(*map(paragraph, ending.verdict.reasons))
    elif ending.open_ones:
        rows = [[badge(one.outcome), one.subject, one.reason] for one in ending.open_ones]
        body = table(["Verdict", "What", "What was seen, and what to do"], rows, wide=[2])
    else:
        body = join(*map(paragraph, _passed(verdict_figures(ending.verdict))))
    parts = [body]
    if remarked := [finding for finding in ending.verdict.findings if finding.remark]:
        parts.append(subheading("Remarks"))
        said = ([finding.subject, finding.remark] for finding in remarked)
        parts.append(table(["What", "What to know although it does not decide"], said, wide=[1]))
    ships = ending.verdict.outcome == "pass" and not (ending.undone or ending.taken_back or ending.held)
    return section("Why it ships" if ships else "Why it does not ship", join(*parts))


def _passed(findings: Sequence[FindingFigures]) -> Iterator[str]:
    """The checks that came nearest to their limits: one sentence for accuracy, time and memory each."""
    compared = [
        (one.difference.lower + one.limit, one)
        for one in findings
        if one.comparison == "difference" and one.difference.lower is not None and one.limit is not None
    ]
    if compared:
        _, one = min(compared, key=lambda pair: pair[0])
        yield (
            f"Accuracy: every head is within its margin. The nearest to it is {one.subject}, whose "
            f"{one.metric} differs by {_signed(one.difference.value)}, at worst by "
            f"{_signed(one.difference.lower)}; its margin is {_signed(-(one.limit or 0.0))}."
        )
    for one in findings:
        if one.comparison == "ratio" and one.unit == "ms":
            other = one.subject.rpartition(" vs ")[2]
            yield (
                f"Time: it takes {one.difference.value or 0.0:.2f} times as long as the {other}, at most "
                f"{one.limit:g} times is allowed."
            )
        if one.comparison == "budget" and one.difference.upper is not None:
            yield (
                f"Time: {one.subject} is at most {figure_text(one.difference.upper, one.unit)}, the budget "
                f"is {one.limit:,g} {one.unit}."
            )


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"
