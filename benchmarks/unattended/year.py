"""A year of weeks, one after the other: new rows each week, and in some weeks what happens in a year.

    python -m benchmarks.unattended.year --work FOLDER       # goes on where it was ended

Everything that `headgate up` runs is there all the time, and a registry on an MLflow server. Each week brings
new rows; the data are validated, then retrained, then retrained again with nothing to do: runs of the
deployments, by the worker, on a clock that is a week later each time. Drift starts its retraining by itself.
Somebody is told by HTTP, and a client asks the endpoint all the time. The project is a small one with a tiny
encoder: what is tried is whether it runs alone, not how well it learns; the disk of the quickstart is counted
in `year_disk`, the start of a run with nothing to do in `unchanged`. --quick: four weeks, as with --dense.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.contract import Report, Size, run
from tests.support.lone_machine import Machine, Said, registry_port
from tests.support.measures import Measure, at_most
from tests.support.tiny_project import TOPICS, deployed_config, write_rows
from tests.support.told import by_http

GOAL = "every week ends as expected, each ending is told once, no traceback, and the endpoint answers"
QUICK_S, WHOLE_S = 400, 6000
SIZES = {
    "weeks": Size(52, 4, "weeks that are played"),
    "idle": Size(300, 20, "seconds in which nothing runs, at the end"),
}
TROUBLES = {10: "drift", 20: "bad data", 25: "worse model", 30: "drift", 40: "full disk", 45: "reboot"}
TROUBLES |= {48: "registry down"}
DENSE = {2: "bad data", 3: "drift", 4: "reboot", 5: "registry down", 6: "worse model", 7: "full disk"}
"""Week → what happens in it, in a year and with `--dense`."""
WEEK_S = 7 * 86_400
TOLD_S = 30.0
"""Longest wait for a message, in seconds."""
LOADED = 2
"""Weeks until everything was loaded that a week needs: memory is compared with what it was then."""
REST_WEEKS = 10
"""The machine rests after every so many weeks (`Machine.rest`)."""
EXPECTED: dict[str, list[tuple[str, str | None]]] = {
    "": [("Accepted", None), ("Deployed", "deployed")],
    "drift": [("Accepted", "data drifted"), ("Deployed", "deployed")],
    "bad data": [("Rejected", "rejected")],
    "worse model": [("Accepted", None), ("Rejected", "rejected")],
    "full disk": [("Accepted", None), ("Failed", "FAILED")],
    "reboot": [("Accepted", "FAILED"), ("Deployed", "deployed")],
    "registry down": [("Accepted", None), ("Deployed", "deployed")],
}
"""Trouble → how its runs end and what is told. The run that a reboot killed is told of, too."""


@dataclass(slots=True)
class Tally:
    """What is counted over the weeks; kept in a file, so that a run that was ended goes on."""

    week: int = 0
    surprises: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    trained_for_nothing: int = 0
    nothing_s: list[float] = field(default_factory=list)
    asked: int = 0
    unanswered: list[str] = field(default_factory=list)
    first_rss: dict[str, int] = field(default_factory=dict)
    last_rss: dict[str, int] = field(default_factory=dict)
    begun: int = 0
    """Week in which the processes were started: at first, by a reboot, or because the play went on."""
    stretch: tuple[int, dict[str, float]] = (0, {})
    """The longest time that they ran, in weeks, and by how much each grew in it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where it is kept."""
    parser.add_argument("--work", type=Path, help="folder that it is kept in; a new one by default")
    parser.add_argument("--dense", action="store_true", help="everything happens in the first seven weeks")


def measure(options: argparse.Namespace) -> Report:
    """Play the weeks."""
    with tempfile.TemporaryDirectory(prefix="headgate-year-") as made, by_http() as somebody:
        place = options.work or Path(made)
        place.mkdir(parents=True, exist_ok=True)
        tally = _load(place)
        os.environ["YEAR_HOOK"] = somebody.url
        port = _project(place)
        tally.first_rss, tally.begun = {}, tally.week

        def titles() -> list[str]:
            return [str(one["title"]) for one in somebody.messages]

        troubles = DENSE if options.quick or options.dense else TROUBLES
        with Machine("tiny", place, port) as machine:
            while tally.week < options.weeks:
                _play(machine, tally, troubles, titles)
                tally.week += 1
                (place / "tally.json").write_text(json.dumps({s: getattr(tally, s) for s in Tally.__slots__}))
            gib = machine.bytes_kept() / 2**30
            idle = machine.idle_share(options.idle)
        return Report(_measures(tally, gib, idle, options.quick))


def _play(
    machine: Machine, tally: Tally, troubles: Mapping[int, str], titles: Callable[[], list[str]]
) -> None:
    """One week."""
    week = tally.week + 1
    trouble, before = troubles.get(week, ""), len(titles())
    machine.clock(week * WEEK_S)
    drifts = [one for one, what in troubles.items() if what == "drift"]
    write_rows(machine.place / "rows.csv", week, trouble, drifts)
    said = [machine.run("validate")] if trouble != "bad data" else []
    match trouble:
        case "drift":
            said.append(machine.by_drift())
        case "full disk":
            said.append(machine.on_full_disk("retrain"))
        case "reboot":
            machine.crash_in_training()
            tally.first_rss, tally.begun = {}, week
            said.append(machine.run("retrain"))
        case "registry down":
            with machine.registry_away() as leave:
                said.append(machine.run("retrain", leave))
        case _:
            said.append(machine.run("retrain"))
    _compare(tally, f"{week} {trouble}", said, EXPECTED[trouble])
    _told(tally, f"{week} {trouble}", EXPECTED[trouble], lambda: titles()[before:])
    if EXPECTED[trouble][-1][0] == "Deployed":
        trainings = machine.trainings()
        again = machine.run("retrain")
        tally.nothing_s.append(again.seconds)
        tally.trained_for_nothing += len(machine.trainings() - trainings)
        _compare(tally, f"{week} again", [again], [("Unchanged", None)])
    asked, unanswered = machine.asked()
    tally.asked, tally.unanswered = tally.asked + asked, tally.unanswered + unanswered
    if week % REST_WEEKS == 0:
        machine.rest()
    tally.last_rss = machine.memory()
    weeks = week - tally.begun - LOADED
    if weeks >= 0:
        tally.first_rss = tally.first_rss or tally.last_rss
        grown = {part: tally.last_rss.get(part, 0) / size for part, size in tally.first_rss.items()}
        tally.stretch = max(tally.stretch, (weeks, grown), key=lambda one: one[0])
    rss = ", ".join(f"{part} {size / 2**20:.0f}" for part, size in tally.last_rss.items())
    took = ", ".join(f"{one.end} {one.seconds:.0f} s" for one in said)
    print(f"  {time.strftime('%T')} week {week} {trouble}: {took}; MiB: {rss}", flush=True)


def _compare(tally: Tally, what: str, said: list[Said], expected: list[tuple[str, str | None]]) -> None:
    for one, (end, _) in zip(said, expected, strict=True):
        if one.end != end:
            tally.surprises.append(f"week {what}: {one.flow} ended {one.end}, expected {end}: {one.tail}")
            print(f"  {tally.surprises[-1]}", flush=True)
        if (at := one.text.find("Traceback (most recent")) >= 0:
            tally.tracebacks.append(f"week {what}, {one.flow}: {one.text[at : at + 2000]}")
            print(f"  {tally.tracebacks[-1]}", flush=True)


def _told(
    tally: Tally, what: str, expected: list[tuple[str, str | None]], titles: Callable[[], list[str]]
) -> None:
    wanted = sorted(told for _, told in expected if told is not None)
    until = time.monotonic() + TOLD_S
    while len(titles()) < len(wanted) and time.monotonic() < until:
        time.sleep(0.2)
    found = sorted(title.split(": ", 1)[1].split(",")[0] for title in titles())
    if found != wanted:
        tally.untold.append(f"week {what}: told {found}, expected {wanted}")
        print(f"  {tally.untold[-1]}", flush=True)


def _project(place: Path) -> int:
    """The configuration, made where there is none; port of its registry."""
    config = place / "tiny.yaml"
    if config.exists():
        uri = yaml.safe_load(config.read_text(encoding="utf-8"))["registry"]["tracking_uri"]
        return int(uri.rpartition(":")[2])
    raw = yaml.safe_load(deployed_config(place).read_text(encoding="utf-8"))
    raw["heads"] = {"topic": {"kind": "multiclass", "labels": sorted(TOPICS)}}
    events = ["rejected", "inconclusive", "deployed", "rolled_back", "drifted", "failed"]
    raw["notify"] = [{"on": events, "url_env": "YEAR_HOOK"}]
    # By hand, so that a week is as short as its runs; drifts are minutes apart.
    raw["schedule"] = {"cron": None, "validate_cron": None, "cooldown": "1m"}
    config.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return registry_port(config)


def _load(place: Path) -> Tally:
    try:
        kept: Mapping[str, Any] = json.loads((place / "tally.json").read_text())
    except FileNotFoundError:
        return Tally()
    return Tally(**kept)


def _measures(tally: Tally, gib: float, idle: Mapping[str, float], quick: bool) -> list[Measure]:
    nothing, few = sorted(tally.nothing_s), "a few weeks" if quick else ""
    weeks, growth = tally.stretch
    grown = [
        Measure(f"memory of {part}, by that {weeks} weeks before", by, "", at_most(1.1), few)
        for part, by in growth.items()
    ]
    return [
        Measure("weeks", tally.week),
        Measure("endings that were not expected", len(tally.surprises), "", at_most(0)),
        Measure("weeks in which not exactly each ending was told", len(tally.untold), "", at_most(0)),
        Measure("tracebacks", len(tally.tracebacks), "", at_most(0)),
        Measure("questions to the endpoint", tally.asked),
        Measure("of these without an answer, machine up", len(tally.unanswered), "", at_most(0)),
        Measure("trainings by runs with nothing to do", tally.trained_for_nothing, "", at_most(0)),
        Measure("a run with nothing to do, median", nothing[len(nothing) // 2] if nothing else None, "s"),
        Measure("state folder and registry at the end", gib, "GiB", at_most(10)),
        *grown,
        *(Measure(f"idle: {part}", 100 * share, "% of a core") for part, share in idle.items()),
        Measure("idle: all of `headgate up`", 100 * sum(idle.values()), "% of a core", at_most(2)),
    ]


if __name__ == "__main__":
    sys.exit(run(measure))
