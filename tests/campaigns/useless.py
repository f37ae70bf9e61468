"""Models that are of no use, planted in every way we know: none may be deployed; and sound ones, which may.

Made-up projects whose truth is known (`tests.support.made_worlds`) go through the whole flow, from the file
to the verdict. What is wrong with the data is planted in the file; what is wrong with the model is planted in
the bundles of a sound run, the baselines' too, so that no comparison with them can tell. A useless model
counts as found only if the data, a reference, a label or a head objects: a busy machine is no merit.

Two of the sound models answer real texts, for which `HEADGATE_DATA` names the folder.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from expectations.gates.accuracy import judge_accuracy
from expectations.gates.scores import HeadScores, card_heads, load_scores
from expectations.gates.usefulness.labels import judge_labels
from expectations.gates.usefulness.references import judge_references, load_reference_answers
from expectations.spec import GateRules
from expectations.verdict import combine
from flows.config.load import load_project
from flows.outcome import Outcome
from model.files import read_json
from model.jobs.process import run_model
from release.home import Home, environment
from serving.process.control import stop
from tests.support import made_worlds as worlds
from tests.support.broken_bundles import broken_copy, labels_shuffled, weights_zeroed, with_thresholds
from tests.support.contract import Report, run
from tests.support.made_worlds import MadeHead, Planted, World
from tests.support.measures import Measure, at_most
from tests.support.real_slices import feelings, intents, real_folder

GOAL = "of 40 useless models none is deployed, of 10 sound ones none is held back by the rules against them"
QUICK_S, WHOLE_S = 60, 2400

MULTICLASS, MULTILABEL = "multiclass", "multilabel"
BASES = (
    World(
        name="balanced", heads={"topic": MadeHead(kind=MULTICLASS, chances=(1, 1, 1))}, count=2000, epochs=8
    ),
    World(
        name="imbalanced",
        heads={"topic": MadeHead(kind=MULTICLASS, chances=(0.9, 0.1))},
        count=2400,
        epochs=8,
    ),
    World(
        name="several",
        heads={"marks": MadeHead(kind=MULTILABEL, chances=(0.4, 0.3, 0.2, 0.15, 0.1, 0.08))},
        count=2400,
        epochs=20,
    ),
    World(
        name="two_heads",
        heads={
            "topic": MadeHead(kind=MULTICLASS, chances=(1, 1, 1, 1)),
            "mood": MadeHead(kind=MULTILABEL, chances=(0.4, 0.3, 0.2)),
        },
        count=2400,
        epochs=16,
    ),
)
"""Sound projects, from which useless ones are made."""
OTHERS = (
    World(name="small", heads={"topic": MadeHead(kind=MULTICLASS, chances=(1, 1))}, count=400, epochs=20),
    World(
        name="many_labels",
        heads={"topic": MadeHead(kind=MULTICLASS, chances=(1,) * 30)},
        count=3600,
        epochs=12,
    ),
    World(
        name="skewed", heads={"topic": MadeHead(kind=MULTICLASS, chances=(0.96, 0.04))}, count=3000, epochs=8
    ),
    World(
        name="rare_labels",
        heads={"marks": MadeHead(kind=MULTILABEL, chances=(0.3, 0.15, 0.06, 0.03))},
        count=3000,
        epochs=20,
    ),
)
"""Sound projects beside them: few rows, many labels, rare ones."""
DATA_PLANTS: Mapping[str, Callable[[Planted], Planted]] = {
    "labels shuffled in training": worlds.labels_shuffled_in_training,
    "one head's labels permuted": worlds.one_head_permuted_in_training,
    "unknown tokens": worlds.unknown_to_the_encoder,
    "all truncated": worlds.all_cut_off,
    "a rare label never found": worlds.rare_label_never_found,
    "NFD texts": worlds.decomposed,
    "a baseline just as bad": worlds.labels_shuffled_everywhere,
}
"""What is wrong with a file → how it is planted."""
SOUND = "sound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one model ended."""

    world: str
    plant: str
    deployed: bool
    objections: tuple[str, ...]
    """Subjects that objected, of the gates that look at data and answers."""


Break = Callable[[Path, Path, str, MadeHead], Path]
"""Makes a broken copy of a bundle from the bundle, the copy's folder, and the name and sort of a head."""


