"""A sound bundle passes the gates against itself, and copies broken in known ways are rejected.

    python -m tests.campaigns.gates BUNDLE ROWS

BUNDLE is the folder of a sound bundle, such as a run's `shared/bundle`, ROWS the rows folder of its dataset;
without both a toy bundle and its rows are made. Every copy is a whole bundle on disk
(`tests.support.broken_bundles`), scored and timed in processes of its own, as a candidate is; the verdict is
that of the release gates. A case is right only if the findings that should object do, and no other finding
fails. (`expectations.gates.selftest` tries more, on arrays, in a second.)

Floors, slices and the champion are not tried: they are about one model's level.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from expectations.gates.accuracy import judge_accuracy
from expectations.gates.latency import judge_latency
from expectations.gates.memory import judge_memory
from expectations.gates.scores import HeadScores, card_heads, load_scores
from expectations.gates.selftest import Case
from expectations.gates.timings import Timings, timings_from_json
from expectations.spec import GateRules
from expectations.verdict import Outcome, combine
from model.bundle.reader import Bundle
from model.jobs.process import run_model
from model.spec import HeadSpec
from tests.support.broken_bundles import (
    Change,
    bias_added,
    broken_copy,
    heavier,
    labels_shuffled,
    slower,
    weights_zeroed,
)
from tests.support.contract import CannotMeasure, Report, Size, run
from tests.support.measures import Measure, aligned, at_least, at_most, measure_table
from tests.support.toy_bundle import HEADS, WORDS, write_bundle

GOAL = "every broken copy is rejected for its own fault"
QUICK_S, WHOLE_S = 11, 60
SIZES = {"requests": Size(120, 60, "timed requests a bundle (a toy: 60)")}
TOY_ROWS = 1000
TOY_RULES = GateRules(
    resamples=200, latency_threads=1, latency_requests=60, control_tolerance=0.6, margin=0.05, seed=3
)
"""A toy answers within milliseconds, beside other work: only gross differences in time count."""
UNDECIDED = frozenset({"A/A control", "latency vs baselines"})
"""Findings that a noisy machine may leave inconclusive; that is an objection to the machine."""
MOST_TRIES = 3
"""How often a bundle is timed until the machine is quiet enough to decide."""
PRODUCT_MS = 0.25
"""What one useless product takes at the least, in milliseconds, on any machine that this runs on."""


class Bench:
    """One bundle, the rows that it is tried on, and where its broken copies go.

    Args:
        bundle: folder of a sound bundle.
        rows: rows folder whose test split it is scored on.
        place: an empty folder.
        rules: as a release is judged by; floors, slices and calibration limits are left aside.
    """

    def __init__(self, bundle: Path, rows: Path, place: Path, rules: GateRules) -> None:
        self.bundle, self.rows, self.place = bundle, rows, place
        self.rules = replace(
            rules,
            floors={},
            label_floors={},
            max_calibration_error={},
            slices=(),
            latency_looks=1,  # timings are not added to here: where they do not decide, new ones are taken
        )
        card = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
        self.heads: Mapping[str, HeadSpec] = card_heads(card)
        self.sound_scores = self._score("sound", bundle)
        self.sound_timings = self._time("sound", bundle)

    def cases(self) -> list[Case]:
        """Every case, in order: against itself, then what is broken."""
        found = [self._against_itself()]
        for head, spec in self.heads.items():
            labels = len(spec.labels)
            for what, change in (
                ("labels shuffled", labels_shuffled(head, labels)),
                ("weights zeroed", weights_zeroed(head)),
                ("a bias added", bias_added(head, labels)),
            ):
                copy = self._copy(f"{head}-{what}", change)
                scores = self._score(copy.name, copy)
                found.append(self._judged(f"{head}: {what}", {head: "fail"}, scores, self.sound_timings))
        return [*found, self._slow(), self._heavy()]

    def _against_itself(self) -> Case:
        for _ in range(MOST_TRIES - 1):
            case = self._judged("against itself", {}, self.sound_scores, self.sound_timings)
            if case.right:
                return case
            self.sound_timings = self._time("sound", self.bundle)
        return self._judged("against itself", {}, self.sound_scores, self.sound_timings)

    def _slow(self) -> Case:
        """As slow as it takes to be rejected by half as much again as the limit."""
        alone_ms = float(self.sound_timings.block_medians("shared").mean())
        wanted_ms = 1.5 * self._limit(self.rules.max_latency_ratio) * len(self.heads) * alone_ms
        products = max(4, round(wanted_ms / PRODUCT_MS))
        copy = self._copy("slow", slower(next(iter(self.heads)), products))
        expected: dict[str, Outcome] = {"latency vs baselines": "fail"}
        scores = self._score("slow", copy)
        for _ in range(MOST_TRIES):
            case = self._judged("a sleep in the predictor", expected, scores, self._time("slow", copy))
            if "inconclusive" not in case.objections.values():
                break  # else the machine was too busy to tell: it is timed again, as the sound bundle is
        return case

    def _heavy(self) -> Case:
        """Twice the memory, or as much as it takes to be over the limit."""
        alone = self.sound_timings.peak_rss_mb["shared"]
        most = self._limit(self.rules.max_memory_ratio) * len(self.heads) * alone
        copy = self._copy("heavy", heavier(next(iter(self.heads)), round(max(alone, 1.1 * most - alone))))
        timings = self._time("heavy", copy)
        expected: dict[str, Outcome] = {
            "peak memory vs baselines": "fail",
            "bundle size vs baselines": "fail",
        }
        return self._judged("doubled memory", expected, self._score("heavy", copy), timings)

    def _limit(self, shared: float) -> float:
        return shared if len(self.heads) > 1 else self.rules.max_single_head_ratio

    def _copy(self, name: str, change: Change) -> Path:
        return broken_copy(self.bundle, self.place / name.replace(" ", "-"), change)

    def _judged(
        self,
        name: str,
        expected: Mapping[str, Outcome],
        scores: Mapping[str, HeadScores],
        timings: Timings,
    ) -> Case:
        gates = (
            judge_accuracy(scores, self.sound_scores, self.rules, self.heads),
            judge_latency(timings, self.rules, list(self.heads)),
            judge_memory(timings, self.rules, list(self.heads)),
        )
        return Case(name=name, expected=expected, verdict=combine(gates))

    def _score(self, name: str, bundle: Path) -> dict[str, HeadScores]:
        out = self.place / f"{name}.npz"
        arguments = ["score", str(bundle), str(self.rows), "--split", "test", "--out", str(out)]
        run_model([*arguments, "--threads", str(self.rules.latency_threads)], log=self.place / "log")
        return load_scores(out, self.heads)

    def _time(self, name: str, bundle: Path) -> Timings:
        """The copy against the sound bundle in the place of each baseline."""
        job, out = self.place / f"{name}-job.json", self.place / f"{name}-timing.json"
        bundles = {"shared": str(bundle)} | {f"baseline:{head}": str(self.bundle) for head in self.heads}
        job.write_text(
            json.dumps(
                {
                    "bundles": bundles,
                    "texts": str(self.rows / "test.texts.jsonl"),
                    "requests": self.rules.latency_requests,
                    "blocks": 10,
                    "threads": self.rules.latency_threads,
                    "seed": self.rules.seed,
                    "out": str(out),
                }
            )
        )
        run_model(["time", str(job)], log=self.place / "log")
        return timings_from_json(json.loads(out.read_text(encoding="utf-8")))


def judged_rightly(case: Case) -> bool:
    """Whether every finding that should object does, and nothing else fails. A finding of `UNDECIDED` may
    be inconclusive besides."""
    other = {name: outcome for name, outcome in case.objections.items() if name not in case.expected}
    as_expected = all(case.objections.get(name) == outcome for name, outcome in case.expected.items())
    return as_expected and set(other) <= UNDECIDED and "fail" not in other.values()


def write_toy_rows(folder: Path, bundle: Bundle) -> None:
    """Test rows whose targets are a toy bundle's own answers, every sixth one wrong."""
    rng = np.random.default_rng(8)
    texts = [" ".join(rng.choice(WORDS[4:], rng.integers(2, 9))) for _ in range(TOY_ROWS)]
    wrong, chances = np.arange(TOY_ROWS) % 6 == 0, bundle.probabilities(texts)
    folder.mkdir()
    (folder / "test.texts.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
    np.save(folder / "test.weight.npy", np.ones(TOY_ROWS, np.float32))
    mood = chances["mood"].argmax(axis=1).astype(np.int32)
    np.save(folder / "test.mood.npy", np.where(wrong, (mood + 1) % 3, mood).astype(np.int32))
    topics = (chances["topics"] >= 0.5).astype(np.int8)
    np.save(folder / "test.topics.npy", np.where(wrong[:, None], 1 - topics, topics).astype(np.int8))
    heads = {name: {"kind": card.kind, "labels": list(card.labels)} for name, card in HEADS.items()}
    digests = dict.fromkeys(("train", "validation", "test"), "")
    (folder / "rows.json").write_text(
        json.dumps({"heads": heads, "rows": {"test": TOY_ROWS}, "digest": digests})
    )


def make_toy(place: Path) -> tuple[Path, Path]:
    """A sound toy bundle that takes a few milliseconds a text, and its rows, below `place`."""
    write_bundle(place / "fast", seed=3)  # of this seed every label applies to a third of the texts
    broken_copy(place / "fast", place / "sound", slower("mood", 2))
    write_toy_rows(place / "rows", Bundle.load(place / "sound", threads=1))
    return place / "sound", place / "rows"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which bundle is tried."""
    parser.add_argument("bundle", nargs="?", type=Path, help="folder of a sound bundle (default: a toy)")
    parser.add_argument("rows", nargs="?", type=Path, help="rows folder of its dataset")
    parser.add_argument("--threads", type=int, default=GateRules().latency_threads, help="CPU threads")


def measure(options: argparse.Namespace) -> Report:
    """Judge every case."""
    if (options.bundle is None) != (options.rows is None):
        raise CannotMeasure("ROWS is missing: name the rows folder of the bundle's dataset too")
    rules = GateRules(latency_threads=options.threads, latency_requests=options.requests)
    with tempfile.TemporaryDirectory(prefix="headgate-gates-") as temporary:
        place = Path(temporary)
        bundle, rows = options.bundle, options.rows
        if bundle is None:
            (place / "toy").mkdir()
            (bundle, rows), rules = make_toy(place / "toy"), replace(TOY_RULES, seed=rules.seed)
        cases = Bench(bundle, rows, place, rules).cases()
    shown = [("case", "judged", "objections")]
    for case in cases:
        objections = ", ".join(f"{subject} {outcome}" for subject, outcome in case.objections.items())
        shown.append((case.name, "rightly" if judged_rightly(case) else "WRONGLY", objections or "none"))
    measures = [
        Measure("cases", len(cases), "", at_least(1)),
        Measure("judged wrongly", sum(not judged_rightly(case) for case in cases), "", at_most(0)),
    ]
    return Report(measures, f"{aligned(shown)}\n\n{measure_table(measures)}")


if __name__ == "__main__":
    sys.exit(run(measure))
