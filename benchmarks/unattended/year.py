"""A year of weeks, one after the other: new rows each week, and in some weeks what happens in a year.

    python -m benchmarks.unattended.year --work FOLDER       # goes on where it was ended

Each week brings new rows; the data are validated, then retrained by `headgate` in processes of their own,
against one Prefect server, on a clock that is a week later each time. Then the same again, with nothing to
do. Somebody is told by HTTP, and a client asks the endpoint all the time. The project is a small one with a
tiny encoder: what is tried is whether it runs alone, not how well it learns; the disk of the quickstart is
counted in `year_disk`. --quick: four weeks.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.contract import Report, Size, run
from tests.support.lone_machine import Machine, Said
from tests.support.measures import Measure, at_most
from tests.support.tiny_encoder import WORDS
from tests.support.tiny_project import deployed_config
from tests.support.told import by_http

GOAL = "every week ends as expected, each ending is told once, no traceback, and the endpoint answers"
QUICK_S, WHOLE_S = 240, 3600
SIZES = {"weeks": Size(52, 4, "weeks that are played")}
TROUBLES = {10: "drift", 20: "bad data", 25: "worse model", 30: "drift", 40: "full disk", 45: "reboot"}
QUICK_TROUBLES = {2: "bad data", 3: "drift", 4: "reboot"}
"""Week → what happens in it. A registry that is away: `tests/release/test_runs.py`."""
WEEK_S = 7 * 86_400
TOPICS = {"weather": WORDS[:4], "food": WORDS[4:8]}
SPLITS = ("train",) * 6 + ("validation",) + ("test",) * 3


@dataclass(slots=True)
class Tally:
    """What is counted over the weeks; kept in a file, so that a run that was ended goes on."""

    week: int = 0
    surprises: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    tracebacks: int = 0
    trained_for_nothing: int = 0
    nothing_s: list[float] = field(default_factory=list)
    asked: int = 0
    unanswered: int = 0
    first_rss: dict[str, int] = field(default_factory=dict)
    last_rss: dict[str, int] = field(default_factory=dict)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where it is kept."""
    parser.add_argument("--work", type=Path, help="folder that it is kept in; a new one by default")


def measure(options: argparse.Namespace) -> Report:
    """Play the weeks."""
    with tempfile.TemporaryDirectory(prefix="headgate-year-") as made, by_http() as somebody:
        place = options.work or Path(made)
        place.mkdir(parents=True, exist_ok=True)
        tally = _load(place)
        os.environ["YEAR_HOOK"] = somebody.url
        config = _project(place) if tally.week == 0 else place / "tiny.yaml"

        def titles() -> list[str]:
            return [str(one["title"]) for one in somebody.messages]

        troubles = QUICK_TROUBLES if options.quick else TROUBLES
        with Machine(config, place) as machine:
            while tally.week < options.weeks:
                _play(machine, tally, troubles.get(tally.week + 1, ""), titles)
                tally.week += 1
                (place / "tally.json").write_text(json.dumps({s: getattr(tally, s) for s in Tally.__slots__}))
            gib = machine.home_bytes() / 2**30
        return Report(_measures(tally, gib, options.quick))


def _play(machine: Machine, tally: Tally, trouble: str, titles: Callable[[], list[str]]) -> None:
    """One week."""
    week = tally.week + 1
    machine.clock(week * WEEK_S)
    write_rows(machine.config.with_name("rows.csv"), week, trouble)
    before = len(titles())
    said = [machine.run("validate")] if trouble != "bad data" else []
    match trouble:
        case "full disk":
            with machine.full_disk():
                said.append(machine.run("retrain"))
            expected = [("Accepted", None), ("Failed", "FAILED")]
        case "reboot":
            machine.crash_in_training()
            machine.reboot()
            said.append(machine.run("retrain"))
            expected = [("Accepted", None), ("Deployed", "deployed")]
        case "bad data":
            said.append(machine.run("retrain"))
            expected = [("Rejected", "rejected")]
        case "worse model":
            said.append(machine.run("retrain"))
            expected = [("Accepted", None), ("Rejected", "rejected")]
        case "drift":
            said.append(machine.run("retrain"))
            expected = [("Accepted", "data drifted"), ("Deployed", "deployed")]
        case _:
            said.append(machine.run("retrain"))
            expected = [("Accepted", None), ("Deployed", "deployed")]
    _compare(tally, week, trouble, said, expected, titles()[before:])
    if expected[-1][0] == "Deployed":
        trainings = machine.trainings()
        again = machine.run("retrain")
        tally.nothing_s.append(again.seconds)
        tally.trained_for_nothing += machine.trainings() - trainings
        _compare(tally, week, "again", [again], [("Unchanged", None)], [])
    asked, unanswered = machine.asked()
    tally.asked, tally.unanswered = tally.asked + asked, tally.unanswered + unanswered
    tally.last_rss = machine.memory()
    tally.first_rss = tally.first_rss or tally.last_rss
    print(f"  week {week} {trouble}: {', '.join(one.end for one in said)}", flush=True)