class Bench:
    """Runs projects and judges broken copies.

    Args:
        place: an empty folder; each project gets a folder in it.
    """

    def __init__(self, place: Path) -> None:
        self.place = place

    def through_the_flow(self, made: Planted, plant: str) -> Ending:
        """The whole flow, in this process."""
        folder = self.place / f"{made.world.name} {plant}".replace(" ", "-").replace("'", "")
        config = worlds.write_project(made.world, made.rows, folder, made.words)
        return self.run(config, folder / "home", made.world.name, plant, list(made.world.heads))

    def run(self, config: Path, home: Path, world: str, plant: str, heads: list[str]) -> Ending:
        """The flow on a configuration; what it serves is stopped again.

        Raises:
            RuntimeError: the flow came to no outcome.
        """
        from flows.retrain import retrain

        state = retrain(config, home, return_state=True)
        outcome = state.result(raise_on_failure=False)
        if not isinstance(outcome, Outcome):
            raise RuntimeError(f"{world}, {plant}: the flow came to no outcome: {outcome!r}")
        for endpoint in Home(home).endpoints.glob("*.json"):
            if not endpoint.name.endswith(".settings.json"):
                stop(endpoint, wait_s=10)
        if outcome.stage == "data_rejected":
            return _ending(world, plant, False, ["data"])
        objecting = [str(row["subject"]) for row in outcome.rows if row["verdict"] != "pass"]
        return _ending(
            world, plant, outcome.stage == "deployed", [s for s in objecting if _of_answers(s, heads)]
        )

    def broken(self, world: World, plant: str, breaks: Break) -> Ending:
        """A sound run's bundle and baselines, all broken alike, judged as a candidate's answers are."""
        home = self.place / f"{world.name}-sound" / "home"
        project = load_project(self.place / f"{world.name}-sound" / "project.yaml")
        [rows] = home.glob("data/*/rows")
        folder = self.place / f"{world.name}-{plant}".replace(" ", "-")
        folder.mkdir()
        [shared] = home.glob("runs/*/shared/bundle")
        answers = self._answers(shared, rows, folder / "shared", world, breaks)
        baselines: dict[str, HeadScores] = {}
        for fitted in home.glob("cache/baselines/*/fitted"):  # they are not packaged
            bundle = folder / f"{fitted.parent.name}-bundle"
            package = ["package", str(fitted), "--out", str(bundle), "--name", "baseline"]
            run_model([*package, "--precision", "float32"], log=folder / "log")
            baselines |= self._answers(bundle, rows, folder / fitted.parent.name, world, breaks)
        heads = card_heads(read_json(shared / "card.json"))
        references = {}
        for name, head in heads.items():
            out = folder / f"{name}.npz"
            wanted = ["majority", "bag_of_words"]
            arguments = ["reference", str(rows), name, "--metric", head.primary_metric, "--only", *wanted]
            run_model([*arguments, "--out", str(out)], log=folder / "log")
            references[name] = load_reference_answers(out, head)
        rules: GateRules = project.gates
        verdict = combine(
            [
                judge_accuracy(answers, baselines, rules, heads),
                *judge_references(answers, references, rules, heads),
                judge_labels(answers, rules, heads),
            ]
        )
        objecting = [finding.subject for finding in verdict.findings if finding.outcome != "pass"]
        return _ending(world.name, plant, verdict.outcome == "pass", objecting)

    def _answers(
        self, bundle: Path, rows: Path, folder: Path, world: World, breaks: Break
    ) -> dict[str, HeadScores]:
        """Answers of a broken copy to the test rows, from a process of its own."""
        folder.mkdir()
        heads = card_heads(read_json(bundle / "card.json"))
        for number, name in enumerate(heads):
            bundle = breaks(bundle, folder / f"copy-{number}", name, world.heads[name])
        out = folder / "scores.npz"
        run_model(["score", str(bundle), str(rows), "--split", "test", "--out", str(out)], log=folder / "log")
        return load_scores(out, heads)


def _ending(world: str, plant: str, deployed: bool, objections: list[str]) -> Ending:
    ending = Ending(world=world, plant=plant, deployed=deployed, objections=tuple(objections))
    said = ", ".join(objections) or "nothing objects"
    print(f"  {world}, {plant}: {'deployed' if deployed else 'stays home'} ({said})", flush=True)
    return ending


