"""Tell whoever wants to know: choose the addresses, fold storms, hand the messages to a process that ends.

A message never ends a run nor holds it up: what can't be told is a line of the log. Does not know apprise
(`flows.notify.deliver`).
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from flows.notify import record as records
from flows.notify.notices import Notice, short
from flows.notify.record import FORGOTTEN_S, Record
from flows.notify.spec import NotifySpec
from model.errors import HeadgateError
from model.files import RecordDamaged, plain_bytes
from release.home import Home
from report.progress import print_line

PROJECT_ROOT = Path(__file__).resolve().parents[2]
"""Where the package `flows` is found."""
FOLDED_S = 3600.0
"""The same event is told at most once in so many seconds."""
GRACE_S = 5.0
"""How long the end of a run waits for the process that delivers; it goes on without it after that."""
LOG = "notify.log"
"""File below the logs that says what was delivered, and what was not."""


class NoAddress(HeadgateError):
    """Where an address should stand there is none, or others may read it. The message holds no address."""

    kind = "usage"


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one message."""

    place: str
    """Where the address stands."""
    ok: bool | None
    """None: nobody has answered yet."""
    why: str = ""
    key: str = ""
    """`Notice.key` of the message."""


def tell(
    home: Home, name: str, notices: Sequence[Notice], *, now: float | None = None, wait_s: float = GRACE_S
) -> None:
    """Tell of `notices`, and of what was folded and is due; what goes wrong is logged, never raised.

    What is told only once is told again later where nobody was known to have got it.

    Args:
        now: the time, in seconds since 1970.
        wait_s: longest wait for the process that delivers, in seconds.
    """
    try:
        known = records.read(home, name)
        if not known.targets:
            return
        with records.changing(home, name) as record:
            due = _due(record, notices, time.time() if now is None else now)
        if due:
            found = deliver(home, record, due, wait_s=wait_s)
            got = {one.key for one in found if one.ok}
            if lost := {notice.key for notice, _ in due if notice.once} - got:
                with records.changing(home, name) as record:
                    for key in lost & set(record.told):
                        record.told[key] = {**record.told[key], "failed": True}
            _say(found)
    except Exception as error:  # whoever is told of a run must not be able to end it
        print_line(f"notify: nobody was told ({type(error).__name__}: {short(str(error))})")


def deliver(
    home: Home, record: Record, due: Sequence[tuple[Notice, int]], *, wait_s: float = GRACE_S
) -> list[Delivered]:
    """Send each notice to the addresses that want it; what became of it after `wait_s` seconds.

    Args:
        due: notice and how often the same was folded.
    """
    jobs, found = list[dict[str, str]](), list[Delivered]()
    for spec in record.specs:
        mine = [(notice, folded) for notice, folded in due if notice.event in spec.on]
        if not mine:
            continue
        try:
            url = address(spec, Path(record.config).parent)
        except NoAddress as error:
            found.append(Delivered(spec.place, False, str(error)))
            continue
        for notice, folded in mine:
            message = {"title": notice.title, "body": notice.body(folded), "event": notice.event}
            message["key"] = notice.key
            jobs.append({"place": spec.place, "url": url, **message})
    return found + (_send(home, jobs, wait_s) if jobs else [])


def address(spec: NotifySpec, base: Path) -> str:
    """The address of a target.

    Raises:
        NoAddress: the variable is not set, or the file can't be read, is empty or not private.
    """
    if spec.url_env is not None:
        if not (url := os.environ.get(spec.url_env, "").strip()):
            raise NoAddress(f"the variable {spec.url_env} is not set where this runs; set it there")
        return url
    path = base / Path(str(spec.url_file)).expanduser()
    try:
        lines = (plain_bytes(path) or b"").decode().split()
        mode = stat.S_IMODE(path.stat().st_mode)
    except (RecordDamaged, OSError, UnicodeDecodeError) as error:
        raise NoAddress(f"{path}: can't be read; write the address there, mode 0600") from error
    if mode & 0o077:
        raise NoAddress(f"{path}: its mode is {mode:04o}, so others may read it; expected 0600")
    if not lines:
        raise NoAddress(f"{path}: empty; write the address there")
    return lines[0]


def _due(record: Record, notices: Sequence[Notice], now: float) -> list[tuple[Notice, int]]:
    """What is to be sent now, and what was folded into it; the record is brought up to date."""
    wanted = {event for spec in record.specs for event in spec.on}
    due = []
    for notice in notices:
        if notice.event not in wanted:
            continue
        before: Mapping[str, Any] = record.told.get(notice.key, {})
        told = notice.once and not before.get("failed")
        if before and (told or now - before["at"] < FOLDED_S):
            folded = before["folded"] + (not notice.once)
            record.told[notice.key] = {**before, "folded": folded, "notice": notice.to_json()}
            continue
        due.append((notice, int(before.get("folded", 0))))
        record.told[notice.key] = {"at": now, "folded": 0, "notice": notice.to_json()}
    for key, told in list(record.told.items()):
        age_s = now - told["at"]
        if told["folded"] and age_s >= FOLDED_S:
            due.append((_from_json(told["notice"]), told["folded"] - 1))
            record.told[key] = {**told, "at": now, "folded": 0}
        elif age_s > FORGOTTEN_S:
            del record.told[key]
    return due


def _from_json(raw: Mapping[str, Any]) -> Notice:
    known = {one.name for one in fields(Notice)}
    return Notice(**{name: value for name, value in raw.items() if name in known})


def _send(home: Home, jobs: list[dict[str, str]], wait_s: float) -> list[Delivered]:
    """Give `jobs` to a process of its own, by its standard input: arguments are seen by others."""
    paths = [str(PROJECT_ROOT), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.notify.deliver", str(home.logs / LOG)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        cwd=home.root,
        start_new_session=True,  # a run that is being ended can still say so
    )
    try:
        out, _ = process.communicate(json.dumps(jobs).encode(), timeout=wait_s)
    except subprocess.TimeoutExpired:
        # It ends by itself, within `flows.notify.deliver.MOST_S`, and logs what came of it.
        assert process.stdout is not None
        process.stdout.close()
        threading.Thread(target=process.wait, daemon=True).start()
        return [Delivered(job["place"], None, key=job["key"]) for job in jobs]
    try:
        answers = zip(jobs, json.loads(out), strict=True)
        return [Delivered(job["place"], one["ok"], one["why"], job["key"]) for job, one in answers]
    except (ValueError, KeyError, TypeError):
        why = f"the process that delivers ended with code {process.returncode}"
        return [Delivered(job["place"], False, why, job["key"]) for job in jobs]


def _say(found: Sequence[Delivered]) -> None:
    for one in found:
        if one.ok is None:
            print_line(f"notify: {one.place} has not answered yet; logs/{LOG} says what comes of it")
        elif not one.ok:
            print_line(f"notify: {one.place}: not delivered: {one.why}")
