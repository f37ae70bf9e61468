"""A toy project whose versions are watched after their deployment, and clients that ask it meanwhile.

Real endpoints, real HTTP, real MLflow; only the models are toys, and what they answered on test rows is made.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from model.bundle.reader import Bundle
from release.bake.watch import BakeOutcome, bake
from release.registry.candidate import ANSWERED_EVIDENCE, Candidate
from release.targets.deploy import DeployOutcome, deploy_version
from serving.client import request
from serving.errors import NoAnswer
from serving.http.replies import applies
from serving.process import control as process
from serving.spec import BakeSpec, DeploySpec
from tests.support.toy_bundle import NAME, break_word, write_bundle, write_bundle_manifest
from tests.support.toy_release import DEPLOY, World, promoted, toy_candidate

TEXTS = ("hello good day", "late order", "rain", "sun sun", "bad early", "thanks", "order order late")
"""What clients ask, and what the test rows are."""
FAILS = "help help"
"""A text that a broken version fails at."""
BAKED = replace(DEPLOY, bake=BakeSpec(minutes=0.05, min_requests=60))


@dataclass
class Baked:
    """A project and its endpoint."""

    world: World
    spec: DeploySpec = BAKED
    _seed: int = 0

    def candidate(
        self, *, breaks: bool = False, text_work: int = 0, answered: Mapping[str, float] | None = None
    ) -> Candidate:
        """One whose answers are those of all before.

        Args:
            breaks: whether it fails at `FAILS`.
            text_work: makes it slow (`toy_bundle.write_bundle`).
            answered: label of `mood` → share of the test rows; by default what it answers.
        """
        self._seed += 1
        made = toy_candidate(self.world.root, self._seed)
        shutil.rmtree(made.bundle)
        write_bundle(made.bundle, 1, text_work=text_work)
        if breaks:
            break_word(made.bundle, "help")
        card = json.loads((made.bundle / "card.json").read_text())
        card["precision_reason"] = f"tiny, number {self._seed}"  # a bundle of its own
        (made.bundle / "card.json").write_text(json.dumps(card))
        digest = write_bundle_manifest(made.bundle)
        evidence = answered_on(made.bundle, TEXTS)
        if answered is not None:
            labels = {label: round(700 * share) for label, share in answered.items()}
            evidence["mood"] = {"rows": 700, "labels": labels}
        found = Bundle.load(made.bundle, threads=1, verify=False).probabilities(["late order good day"])
        self.world.answers[digest] = {head: rows[0].tolist() for head, rows in found.items()}
        return replace(made, bundle_sha256=digest, evidence={**made.evidence, ANSWERED_EVIDENCE: evidence})

    def ship(self, made: Candidate) -> DeployOutcome:
        """Register, plan the watch, promote and deploy."""
        version = promoted(self.world, made, self.spec)
        return deploy_version(self.world.home, NAME, self.world.spec, self.spec, version)

    def bake(self) -> BakeOutcome | None:
        """Watch what was shipped last."""
        return bake(self.world.home, NAME)

    @property
    def url(self) -> str:
        """Address of the endpoint."""
        running = process.status(self.world.state_file)
        assert running is not None
        return running.url


def answered_on(bundle: Path, texts: Sequence[str], times: int = 100) -> dict[str, object]:
    """Evidence of what a bundle answers to texts, each of which so many test rows hold."""
    loaded = Bundle.load(bundle, threads=1, verify=False)
    found = {}
    for head, matrix in loaded.probabilities(list(texts)).items():
        card = loaded.card.heads[head]
        counts = times * applies(card, matrix).sum(axis=0)
        labels = dict(zip(card.labels, counts.tolist(), strict=True))
        found[head] = {"rows": times * len(texts), "labels": labels}
    return found


@dataclass
class Clients:
    """Clients that ask without a pause."""

    statuses: Counter[int] = field(default_factory=Counter)
    """Status → replies; 0 for none."""


@contextlib.contextmanager
def asking(
    state_file: Path,
    texts: Sequence[str] = TEXTS,
    *,
    clients: int = 2,
    pause_s: float = 0.0,
    most: int = 10**6,
) -> Iterator[Clients]:
    """Clients that ask the endpoint of a state file about one text after another, until the block ends."""
    met, over, left = Clients(), threading.Event(), itertools.count()

    def run(number: int) -> None:
        for text in itertools.islice(itertools.cycle(texts), number, None):
            if over.is_set() or next(left) >= most:
                return
            running = process.status(state_file)
            try:
                assert running is not None
                status = request(running.url, "POST", "/predict", {"texts": text}, timeout_s=5)[0]
            except (NoAnswer, AssertionError):
                status = 0
                time.sleep(0.05)
            met.statuses[status] += 1
            time.sleep(pause_s)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield met
    finally:
        over.set()
        for thread in threads:
            thread.join(20)
