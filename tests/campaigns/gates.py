"""The gates judge themselves on a real bundle: it ties with itself, and broken copies of it are rejected.

    python -m tests.campaigns.gates BUNDLE ROWS [--threads 2] [--requests 120]

Every copy is a whole bundle on disk (`tests.support.broken_bundles`), scored and timed in processes of its own, as a
candidate is; the verdict is that of the release gates. A case is right only if the findings that should
object do, and no other finding fails. (`expectations.gates.selftest` tries more, on arrays, in a second.)

What a bundle can't be tried with here: floors, slices and the champion are about one model's level.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from expectations.gates.accuracy import judge_accuracy
from expectations.gates.latency import judge_latency
from expectations.gates.memory import judge_memory
from expectations.gates.scores import HeadScores, card_heads, load_scores
from expectations.gates.selftest import Case
from expectations.gates.timings import Timings, timings_from_json
from expectations.spec import GateRules
from expectations.verdict import Outcome, combine
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

UNDECIDED = frozenset({"A/A control", "latency vs baselines"})
"""Findings that a noisy machine may leave inconclusive; that is an objection to the machine."""
MOST_TRIES = 3
"""How often the sound bundle is timed until the machine is quiet enough to say that it ties."""
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
        self.rules = replace(rules, floors={}, label_floors={}, max_calibration_error={}, slices=())
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
        timings = self._time("slow", copy)
        expected: dict[str, Outcome] = {"latency vs baselines": "fail"}
        return self._judged("a sleep in the predictor", expected, self._score("slow", copy), timings)

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
                    "block": min(10, max(1, self.rules.latency_requests // 10)),
                    "threads": self.rules.latency_threads,
                    "seed": self.rules.seed,
                    "out": str(out),
                }
            )
        )
        run_model(["time", str(job)], log=self.place / "log")
        return timings_from_json(json.loads(out.read_text(encoding="utf-8")))


def judged_rightly(case: Case) -> bool:
    """Whether every finding that should object does, and nothing else fails. What noise leaves undecided is
    an objection to the machine; it is printed, and a quiet machine has none."""
    other = {name: outcome for name, outcome in case.objections.items() if name not in case.expected}
    as_expected = all(case.objections.get(name) == outcome for name, outcome in case.expected.items())
    return as_expected and set(other) <= UNDECIDED and "fail" not in other.values()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each case; 0 if the gates judged all of them rightly, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaigns.gates", description=__doc__.split("\n")[0]
    )
    parser.add_argument("bundle", type=Path, help="folder of a sound bundle, such as a run's shared/bundle")
    parser.add_argument("rows", type=Path, help="rows folder of its dataset")
    parser.add_argument("--threads", type=int, default=GateRules().latency_threads, help="CPU threads")
    parser.add_argument("--requests", type=int, default=120, help="timed requests a bundle")
    given = parser.parse_args(arguments)
    rules = GateRules(latency_threads=given.threads, latency_requests=given.requests)
    with tempfile.TemporaryDirectory(prefix="headgate-selftest-") as temporary:
        cases = Bench(given.bundle, given.rows, Path(temporary), rules).cases()
    width = max(len(case.name) for case in cases)
    for case in cases:
        objections = ", ".join(f"{subject} {outcome}" for subject, outcome in case.objections.items())
        right = "right" if judged_rightly(case) else "WRONG"
        sys.stdout.write(f"{right}  {case.name:<{width}}  {objections or 'all pass'}\n")
    wrong = sum(not judged_rightly(case) for case in cases)
    sys.stdout.write(f"{len(cases)} cases on a real bundle, {wrong} judged wrongly\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
