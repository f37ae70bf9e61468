"""Watch a version that was just deployed, by the counts of its endpoint, and go back where it breaks a bound.

What is not known is no verdict: an endpoint that does not answer, that was started again or is busy says
nothing of the version. Whoever rolls back or promotes meanwhile ends the watch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from expectations.live import (
    Allowed,
    Durations,
    HeadAnswers,
    Traffic,
    broken,
    compared_time,
    evident_answers,
)
from model.errors import HeadgateError
from model.faults import fault
from model.files import locked, remove_folder
from release.bake.record import (
    Bake,
    BakeBroken,
    bake_file,
    drop_bake,
    keep_bake,
    plan_bake,
    read_bake,
)
from release.home import Home
from release.journal import Entry, Journal
from release.keys import public_key
from release.moves.rollback import RollbackRefused, roll_back
from release.pointed import serving_version
from release.registry.candidate import ANSWERED_EVIDENCE
from release.registry.client import RegistryProblem
from release.saved_settings import load_settings, state_file
from release.targets.deploy import DeployOutcome
from serving.bearer import read_token
from serving.counts import UP_TO, VersionCounts, added, grown, heads_of, read_counts
from serving.errors import EndpointError, NoAnswer, WrongUsage
from serving.process import control as process
from serving.process.worker import PUBLISH_S
from serving.spec import BakeSpec, DeploySpec
from serving.store.manifest import ReleaseRefused, verify_release
from serving.store.release_folder import ReleaseFolder

POLL_S = 1.0
"""Pause between two looks at the counts, in seconds."""
LEAST_LOOKS = 20
"""Looks at the counts in even the shortest watch."""
KEEP_S = 10.0
"""How much of what was counted a killed watch may have to count again, in seconds."""
GROWTH = 1.25
"""A version is judged again once its requests have grown by this factor: looks at every request would cost
more of the error than they tell."""
FIRST_LOOK = 20
"""Requests before the first judgement, unless the time is over."""

BakeEnd = Literal["passed", "too little", "taken back", "stuck", "left"]
"""`taken back`: the former version serves again. `stuck`: it should be taken back and could not be. `left`:
another version was made to serve meanwhile, or nothing could be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeOutcome:
    """How a watch ended."""

    end: BakeEnd
    version: int
    """Version that was watched."""
    why: str
    """One sentence or more."""
    done: DeployOutcome | None = None
    """How the former version came to serve again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeEvents:
    """What to call while a version is watched."""

    on_change: Callable[[str], None] = lambda line: None
    """With what clients lose and gain when the former version returns, line by line."""
    on_look: Callable[[float, float, float], None] = lambda spent_s, of_s, requests: None
    """After every look: seconds that were watched, of how many, and requests so far."""


def bake(
    home: Home, name: str, *, begun_only: bool = False, events: BakeEvents | None = None
) -> BakeOutcome | None:
    """Watch the version of project `name` whose watch was planned, or go on where a watch was cut short.

    Returns when its time is over or it was taken back; None where nothing is to be watched, or another
    process watches. The version is judged by the rule that was kept.

    Args:
        begun_only: leave a watch that has not begun to whoever deploys.
        events: what to call meanwhile.

    Raises:
        release.pointed.ChampionUnverified: it can't be verified which version serves.
        release.registry.client.RegistryProblem: the registry can't be reached, and nothing went back.
    """
    if not os.path.lexists(bake_file(home, name)):
        return None
    try:
        with locked(home.bake_lock(name), timeout_s=0):
            return _bake(home, name, begun_only, events or BakeEvents())
    except TimeoutError:
        return None


def _bake(home: Home, name: str, begun_only: bool, events: BakeEvents) -> BakeOutcome | None:
    try:
        found = read_bake(home, name)
    except BakeBroken:
        remove_folder(bake_file(home, name))  # whatever stands there
        return None
    if found is None or (begun_only and not found.began):
        return None
    outcome = _Watch(home, name, found, events).run()
    if outcome is not None:
        _note(home, name, outcome)
        fault("bake_journalled")
    drop_bake(home, name)
    return outcome


def _note(home: Home, name: str, outcome: BakeOutcome) -> None:
    entry = Entry(event="watched", version=outcome.version, detail=outcome.why)
    Journal(home.journal / f"{name}.jsonl").append(entry)


class _Watch:
    """One watch, from where its record is.

    Args:
        record: what is known of it.
        events: what to call meanwhile.
    """

    def __init__(self, home: Home, name: str, record: Bake, events: BakeEvents) -> None:
        self._home, self._name, self._record, self._events = home, name, record, events
        self._deploy = load_settings(home, name).deploy
        self._kept_at = 0.0
        self._looked_s = time.monotonic()
        self._seen = False

    def run(self) -> BakeOutcome | None:
        """Watch until the end; None where the version never served."""
        serving = self._serving()
        if not self._record.began and serving != self._record.version:
            return None  # it was not promoted, or its deployment went back
        self._tested = self._test_rows()
        if not self._record.began:
            self._begin()
        while not self._record.broken:
            if (serving := self._serving()) != self._record.version:
                return self._overtaken(serving)
            self._count()
            spent_s = time.time() - self._record.began
            self._events.on_look(spent_s, 60 * self._record.rule.minutes, self._record.requests)
            over = time.time() >= self._record.ends
            self._judge(last=over)
            if self._record.broken:
                break
            if over:
                return self._passed()
            time.sleep(min(POLL_S, 60 * self._record.rule.minutes / LEAST_LOOKS))
        return self._take_back()

    def _serving(self) -> int | None:
        return serving_now(self._home, self._name)

    def _test_rows(self) -> dict[str, HeadAnswers]:
        """What the version answered on its test rows, by its signed record."""
        folder = ReleaseFolder(self._home.releases(self._name), self._name)
        try:
            signed = verify_release(
                folder.version_dir(self._record.version), public_key(self._home, self._name), self._name
            )
        except ReleaseRefused:
            return {}
        found = signed.evidence.get(ANSWERED_EVIDENCE)
        return evident_answers(found) if isinstance(found, dict) else {}

    def _begin(self) -> None:
        if self._deploy.workers > 1:
            time.sleep(2 * PUBLISH_S)  # the golden texts of the deployment are counted by then
        self._record = replace(self._record, began=time.time())
        if (looked := self._look()) is not None:
            self._from_here(*looked)
        self._keep(at_once=True)
        fault("bake_begun")

    def _from_here(self, endpoint: str, counts: Mapping[int, VersionCounts]) -> None:
        """The first look: what was asked of the version before, its golden texts, is no traffic."""
        last = dict(counts.get(self._record.version, {}))
        before = dict(counts.get(self._record.former, {}))
        self._record = replace(self._record, endpoint=endpoint, last=last, before=before)

    def _count(self) -> None:
        """Add what was counted since the last look."""
        looked, now_s = self._look(), time.monotonic()
        if looked is None:
            self._record = replace(self._record, unseen_s=self._record.unseen_s + now_s - self._looked_s)
            self._looked_s = now_s
            return
        self._looked_s = now_s
        endpoint, counts = looked
        now = counts.get(self._record.version, {})
        if not self._record.endpoint:
            self._from_here(endpoint, counts)
            return
        more = grown(self._record.last if endpoint == self._record.endpoint else {}, now)
        counted = added(self._record.counted, more)
        self._record = replace(self._record, endpoint=endpoint, last=dict(now), counted=counted)
        self._keep()

    def _look(self) -> tuple[str, dict[int, VersionCounts]] | None:
        """(Process of the endpoint, version → its counts); None where it can't be asked."""
        try:
            running = process.status(state_file(self._home, self._name))
            if running is None:
                return None
            counts = read_counts(running.url, read_token(self._deploy.token_file))
        except (NoAnswer, WrongUsage, EndpointError):
            return None
        self._seen = True
        return f"{running.pid} {running.start_ticks}", counts

    def _keep(self, *, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._kept_at >= KEEP_S:
            keep_bake(self._home, self._name, self._record)
            self._kept_at = time.monotonic()

    def _judge(self, *, last: bool) -> None:
        record = self._record
        enough = max(FIRST_LOOK, GROWTH * record.judged_at)
        if record.requests <= record.judged_at or (record.requests < enough and not last):
            return
        looks = record.looks + 1
        found = broken(
            traffic_of(record.counted),
            allowed_by(record.rule),
            tested=self._tested,
            former=_durations(record.before),
            look=looks,
        )
        self._record = replace(record, looks=looks, judged_at=record.requests, broken=list(found))
        if found:
            self._keep(at_once=True)
            fault("bake_broken")

    def _overtaken(self, serving: int | None) -> BakeOutcome:
        spent_s = max(0.0, time.time() - self._record.began)
        why = (
            f"version {self._record.version} was watched for {_span(spent_s)} only: version "
            f"{serving or 'none'} was made to serve meanwhile"
        )
        return BakeOutcome(end="left", version=self._record.version, why=why)

    def _passed(self) -> BakeOutcome:
        record, rule = self._record, self._record.rule
        away = ""
        if record.unseen_s >= 1:
            away = f"; for {_span(record.unseen_s)} of it the endpoint could not be asked"
        watched = f"watched for {_span(60 * rule.minutes)}{away}"
        if not self._seen and not record.counted:
            why = "it is not known how it does: the endpoint could not be asked while it was to be watched"
            return BakeOutcome(end="left", version=record.version, why=why)
        if record.requests < rule.min_requests:
            why = f"too little traffic to tell: {record.requests:.0f} of {rule.min_requests}; {watched}"
            return BakeOutcome(end="too little", version=record.version, why=why)
        failed = record.counted.get("failed", 0.0)
        kinds = ["failures"]
        open_ones = []
        if compared_time(_durations(record.before), rule.min_requests):
            kinds.append("time")
        else:
            open_ones.append(f"time was not compared: version {record.former} had answered too few requests")
        if set(heads_of(record.counted)) & self._tested.keys():
            kinds.append("labels")
        else:
            open_ones.append("labels were not compared: its signed record has none of the test rows")
        named = f"{', '.join(kinds[:-1])} and {kinds[-1]}" if len(kinds) > 1 else kinds[0]
        why = f"{watched}: {record.requests:.0f} requests, {failed:.0f} failed; {named} within their bounds"
        return BakeOutcome(end="passed", version=record.version, why="; ".join([why, *open_ones]))

    def _take_back(self) -> BakeOutcome:
        """Make the former version serve again, unless it does already."""
        version, former, why = self._record.version, self._record.former, "; ".join(self._record.broken)
        serving = self._serving()
        if serving == former:  # whoever broke off had moved it already
            done = DeployOutcome(end="deployed", wanted=former, serving=former, url=self._url())
            return BakeOutcome(end="taken back", version=version, why=why, done=done)
        if serving != version:
            return self._overtaken(serving)
        try:
            reason = f"taken back while it was watched: {why}"
            done = roll_back(self._home, self._name, former, reason=reason, tell=self._events.on_change)
        except RegistryProblem:
            # The pointer moves first; the aliases follow at the next start.
            if self._serving() != former:
                raise
            done = DeployOutcome(end="deployed", wanted=former, serving=former, url=self._url())
        except RollbackRefused as error:
            stays = f"version {version} still serves: {error}"
            return BakeOutcome(end="stuck", version=version, why=f"{why}; {stays}")
        fault("bake_taken_back")
        if not done.deployed:
            return BakeOutcome(end="stuck", version=version, why=f"{why}; {done.reason}", done=done)
        return BakeOutcome(end="taken back", version=version, why=why, done=done)

    def _url(self) -> str | None:
        try:
            running = process.status(state_file(self._home, self._name))
        except HeadgateError:
            return None
        return None if running is None else running.url


def plan(home: Home, name: str, deploy: DeploySpec, version: int) -> None:
    """Keep that `version`, which is about to be promoted, is to be watched, where `deploy.bake` says so. A
    first version is not: there is none to go back to.

    Raises:
        release.pointed.ChampionUnverified: it can't be verified which version serves.
    """
    former = None if deploy.bake is None else serving_now(home, name)
    if deploy.bake is None or former is None:
        drop_bake(home, name)
    elif former != version:  # else it serves already: what is kept of its watch, if anything, holds
        plan_bake(home, name, version, former, deploy.bake)


def serving_now(home: Home, name: str) -> int | None:
    """Version that the pointer of project `name` names; None for none.

    Raises:
        release.pointed.ChampionUnverified: something serves, and it can't be verified what.
    """
    return serving_version(home, ReleaseFolder(home.releases(name), name), public_key(home, name))


def allowed_by(rule: BakeSpec) -> Allowed:
    """A rule as `expectations.live` takes it."""
    return Allowed(
        error_share=rule.max_error_share,
        p95_ratio=rule.max_p95_ratio,
        label_shift=rule.max_label_shift,
        requests=rule.min_requests,
    )


def traffic_of(counts: VersionCounts) -> Traffic:
    """Counts as `expectations.live` takes them."""
    return Traffic(
        answered=counts.get("answered", 0.0),
        failed=counts.get("failed", 0.0),
        durations=_durations(counts),
        heads={
            head: HeadAnswers(
                requests=counts.get(f"requests {head}", 0.0),
                texts=counts.get(f"texts {head}", 0.0),
                labels={
                    name.removeprefix(f"label {head} "): value
                    for name, value in counts.items()
                    if name.startswith(f"label {head} ")
                },
            )
            for head in heads_of(counts)
        },
    )


def _durations(counts: VersionCounts) -> Durations:
    cells = sorted(
        (float(name.removeprefix(UP_TO)), value) for name, value in counts.items() if name.startswith(UP_TO)
    )
    return Durations(edges=[edge for edge, _ in cells[:-1]], up_to=[value for _, value in cells])


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