def _compare(
    tally: Tally,
    week: int,
    what: str,
    said: list[Said],
    expected: list[tuple[str, str | None]],
    titles: list[str],
) -> None:
    for one, (end, _) in zip(said, expected, strict=True):
        if one.end != end:
            tally.surprises.append(
                f"week {week} {what}: {one.flow} ended {one.end}, expected {end}: {one.tail}"
            )
            print(f"  {tally.surprises[-1]}", flush=True)
        tally.tracebacks += "Traceback (most recent" in one.text
    wanted = [told for _, told in expected if told is not None]
    found = [title.split(": ", 1)[1].split(",")[0] for title in titles]
    if what != "again" and sorted(found) != sorted(wanted):
        tally.untold.append(f"week {week} {what}: told {found}, expected {wanted}")
        print(f"  {tally.untold[-1]}", flush=True)


def write_rows(path: Path, week: int, trouble: str) -> None:
    """The rows that there are in a week: those of the weeks before, and new ones."""
    dice = random.Random(5)
    usual = 1000 + 20 * week
    more = 800 if trouble == "drift" else 0  # of one topic
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "topic", "split"])
        for number in range(usual + more):
            topic = dice.choice(sorted(TOPICS)) if number < usual else "weather"
            other = next(one for one in TOPICS if one != topic)
            words = dice.choices(TOPICS[topic], k=6) + dice.choices(TOPICS[other], k=2)
            dice.shuffle(words)
            if trouble == "worse model" and SPLITS[number % 10] != "test":
                topic = dice.choice(sorted(TOPICS))
            told = f"{topic}?" if trouble == "bad data" and number % 2 else topic
            text = " ".join(words) + " s" * (number % 3)
            writer.writerow([text, told, SPLITS[number % 10]])


def _project(place: Path) -> Path:
    config = deployed_config(place)
    raw = yaml.safe_load(config.read_text(encoding="utf-8"))
    raw["heads"] = {"topic": {"kind": "multiclass", "labels": sorted(TOPICS)}}
    events = ["rejected", "inconclusive", "deployed", "rolled_back", "drifted", "failed"]
    raw["notify"] = [{"on": events, "url_env": "YEAR_HOOK"}]
    config.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return config


def _load(place: Path) -> Tally:
    try:
        kept: Mapping[str, Any] = json.loads((place / "tally.json").read_text())
    except FileNotFoundError:
        return Tally()
    return Tally(**kept)


def _measures(tally: Tally, gib: float, quick: bool) -> list[Measure]:
    nothing = sorted(tally.nothing_s)
    few = "four weeks" if quick else ""
    grown = [
        Measure(
            f"memory of {part} at the end, by that at first",
            last / tally.first_rss[part],
            "",
            at_most(1.1),
            few,
        )
        for part, last in tally.last_rss.items()
        if tally.first_rss.get(part)
    ]
    return [
        Measure("weeks", tally.week),
        Measure("endings that were not expected", len(tally.surprises), "", at_most(0)),
        Measure("weeks in which not exactly each ending was told", len(tally.untold), "", at_most(0)),
        Measure("tracebacks", tally.tracebacks, "", at_most(0)),
        Measure("questions to the endpoint", tally.asked),
        Measure("of these without an answer, machine up", tally.unanswered, "", at_most(0)),
        Measure("trainings by runs with nothing to do", tally.trained_for_nothing, "", at_most(0)),
        Measure("a run with nothing to do, median", nothing[len(nothing) // 2] if nothing else None, "s"),
        Measure("state folder at the end", gib, "GiB", at_most(10)),
        *grown,
    ]


if __name__ == "__main__":
    sys.exit(run(measure))
