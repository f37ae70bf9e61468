"""A project with one approved version in service, and everything that an attacker may reach around it.

Real files, real keys, a real MLflow store, a real endpoint process. Who attacks: any client of the registry
and of the endpoint, whoever may write the release folder and what lies around it, and mistakes of the
project's own people and code. Not whoever holds the private key: that is who may approve.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expectations.verdict import ApprovedVersion, Outcome, Verdict, verdict_from_json
from model.bundle.reader import Bundle
from model.errors import HeadgateError
from model.files import file_sha256
from release.home import Home, environment
from release.moves.promote import promote_version
from release.moves.reconcile import reconcile
from release.registry.candidate import Candidate
from release.registry.client import Registry, open_registry
from release.registry.register import RegisteredVersion, register_version
from release.registry.store import STORE_FILE, tracking_uri
from release.releases import Releases, open_releases
from release.saved_settings import endpoint_log, state_file
from release.spec import RegistrySpec
from release.targets.deploy import deploy_version
from release.targets.endpoint import EndpointDown, start
from serving.client import NoAnswer, ask, get, request
from serving.process import control as process
from serving.spec import DeploySpec
from serving.store.manifest import ReleaseManifest
from serving.store.release_folder import ReleaseFolder
from tests.support.toy_bundle import NAME, PASS, write_bundle, write_bundle_manifest

SPEC = RegistrySpec()
DEPLOY = DeploySpec(port=0, threads=1, poll_s=0.02, start_timeout_s=20, drain_timeout_s=2)
TEXTS = ("hello good day", "late order", "rain")
FIRST, SECOND, EVIL = 1, 2, 66
"""Seeds of bundles: of version 1, which serves; of version 2, approved by the rules in some ways; and of one
that passed no gate."""


CLOCK_FILE = "clock"
"""File below a world's place: seconds by which the endpoint's wall clock is off."""
SET_CLOCK = str(Path(__file__).with_name("set_clock"))


@dataclass(slots=True)
class World:
    """The project under attack."""

    place: Path
    """Everything lies below it."""
    home: Home
    answers: dict[int, Any] = field(default_factory=dict)
    """Seed → what its bundle answers to `TEXTS`."""
    refusals: list[str] = field(default_factory=list)
    """Refusals that the attacker met on the way."""

    @property
    def releases(self) -> Releases:
        """Release folder, registry, keys and journal, as the project's own code opens them."""
        return open_releases(self.home, NAME, SPEC)

    @property
    def folder(self) -> ReleaseFolder:
        """The release folder that the endpoint follows."""
        return ReleaseFolder(self.home.releases(NAME), NAME)

    @property
    def registry(self) -> Registry:
        """The registry, which any client may write to."""
        return open_registry(self.home, NAME, SPEC)

    @property
    def private_key(self) -> Path:
        """The project's own key: used only where an attack is a mistake of the project's own code."""
        return self.home.keys / "release.key"

    @property
    def public_key(self) -> Path:
        """What the endpoint verifies with."""
        return self.home.keys / "release.pub"

    @property
    def url(self) -> str:
        """Address of the endpoint."""
        state = process.status(state_file(self.home, NAME))
        assert state is not None, "the endpoint is gone"
        return state.url

    def bundle(self, seed: int) -> tuple[Path, str]:
        """(Folder, digest) of a toy bundle, made on first use; other seeds answer otherwise."""
        path = self.place / "bundles" / str(seed) / "bundle"
        if not path.exists():
            write_bundle(path, seed)
        return path, file_sha256(path / "manifest.json")

    def candidate(self, seed: int, outcome: Outcome = "pass", verdict: Verdict | None = None) -> Candidate:
        """A candidate as a run of the flow leaves it."""
        folder, digest = self.bundle(seed)
        return Candidate(
            bundle=folder,
            bundle_sha256=digest,
            verdict=verdict or of_outcome(outcome),
            run_name=f"run-{seed}",
            dataset=self.place / "dataset",
            dataset_fingerprint="f" * 64,
            dataset_rows={"test": 5},
            code_digest="c" * 64,
        )

    def register(self, made: Candidate) -> RegisteredVersion:
        """Register a candidate, as the flow does whatever its verdict."""
        return register_version(self.home, NAME, SPEC, made)

    def promote(self, registered: RegisteredVersion, made: Candidate, verdict: Verdict | None = None) -> None:
        """Promote as the flow does; an approval can only be made of a passing verdict."""
        approved = ApprovedVersion(
            name=registered.name,
            version=registered.version,
            bundle_sha256=made.bundle_sha256,
            verdict=verdict or made.verdict,
        )
        promote_version(self.home, NAME, SPEC, approved, bundle=made.bundle)

    def manifest(self, version: int, seed: int, **changes: Any) -> ReleaseManifest:
        """A release manifest of a version that passed, for the bundle of a seed."""
        made = ReleaseManifest(
            name=NAME, version=version, sequence=version, bundle_sha256=self.bundle(seed)[1], verdict=PASS
        )
        return dataclasses.replace(made, **changes)

    def released(self) -> Path:
        """Version 2 registered, approved and promoted by the rules; its folder. Call it while the endpoint is
        `held`, so that the endpoint sees what is done to the folder first."""
        made = self.candidate(SECOND)
        self.promote(self.register(made), made)
        return self.folder.version_dir(2)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The endpoint's process stands still: whatever happens meanwhile, it finds all at once."""
        state = process.status(state_file(self.home, NAME))
        assert state is not None, "the endpoint is gone"
        os.kill(state.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(state.pid, signal.SIGCONT)

    @contextlib.contextmanager
    def refused(self, *kinds: type[Exception]) -> Iterator[None]:
        """Note a refusal of one of these kinds and go on with the attack."""
        try:
            yield
        except kinds as error:
            self.refusals.append(f"{type(error).__name__}: {error}")

    def seal(self, bundle: Path) -> str:
        """Rewrite a changed bundle's manifest; its new digest."""
        return write_bundle_manifest(bundle)

    def pause(self) -> None:
        """Stop the endpoint; `resume` starts it again, cold."""
        process.stop(state_file(self.home, NAME), wait_s=5)

    def resume(self) -> None:
        """Start the endpoint again, as `headgate serve` does."""
        with contextlib.suppress(EndpointDown):
            start(self.home.root, NAME)

    @property
    def endpoint_log(self) -> Path:
        """Where the endpoint logs."""
        return endpoint_log(self.home, NAME)

    def reconcile(self) -> bool:
        """What every start of the flow does first; whether it was done. Where it refuses, in words that
        say what to do, nothing is trained or moved: noted as a refusal."""
        before = len(self.refusals)
        with self.refused(HeadgateError):
            reconcile(self.home, NAME, SPEC)
        return len(self.refusals) == before


def of_outcome(outcome: Outcome) -> Verdict:
    """A verdict with one finding."""
    raw = {**PASS, "findings": [{**PASS["findings"][0], "outcome": outcome}]}  # type: ignore[dict-item]
    return verdict_from_json(raw)


def make_store(place: Path) -> Path:
    """An empty MLflow store, made once (it takes seconds) and copied for each world."""
    home = Home(place / "store")
    os.environ.update(environment(home, given={}))
    tracking_uri(home)
    return home.mlflow / STORE_FILE


@contextlib.contextmanager
def open_world(place: Path, store: Path) -> Iterator[World]:
    """A project with version 1 approved, deployed and answering."""
    home = Home(place / "home")
    shutil.copyfile(store, home.mlflow / STORE_FILE)
    os.environ.update(environment(home, given={}) | _settable_clock(place))
    (place / "dataset").mkdir(parents=True)
    (place / "dataset" / "dataset.parquet").write_bytes(b"not read here")
    world = World(place, home)
    made = world.candidate(FIRST)
    world.promote(world.register(made), made)
    outcome = deploy_version(home, NAME, SPEC, DEPLOY, 1)
    if not outcome.deployed:
        raise RuntimeError(f"the approved version does not serve: {outcome.reason}")
    for seed in (FIRST, SECOND):
        bundle = Bundle.load(world.bundle(seed)[0], threads=1, verify=False)
        found = bundle.probabilities(list(TEXTS))
        world.answers[seed] = [
            {h: rows[at].tolist() for h, rows in found.items()} for at in range(len(TEXTS))
        ]
    try:
        yield world
    finally:
        process.stop(state_file(home, NAME), wait_s=5)


def _settable_clock(place: Path) -> dict[str, str]:
    """Variables with which a process has the wall clock that `CLOCK_FILE` says."""
    others = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one not in ("", SET_CLOCK)]
    return {
        "PYTHONPATH": os.pathsep.join([SET_CLOCK, *others]),
        "HEADGATE_TEST_CLOCK": str(place / CLOCK_FILE),
    }


