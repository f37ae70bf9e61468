"""Two projects run by themselves for an hour on schedules of five minutes, while parts of them are killed.

    python -m tests.campaigns.hour --folder FOLDER        # kept there, to be looked at
    python -m tests.campaigns.hour --minutes 20 --seed 3

Two configurations share a state folder and a `headgate up`. Each is validated and retrained on its own
minute; new rows come before every other retraining. Every one to two minutes the server, the worker, an
endpoint, a run that goes on, or `up` itself is ended by `kill -9`. A client asks both endpoints all the time.
At the end nobody kills any more, and what has to be there is looked at: in Prefect, in the state folder, in
every log. --quick: three minutes, a retraining each minute.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

from serving.process import control
from tests.support.asked import Asked
from tests.support.contract import Report, Size, run
from tests.support.measures import Measure, aligned, at_least, at_most, measure_table
from tests.support.run_record import Ran, at_once, read_runs, tracebacks
from tests.support.running_group import Up, kill, until
from tests.support.tiny_project import deployed_config, write_rows

GOAL = "every run ends as expected, no traceback, endpoints answer, no two runs of a project at once"
QUICK_S, WHOLE_S = 330, 4000
SIZES = {"minutes": Size(60, 3, "minutes of schedules and kills")}
NAMES = ("garden", "kitchen")
VICTIMS = ("server", "worker", "run", "run and its children", "endpoint", "up")
WEIGHTS = (2, 2, 3, 2, 3, 1)
FINE = {"retrain": {"Deployed", "Unchanged"}, "validate": {"Accepted"}}
"""How a run ends that nobody hurt."""
HURT = {"Crashed", "Cancelled"}
"""How one may end, too, whose process, worker or server was killed."""
PATIENCE_S = 900.0
"""Longest wait for all to run again, or for the last runs to end, in seconds: a machine may be busy."""
BACK_S = 60.0
"""Longest that an endpoint may be gone after it was killed, in seconds."""


@dataclass(slots=True)
class Kills:
    """What was killed, when."""

    server: list[tuple[float, float]] = field(default_factory=list)
    """(Killed, everything runs again): what went on meanwhile was hurt."""
    runs: dict[str, float] = field(default_factory=dict)
    """Id of a run → when its process was killed."""
    count: Counter[str] = field(default_factory=Counter)

    def hurt(self, one: Ran) -> bool:
        """Whether it had anything to suffer."""
        if one.id in self.runs:
            return True
        end = one.end or time.time()
        return any(begin - 30 < end and one.due < back + 30 for begin, back in self.server)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Place and order."""
    parser.add_argument("--folder", type=Path, help="where to work; kept. By default a temporary folder")
    parser.add_argument("--seed", type=int, default=0, help="of what is killed, and when")


def measure(options: argparse.Namespace) -> Report:
    """The hour."""
    with tempfile.TemporaryDirectory(prefix="headgate-hour-") as made:
        place = options.folder or Path(made)
        place.mkdir(parents=True, exist_ok=True)
        configs = [_project(place, name, number, options.quick) for number, name in enumerate(NAMES)]
        group = Up(place, tuple(config.name for config in configs))
        asked = Asked([group.home.endpoints / f"{name}.json" for name in NAMES])
        try:
            until(group.ready, "deployments and worker", PATIENCE_S)
            with asked:
                kills = _hour(group, asked, options.minutes * 60, random.Random(options.seed))
                _until_all(group, "everything at the end")
                _until_quiet(group)
            last = {name: group.on_server("retrain", f"{name}.yaml") for name in NAMES}
            status = group.tell("status")
            ran = read_runs(group)
        finally:
            code = group.end()
            for name in NAMES:
                control.stop(group.home.endpoints / f"{name}.json", wait_s=5)
        ours, others = tracebacks([*group.home.logs.rglob("*.log"), place / "up.log"])
    texts = [one.stdout + one.stderr for one in last.values()]
    sound = sum(done.returncode == 0 for done in last.values()) + (status.returncode == 0) + (code == 0)
    return _report(ran, kills, asked, (ours, others), {"sound": sound, "of": len(NAMES) + 2, "said": texts})


def _hour(group: Up, asked: Asked, seconds: float, dice: random.Random) -> Kills:
    """New rows and kills, for so many seconds."""
    kills, week = Kills(), dict.fromkeys(NAMES, 0)
    ends, next_rows, next_kill = time.time() + seconds, 0.0, time.time() + 60
    while time.time() < ends:
        if time.time() >= next_rows:
            name = dice.choice(NAMES)
            week[name] += 1
            write_rows(group.folder / f"{name}.csv", week[name])
            next_rows = time.time() + dice.uniform(60, 300) * min(1.0, seconds / 1800)
        if time.time() >= next_kill and ends - time.time() > 60:
            _kill(group, asked, kills, dice)
            next_kill = time.time() + dice.uniform(45, 120)
        time.sleep(1)
    return kills


