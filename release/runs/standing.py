"""How a run's inputs stand to what was judged before: whether there is anything to do, and what is done.

Only what is signed counts: the champion's release names the digest of its inputs, the records of others are
signed too. What can't be compared counts as changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from expectations.verdict import Verdict
from model.errors import HeadgateError
from model.files import unchanged
from model.references import Measured
from release.champion import ChampionRef
from release.home import Home
from release.journal import Entry, Journal
from release.kept_evidence import KeptEvidence, read_evidence
from release.keys import signing_pair
from release.runs.inputs import DATA, Inputs, besides, differences, named
from release.runs.judged import JudgedInputs, find_judged, measured_of
from release.served import SERVES_AGAIN
from release.spec import RegistrySpec
from sources.changed_rows import count_changed_rows

CONSENTS = {"configuration": ["gates.contract.allow"]}
"""Differences that need no training: where the data are the same, clients lose nothing."""

StandingKind = Literal["new", "unchanged", "withdrawn", "decided", "unfinished"]
"""`new`: to be trained. `unchanged`: those of the champion, or nearly. `withdrawn`: those of a version that
was taken out of service. `decided`: those of a candidate that did not pass. `unfinished`: judged, and what
came after was cut short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of a run's inputs before anything is trained."""

    kind: StandingKind
    inputs: Inputs
    said: str
    """One sentence: compared with what, and what differs."""
    besides: tuple[str, ...] = ()
    """What differs from the champion's inputs beside the data, a sentence a part."""
    record: JudgedInputs | None = None
    """What came of these inputs, or of the champion's where they are the same or nearly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A candidate that was judged and whose run went no further."""

    kept: KeptEvidence
    measured: Measured
    verdict: Verdict
    remarks: tuple[str, ...]
    """Of the data."""
    version: int
    """Registered version; 0 for none."""


def standing_of(
    home: Home,
    name: str,
    spec: RegistrySpec,
    inputs: Inputs,
    *,
    champion: ChampionRef | None,
    least_rows: int,
) -> Standing:
    """How the inputs of a run of project `name` stand to what was judged before.

    Args:
        spec: the project's registry, for its keys.
        champion: what serves.
        least_rows: rows of a head that must have changed (`schedule.min_change`).
    """
    _, keys = signing_pair(home, name, spec)
    record = find_judged(home, name, inputs.digest, keys)
    before = find_judged(home, name, champion.inputs, keys) if champion and champion.inputs else None
    if champion is not None and champion.inputs == inputs.digest:
        said = (
            f"compared with version {champion.version}, which serves: data, configuration, backbone, code "
            "and dependencies are the same"
        )
        return Standing(kind="unchanged", inputs=inputs, said=said, record=before)
    entries = () if record is None else Journal(home.journal / f"{name}.jsonl").entries()
    if record is not None and (gone := _withdrawn(entries, record)):
        said = f"version {record.version} was withdrawn on {gone.at[:10]}, and was made of the same inputs"
        return Standing(kind="withdrawn", inputs=inputs, said=said, record=record)
    said, few = _changes(home, champion, before, inputs, least_rows)
    if few:
        return Standing(kind="unchanged", inputs=inputs, said=said, record=before)
    compared_with = "" if champion is None else champion.bundle.sha256
    aside = () if before is None else tuple(besides(before.gathered(), inputs))
    if record is None or record.against != compared_with:
        return Standing(kind="new", inputs=inputs, said=said, besides=aside)
    if record.judged().outcome != "pass" and record.version:
        said = f"version {record.version}, judged on {record.at[:10]}, had the same inputs and champion"
        return Standing(kind="decided", inputs=inputs, said=said, record=record)
    if record.version and any(_later(entry, record.version) for entry in entries):
        return Standing(kind="new", inputs=inputs, said=said)  # it could not be promoted any more
    said = f"judged on {record.at[:16]}, and cut short before it could be shipped: run {record.run}"
    return Standing(kind="unfinished", inputs=inputs, said=said, besides=aside, record=record)


def take_up(home: Home, record: JudgedInputs) -> Unfinished | None:
    """All that a run needs to go on after its verdict; None where some of it is gone or was changed."""
    folder = home.runs / record.run
    try:
        kept = read_evidence(folder, record.scored_bundles)
        measured = measured_of(record, home.root)
        for scores in measured.scores.values():
            unchanged(scores.path, scores.sha256)
        for answers in measured.references.values():
            unchanged(answers.path, answers.sha256)
        for timing in (measured.timing, measured.http):
            unchanged(timing.path, timing.sha256)
    except (HeadgateError, OSError, ValueError, KeyError, TypeError):
        return None
    return Unfinished(
        kept=kept,
        measured=measured,
        verdict=record.judged(),
        remarks=tuple(record.remarks),
        version=record.version,
    )


def _changes(
    home: Home, champion: ChampionRef | None, before: JudgedInputs | None, inputs: Inputs, least_rows: int
) -> tuple[str, bool]:
    """(What differs from the champion's inputs, whether that is too little to do anything)."""
    if champion is None:
        return "nothing serves yet", False
    if before is None:
        return f"what version {champion.version} was made of is not known, which counts as changed", False
    found, rows = differences(before.gathered(), inputs), None
    if found == CONSENTS:
        return f"compared with version {champion.version}: consents alone differ, and nothing is lost", True
    if DATA in found:
        rows = count_changed_rows(
            home.data / Path(before.dataset).name, _dataset(home, inputs), _heads(inputs)
        )
    said = f"changed since version {champion.version}: {named(found, before.gathered(), inputs, rows)}"
    if rows is None or set(found) != {DATA}:
        return said, False
    most = max((count for head, count in rows.items() if head), default=0) or rows[""]
    few = most < least_rows
    return (f"{said}; fewer than schedule.min_change, {least_rows:,}" if few else said), few


def _later(entry: Entry, version: int) -> bool:
    """Whether a newer version than this one was promoted."""
    return entry.event == "promoted" and (entry.version or 0) > version


def _dataset(home: Home, inputs: Inputs) -> Path:
    return home.data / inputs.dataset


def _heads(inputs: Inputs) -> list[str]:
    return [name.removeprefix("head ") for name in inputs.parts[DATA] if name.startswith("head ")]


def _withdrawn(entries: Sequence[Entry], record: JudgedInputs) -> Entry | None:
    """The entry by which a version was taken out of service, where it did not serve since. That another one
    was promoted after it does not withdraw it. Where nothing serves, none was: a first deployment that a
    machine's fault undid is to be tried again."""
    words = [entry.event for entry in entries if entry.event in (*SERVES_AGAIN, "withdrawn")]
    if words[-1:] == ["withdrawn"]:
        return None
    gone: Entry | None = None
    for entry in entries if record.version else ():
        left = entry.former if entry.event in ("rolled back", "restored") else None
        if entry.event in SERVES_AGAIN and entry.version == record.version:
            gone = None
        elif record.version == (entry.version if entry.event == "withdrawn" else left):
            gone = entry
    return gone