LABELS = {"mood": ("low", "mid", "high"), "topics": ("weather", "delivery")}


def traffic(world: World, for_s: float) -> set[str]:
    """Who answers `TEXTS` for a while: `version 1`, `version 2`, `UNGATED` for any other answer, `nobody`.

    Goes by what is answered, not by the version that a reply names: a lie in the header would not help.
    """
    found: set[str] = set()
    deadline = time.monotonic() + for_s
    while not found or time.monotonic() < deadline:
        try:
            reply = ask(world.url, TEXTS, everything=True, timeout_s=5)
        except (NoAnswer, AssertionError):
            found.add("nobody")
            time.sleep(0.05)
            continue
        same = [seed for seed, wanted in world.answers.items() if _equal(reply["answers"], wanted)]
        found.add(f"version {same[0]}" if same else "UNGATED")
    return found


def _equal(answers: Any, wanted: Any) -> bool:
    for answer, row in zip(answers, wanted, strict=True):
        for head, order in LABELS.items():
            seen = {
                entry["label"]: entry["probability"]
                for entry in answer.get(head, {}).get("probabilities", [])
            }
            pairs = zip(order, row[head], strict=True)
            if not all(abs(seen.get(label, 9.0) - p) < 2e-6 for label, p in pairs):
                return False
    return True


def refused_by_endpoint(world: World) -> str:
    """What `/ready` says was refused; empty where nothing was, or nothing runs."""
    try:
        refused = get(world.url, "/ready", timeout_s=2)[1].get("refused")
    except (NoAnswer, AssertionError):
        return ""
    return "" if refused is None else str(refused["reason"])


def journal_lines(world: World) -> list[dict[str, Any]]:
    """Entries of the project's journal."""
    path = world.home.journal / f"{NAME}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def refused_requests(world: World) -> int:
    """Replies of 4xx that the endpoint counts in its metrics."""
    try:
        _, _, body = request(world.url, "GET", "/metrics")
    except (NoAnswer, AssertionError):
        return 0
    counted = re.findall(r'headgate_requests_total\{[^}]*status="4\d\d"[^}]*\} (\d+)', body.decode())
    return sum(map(int, counted))


def log_lines(world: World) -> list[str]:
    """Warnings and errors in the endpoint's log."""
    lines = world.endpoint_log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if '"level": "warning"' in line or '"level": "error"' in line]
