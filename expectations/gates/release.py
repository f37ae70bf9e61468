"""All gates on the evidence of one candidate: whether it may ship, as one verdict.

Reads the files of the evidence; does not make them, and does not act on the verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from expectations.gates.accuracy import judge_accuracy
from expectations.gates.champion import NOBODY, Before, Since, judge_champion
from expectations.gates.http import http_timings_from_json, judge_http
from expectations.gates.latency import judge_latency
from expectations.gates.memory import judge_memory
from expectations.gates.scores import HeadScores, card_heads, load_scores, with_groups
from expectations.gates.slices import judge_slices
from expectations.gates.timings import timings_from_json
from expectations.gates.usefulness.labels import judge_labels
from expectations.gates.usefulness.references import Answers, judge_references, load_reference_answers
from expectations.scored_rows import read_groups
from expectations.seen_texts import load_seen, new_test_rows, refuse_own_overlap, seen_test_rows
from expectations.spec import GateRules
from expectations.verdict import Finding, Verdict, combine
from model.files import FileChanged, read_json, unchanged
from model.references import AnswersRef, Measured, ScoresRef, SeenRef, TimingRef, baseline_label
from model.spec import HeadSpec

REQUIRED = ("accuracy", "labels", "champion", "latency", "http", "memory")
"""Gates without which nothing ships; slices are judged where the configuration names some, and
references unless it switches them off."""


def judge_release(
    heads: Mapping[str, HeadSpec],
    measured: Measured,
    rules: GateRules,
    *,
    champion_bundle: Path | None,
    dataset: Path | None,
    champion_seen: SeenRef | None = None,
) -> Verdict:
    """Accuracy against the baselines, cheap references and the champion, label by label and on slices;
    latency, memory: all must pass.

    Evidence that cannot be judged (changed since it was measured, of other rows, malformed) fails by that:
    the candidate is then registered with the reason, as any other that did not pass.

    Args:
        champion_bundle: folder of the bundle that serves; none before the first deployment.
        dataset: the dataset folder whose test rows were scored; without it slices can't be judged, rows that
            belong together count as alone, and which rows the champion has seen is not known.
        champion_seen: the texts that the champion was trained on; none where that is not known.
    """
    try:
        verdicts = _verdicts(
            heads,
            measured,
            rules,
            champion_bundle=champion_bundle,
            dataset=dataset,
            champion_seen=champion_seen,
        )
        return combine(verdicts, required=REQUIRED)
    except (ValueError, FileChanged) as error:
        finding = Finding(subject="evidence", outcome="fail", reason=str(error))
        return Verdict(gate="release", findings=(finding,))


def _verdicts(
    heads: Mapping[str, HeadSpec],
    measured: Measured,
    rules: GateRules,
    *,
    champion_bundle: Path | None,
    dataset: Path | None,
    champion_seen: SeenRef | None,
) -> list[Verdict]:
    scores = measured.scores
    groups = None if dataset is None else read_groups(dataset)
    shared = with_groups(load_scores(_file(scores["shared"]), heads), groups)
    baselines: dict[str, HeadScores] = {}
    for head, spec in heads.items():
        baselines |= _of_baseline(scores[baseline_label(head)], head, spec)
    further = {head: _further(head, spec, measured, rules) for head, spec in heads.items()}
    if dataset is not None:
        refuse_own_overlap(dataset / "rows", {one.targets.shape[0] for one in shared.values()})
    champions, before, seen, since = None, None, None, NOBODY
    if champion_bundle is not None:
        card = read_json(champion_bundle / "card.json")
        before = Before(heads=card_heads(card), profile=card.get("data_profile"))
        contract = before.contract(heads, rules)
        alike = {name: heads[name] for name in contract.same_kind(heads)}
        file = _file(scores["champion"])
        champions = load_scores(file, alike, contract.counterparts, called=contract.former)
        if champion_seen is not None and dataset is not None:
            seen = seen_test_rows(dataset, load_seen(champion_seen))
            since = Since(version=champion_seen.version, new=new_test_rows(dataset, champion_seen))
    timings = timings_from_json(read_json(_file(measured.timing)))
    http = http_timings_from_json(read_json(_file(measured.http)))
    more = {baseline_label(head, number) for head in heads for number in range(2, rules.baseline_seeds + 1)}
    digests = {label: one.bundle_sha256 for label, one in scores.items() if label not in more}
    return [
        judge_accuracy(shared, baselines, rules, heads, further),
        *judge_references(shared, _references(heads, measured), rules, heads),
        judge_labels(shared, rules, heads),
        judge_champion(shared, champions, rules, heads, before, seen=seen, since=since),
        *judge_slices(shared, baselines, rules, heads, dataset, further),
        judge_latency(timings, rules, list(heads), digests),
        judge_http(http, rules, digests["shared"]),
        judge_memory(timings, rules, list(heads)),
    ]


def _further(
    head: str, spec: HeadSpec, measured: Measured, rules: GateRules
) -> tuple[HeadScores | None, ...]:
    """What the baselines of further seeds answered; None where one was not scored, for the gate to see."""
    found: list[HeadScores | None] = []
    for number in range(2, rules.baseline_seeds + 1):
        ref = measured.scores.get(baseline_label(head, number))
        found.append(None if ref is None else _of_baseline(ref, head, spec).get(head))
    return tuple(found)


def _of_baseline(ref: ScoresRef, head: str, spec: HeadSpec) -> dict[str, HeadScores]:
    """The answers of a head's baseline, which know what rows it was fitted without."""
    unseen = tuple(float(ref.unseen.get(label, 1.0)) for label in spec.labels) if ref.unseen else ()
    return {name: replace(one, unseen=unseen) for name, one in load_scores(_file(ref), {head: spec}).items()}


def _references(heads: Mapping[str, HeadSpec], measured: Measured) -> Answers:
    """What the references answered; a head measured without them is left out, for the gate to see."""
    return {
        name: load_reference_answers(_file(measured.references[name]), head)
        for name, head in heads.items()
        if name in measured.references
    }


def _file(ref: ScoresRef | TimingRef | AnswersRef) -> Path:
    return unchanged(ref.path, ref.sha256)