def _kill(group: Up, asked: Asked, kills: Kills, dice: random.Random) -> None:
    """End something by `kill -9`, and wait until all runs again."""
    what, began = dice.choices(VICTIMS, WEIGHTS)[0], time.time()
    parts, runs = group.parts(), group.runs()
    name = dice.choice(NAMES)
    endpoint = control.status(group.home.endpoints / f"{name}.json")
    if what.startswith("run") and runs:
        run_id = dice.choice(sorted(runs))
        kills.runs[run_id] = began
        kill(runs[run_id], whole=what != "run")
    elif what == "endpoint" and endpoint is not None:
        asked.excuse(name, BACK_S)
        kill(psutil.Process(endpoint.pid))
    elif what in ("server", "worker") and what in parts:
        kill(psutil.Process(parts[what]), whole=False)
    elif what == "up":
        group.process.kill()
        group.process.wait()
        group.start_again()
    else:
        return
    kills.count[what] += 1
    time.sleep(2)
    _until_all(group, f"everything after the kill of {what}")
    if what in ("server", "worker", "up"):
        kills.server.append((began, time.time()))
    print(f"  {time.strftime('%T')} {what} killed; all runs after {time.time() - began:.0f} s", flush=True)


def _until_all(group: Up, what: str) -> None:
    """Until all runs that should. The server is asked first: the command takes its time."""
    until(lambda: group.ready() and group.check().returncode == 0, what, PATIENCE_S)


def _until_quiet(group: Up) -> None:
    """Until what was begun has ended: the schedules are taken off first."""
    assert group.on_server("schedule", "--remove", *group.configs).returncode == 0
    until(lambda: not group.runs(), "end of the last runs", PATIENCE_S)


def _project(place: Path, name: str, number: int, quick: bool) -> Path:
    """Two of one encoder with rows of their own, in one folder; never both in one minute."""
    config = deployed_config(place, name)
    raw = yaml.safe_load(config.read_text(encoding="utf-8"))
    (place / "rows.csv").unlink()
    raw["sources"]["rows"]["path"] = f"{name}.csv"
    write_rows(place / f"{name}.csv", 0)
    minutes = "*" if quick else f"{number}-59/5"
    raw["schedule"] = {
        "cron": f"{minutes} * * * *",
        "validate_cron": None if quick else f"{number + 2}-59/5 * * * *",
    }
    raw["deploy"]["workers"] = 1 + number
    config.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return config


def _report(
    ran: list[Ran],
    kills: Kills,
    asked: Asked,
    traces: tuple[list[str], list[str]],
    end: dict[str, object],
) -> Report:
    ends: Counter[tuple[str, str, str]] = Counter()
    surprises = []
    for one in ran:
        hurt = kills.hurt(one)
        ends[one.flow, one.state, "hurt" if hurt else ""] += 1
        if one.state not in FINE[one.flow] and not (hurt and one.state in HURT):
            surprises.append(f"{one.name} ({one.flow}), hurt: {hurt}: {one.state}: {one.message[:300]}")
    together = at_once(ran, kills.runs)
    for line in (*surprises, *together, *traces[0], *traces[1], *asked.gaps):
        print(f"  {line}", file=sys.stderr)
    if end["sound"] != end["of"]:
        print(f"  at the end: {end['said']}", file=sys.stderr)
    rows = [("flow", "ended", "", "runs"), *((*key, str(number)) for key, number in sorted(ends.items()))]
    measures = [
        Measure("runs", len(ran), "", at_least(1)),
        *(Measure(f"killed: {what}", number) for what, number in sorted(kills.count.items())),
        Measure("runs that ended otherwise than expected", len(surprises), "", at_most(0)),
        Measure("pairs of runs of one deployment at once", len(together), "", at_most(0)),
        Measure("tracebacks with a line of Headgate", len(traces[0]), "", at_most(0)),
        Measure("tracebacks of libraries alone", len(traces[1])),
        Measure("questions to the endpoints", asked.count, "", at_least(1)),
        Measure("of these without an answer, endpoint not killed", asked.unanswered, "", at_most(0)),
        Measure("longest that a killed endpoint was gone", asked.longest_s, "s", at_most(BACK_S)),
        Measure("commands at the end that were right", int(str(end["sound"])), "", at_least(len(NAMES) + 2)),
    ]
    return Report(measures, f"{aligned(rows, right=(3,))}\n{measure_table(measures)}")


if __name__ == "__main__":
    sys.exit(run(measure))