def _of_answers(subject: str, heads: list[str]) -> bool:
    """Whether a finding is about what a head answers, not about time, memory or a champion."""
    return any(subject == head or subject.startswith(f"{head} ") for head in heads)


def _constant(bundle: Path, out: Path, name: str, head: MadeHead) -> Path:
    return broken_copy(bundle, out, weights_zeroed(name))


def _order_exchanged(bundle: Path, out: Path, name: str, head: MadeHead) -> Path:
    return broken_copy(bundle, out, labels_shuffled(name, len(head.chances)))


def _thresholds_of_0(bundle: Path, out: Path, name: str, head: MadeHead) -> Path:
    return bundle if head.kind == MULTICLASS else with_thresholds(bundle, out, name, 0.0)


def _thresholds_of_1(bundle: Path, out: Path, name: str, head: MadeHead) -> Path:
    return bundle if head.kind == MULTICLASS else with_thresholds(bundle, out, name, 1.0)


def bundle_plants(world: World) -> dict[str, Break]:
    """What is wrong with the bundles of a world → how it is planted."""
    plants: dict[str, Break] = {"constant answers": _constant, "label order exchanged": _order_exchanged}
    if any(head.kind == MULTILABEL for head in world.heads.values()):
        plants |= {"thresholds of 0": _thresholds_of_0, "thresholds of 1": _thresholds_of_1}
    return plants


def useless_endings(
    bench: Bench, bases: Sequence[World], plants: Mapping[str, Callable[[Planted], Planted]]
) -> list[Ending]:
    """Endings of all useless models of these worlds, whose sound runs were made."""
    endings = []
    for world in bases:
        for plant, wrong in plants.items():
            endings.append(bench.through_the_flow(wrong(worlds.sound(world)), plant))
        for plant, breaks in bundle_plants(world).items():
            endings.append(bench.broken(world, plant, breaks))
    return endings


def real_endings(bench: Bench, data: Path) -> list[Ending]:
    """Endings of two sound models of real texts: many labels, and several labels at once."""
    endings = []
    for name, head, write in (("intents", "intent", intents), ("feelings", "emotion", feelings)):
        folder = bench.place / f"{name}-{SOUND}"
        folder.mkdir()
        endings.append(bench.run(write(data, folder), folder / "home", name, SOUND, [head]))
    return endings


@contextlib.contextmanager
def prefect_server(home: Path) -> Iterator[None]:
    """One Prefect server for all flows; every library's state is below `home`, and its telemetry off."""
    os.environ.update(environment(Home(home), given={}))  # read when Prefect is imported
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


def held_back(ending: Ending) -> bool:
    """Whether a rule against useless models objects to a sound one."""
    rules = (" vs majority", " vs bag of words", " labels")
    return any(subject == "data" or subject.endswith(rules) for subject in ending.objections)


def deployed(ending: Ending) -> bool:
    """Whether a useless model was deployed, or would be on a quieter machine."""
    return ending.deployed or not ending.objections


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the projects and their pages are kept."""
    parser.add_argument("--folder", type=Path, help="keep every project with its pages in this empty folder")


def measure(options: argparse.Namespace) -> Report:
    """How many useless models were deployed, how many sound ones held back."""
    data = None if options.quick else real_folder()
    bases, others = (BASES[:1], ()) if options.quick else (BASES, OTHERS)
    plants = {} if options.quick else DATA_PLANTS
    with tempfile.TemporaryDirectory() as folder:
        place = options.folder or Path(folder)
        with prefect_server(place / "libraries"):
            bench = Bench(place)
            sound = [bench.through_the_flow(worlds.sound(world), SOUND) for world in (*bases, *others)]
            useless = useless_endings(bench, bases, plants)
            if data is not None:
                sound += real_endings(bench, data)
    few = "" if not options.quick else "one sound model of ten, two useless ones of forty"
    return Report(
        [
            Measure(
                f"useless models deployed, of {len(useless)}",
                sum(map(deployed, useless)),
                "",
                at_most(0),
                few,
            ),
            Measure(
                f"sound models held back, of {len(sound)}", sum(map(held_back, sound)), "", at_most(0), few
            ),
        ]
    )


if __name__ == "__main__":
    sys.exit(run(measure))
