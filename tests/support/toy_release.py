"""A project with toy candidates: registered, promoted, deployed for real, and what is right afterwards.

Real MLflow on SQLite, real signatures, a real endpoint; only the model is a toy, and its verdict is made.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from expectations.seen_texts import FIRST_MAGIC
from expectations.verdict import ApprovedVersion, Finding, Outcome, Verdict
from model.bundle.reader import Bundle
from model.files import file_sha256
from release.bake.watch import plan
from release.home import Home
from release.leftovers import BEING_WRITTEN, LIBRARIES
from release.moves.promote import promote_version
from release.moves.reconcile import reconcile, resume_deployment
from release.registry.candidate import Candidate
from release.registry.client import BUNDLE_TAG, VERDICT_TAG, open_registry
from release.registry.register import attach, register_version
from release.registry.store import STORE_FILE, relocated, tracking_uri
from release.releases import Releases, open_releases
from release.saved_settings import load_settings, state_file
from release.spec import RegistrySpec
from release.targets.deploy import DeployOutcome, deploy_version
from serving.client import ask, read_token
from serving.process import control as process
from serving.spec import DeploySpec
from serving.store.manifest import SEEN_EVIDENCE, SEEN_FILE, verify_release, verify_seen
from tests.support.toy_bundle import NAME, write_bundle, write_bundle_manifest

SPEC = RegistrySpec()
TEXT = "late order good day"
DEPLOY = DeploySpec(port=0, threads=1, poll_s=0.05, start_timeout_s=30, drain_timeout_s=2)


def toy_candidate(root: Path, seed: int, outcome: Outcome = "pass") -> Candidate:
    """A candidate below `root` whose answers differ by seed."""
    folder = root / "bundles" / str(seed) / "bundle"
    finding = Finding(subject="mood", outcome=outcome, reason="as good as alone", figures={"rows": 400})
    page = root / "page.html"
    page.write_text("<p>a report</p>")
    dataset = root / "dataset"
    dataset.mkdir(exist_ok=True)
    seen = root / "seen" / str(seed) / SEEN_FILE
    seen.parent.mkdir(parents=True, exist_ok=True)
    seen.write_bytes(FIRST_MAGIC + np.arange(seed, seed + 15, dtype="<u8").tobytes())
    return Candidate(
        bundle=folder,
        bundle_sha256=write_bundle(folder, seed),
        verdict=Verdict(gate="release", findings=(finding,)),
        run_name=f"run-{seed}",
        dataset=dataset,
        dataset_fingerprint="f" * 64,
        dataset_rows={"train": 10, "validation": 5, "test": 5},
        code_digest="c" * 64,
        params={"train": {"epochs": 3}},
        metrics={"mood/accuracy": 0.9},
        curves={"train/loss": [(1, 0.7), (2, 0.5)]},
        files=(page,),
        seen=seen,
        evidence={"threads": 1, SEEN_EVIDENCE: file_sha256(seen)},
    )


@dataclass
class World:
    """A home, the candidates that were made for it, and what each of them answers."""

    root: Path
    answers: dict[str, Mapping[str, list[float]]] = field(default_factory=dict)
    """Digest of a good bundle → head → probabilities for `TEXT`. A spoilt one is not among them."""
    spec: RegistrySpec = SPEC
    """Its registry."""
    _seed: int = 0

    @property
    def home(self) -> Home:
        """Its state folder."""
        return Home(self.root / "home")

    @property
    def state_file(self) -> Path:
        """Where its endpoint says who it is."""
        return state_file(self.home, NAME)

    def candidate(self, outcome: Outcome = "pass") -> Candidate:
        """A new candidate."""
        self._seed += 1
        made = toy_candidate(self.root, self._seed, outcome)
        found = Bundle.load(made.bundle, threads=1, verify=False).probabilities([TEXT])
        self.answers[made.bundle_sha256] = {head: rows[0].tolist() for head, rows in found.items()}
        return made

    def spoilt(self) -> Candidate:
        """A candidate that passed its gates and does not answer as its golden set says."""
        made = self.candidate()
        del self.answers[made.bundle_sha256]
        golden = made.bundle / "golden.json"
        raw = json.loads(golden.read_text())
        raw["probabilities"]["mood"][0].reverse()
        golden.write_text(json.dumps(raw))
        fields = {name: getattr(made, name) for name in Candidate.__slots__}
        return Candidate(**{**fields, "bundle_sha256": write_bundle_manifest(made.bundle)})

    def stop(self) -> None:
        """Stop its endpoint, if one runs."""
        process.stop(self.state_file, wait_s=5)


def make_world(root: Path, store: Path | None) -> World:
    """A world below `root`; with a copy of `store`, or without any."""
    root.mkdir(parents=True)
    world = World(root)
    if store is not None:
        shutil.copyfile(store, world.home.mlflow / STORE_FILE)
        relocated(world.home)
    return world


def warm_up(root: Path) -> Path:
    """Ship once in this process, so that what MLflow imports late and SQLAlchemy compiles on first use is
    there in every child that is forked later. Gives an empty store to copy, which nobody has open."""
    template = Home(root / "template")
    tracking_uri(template)
    empty = template.mlflow / STORE_FILE
    world = make_world(root / "world", empty)
    ship(world, world.candidate())
    check(world)
    world.stop()
    return empty


def promoted(world: World, made: Candidate, deploy: DeploySpec = DEPLOY) -> int:
    """Register, plan the watch if there is to be one, promote, and deploy nowhere; the version."""
    registered = register_version(world.home, NAME, world.spec, made)
    plan(world.home, NAME, deploy, registered.version)
    approved = ApprovedVersion(
        name=NAME, version=registered.version, bundle_sha256=made.bundle_sha256, verdict=made.verdict
    )
    promote_version(
        world.home,
        NAME,
        world.spec,
        approved,
        bundle=made.bundle,
        evidence=made.evidence,
        configuration={"a": 1},
    )
    return registered.version


def ship(world: World, made: Candidate, deploy: DeploySpec = DEPLOY) -> DeployOutcome:
    """Register, promote, deploy, keep the report: what a flow does after its gates passed."""
    version = promoted(world, made, deploy)
    outcome = deploy_version(world.home, NAME, world.spec, deploy, version)
    registry = open_registry(world.home, NAME, world.spec)
    attach(registry, registry.run_of(version), list(made.files))
    return outcome


def start_again(world: World, deploy: DeploySpec = DEPLOY) -> None:
    """What a flow does first, and then all must be right."""
    reconcile(world.home, NAME, world.spec)
    resume_deployment(world.home, NAME, world.spec, deploy)
    check(world)


def check(world: World) -> int | None:
    """The champion, if everything is right: alias, pointer and a verified bundle agree and the endpoint
    answers as that bundle does; no run, no model and no file is left half done.

    Raises:
        AssertionError: something is not.
    """
    releases = open_releases(world.home, NAME, world.spec)
    pointed = releases.registry.pointed()
    champion = pointed.aliases.get("champion") if pointed else None
    assert champion == releases.serving(), f"alias {champion}, pointer {releases.serving()}"
    if champion is not None:
        assert pointed is not None and pointed.pointer == releases.folder.pointer_path.read_text()
        where = releases.folder.version_dir(champion)
        manifest = verify_release(where, releases.public_key, NAME)
        assert manifest.outcome == "pass"
        assert verify_seen(where, manifest) is not None, "the list of its texts is gone"
        running = process.status(world.state_file)
        if running is not None:
            token = read_token(load_settings(world.home, NAME).deploy.token_file)
            reply = ask(running.url, [TEXT], everything=True, token=token)
            assert reply["version"] == champion, f"version {reply['version']} answers, champion {champion}"
            assert same(reply["answers"][0], world.answers[manifest.bundle_sha256]), "another's answers"
    _nothing_open(releases)
    left = [str(path) for path in debris(world.home)]
    assert not left, f"left behind: {left}"
    assert reconcile(world.home, NAME, world.spec) == (), "a second start finds something to do"
    return champion


def _nothing_open(releases: Releases) -> None:
    client = releases.registry.client
    experiment = client.get_experiment_by_name(NAME)
    if experiment is None:
        return
    ids = [experiment.experiment_id]
    assert not client.search_runs(ids, "attributes.status = 'RUNNING'"), "a run is open"
    models = client.search_logged_models(ids, max_results=20, order_by=[{"field_name": "creation_time"}])
    assert not [m for m in models if str(m.status) == "PENDING"], "a logged model is open"


def debris(home: Home) -> list[Path]:
    """What is half written below a home."""
    found = [path for path in home.root.rglob(".*") if not LIBRARIES & set(path.relative_to(home.root).parts)]
    return [p for p in found if BEING_WRITTEN.fullmatch(p.name) or p.name.startswith(".staging-")]


def same(answer: Mapping[str, object], expected: Mapping[str, list[float]]) -> bool:
    """Whether a reply's answer has exactly these probabilities, whatever the order."""
    found = {
        head: sorted(entry["probability"] for entry in about["probabilities"])  # type: ignore[index]
        for head, about in answer.items()
    }
    return found.keys() == expected.keys() and all(
        len(found[head]) == len(values)
        and max(abs(a - b) for a, b in zip(found[head], sorted(values), strict=True)) < 1e-5
        for head, values in expected.items()
    )


def digests(world: World, versions: list[int]) -> dict[int, str]:
    """Version → digest of its bundle, of those that are registered with a pass."""
    registry = open_registry(world.home, NAME, world.spec)
    tags = {version: registry.version_tags(version) for version in versions}
    return {version: t[BUNDLE_TAG] for version, t in tags.items() if t.get(VERDICT_TAG) == "pass"}
