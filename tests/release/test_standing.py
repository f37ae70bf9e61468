"""How inputs stand to what was judged before: real releases, signed records, and what counts as changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from expectations.verdict import ApprovedVersion, Outcome
from release.champion import ChampionRef, current_champion
from release.home import Home
from release.journal import Entry, Journal
from release.keys import signing_pair
from release.moves.promote import promote_version
from release.moves.rollback import roll_back
from release.registry.candidate import INPUTS_EVIDENCE, Candidate
from release.registry.register import register_version
from release.runs.inputs import Inputs
from release.runs.judged import JudgedInputs, find_judged, judged_file, keep_judged
from release.runs.standing import Standing, standing_of
from release.saved_settings import Settings, save_settings
from release.spec import RegistrySpec
from serving.spec import DeploySpec

SPEC = RegistrySpec()
Make = Callable[..., Candidate]


@pytest.fixture(autouse=True)
def settled(home: Home, deploy_spec: DeploySpec) -> None:
    """The project is known, and deployed nowhere yet."""
    save_settings(home, "toy", Settings(registry=SPEC, deploy=deploy_spec))


def inputs(**changed: str) -> Inputs:
    """Inputs that differ from others in the fields given."""
    parts = {
        "data": {"rows": "r", "head mood": "m"},
        "configuration": {"gates.margin": "g", "train.epochs": "e"},
        "backbone": {"offline": "b"},
        "code": {"model": "c"},
        "dependencies": {"torch": "2.13.0"},
    }
    for name, value in changed.items():
        part, _, field = name.partition("__")
        parts[part] = {**parts[part], field.replace("_", "."): value}
    return Inputs(parts=parts, dataset="now")


def serve(home: Home, made: Candidate, of: Inputs) -> tuple[int, ChampionRef]:
    """Register and promote a candidate made of these inputs, and keep what came of them."""
    made = replace(made, evidence={**made.evidence, INPUTS_EVIDENCE: of.digest})
    before = current_champion(home, "toy")
    version = register_version(home, "toy", SPEC, made).version
    judge(home, of, made.verdict.outcome, before, version=version)
    approved = ApprovedVersion(
        name="toy", version=version, bundle_sha256=made.bundle_sha256, verdict=made.verdict
    )
    promote_version(home, "toy", SPEC, approved, bundle=made.bundle, evidence=made.evidence)
    champion = current_champion(home, "toy")
    assert champion is not None
    return version, champion


def judge(
    home: Home, of: Inputs, outcome: Outcome, champion: ChampionRef | None, *, version: int = 0
) -> JudgedInputs:
    """Keep a record of a verdict on these inputs."""
    finding = {"subject": "mood", "outcome": outcome, "reason": "so it is"}
    record = JudgedInputs(
        name="toy",
        inputs=of.digest,
        parts={part: dict(names) for part, names in of.parts.items()},
        against="" if champion is None else champion.bundle.sha256,
        run="a-run",
        dataset="before",
        scored_bundles={},
        measured={},
        verdict={"gate": "release", "findings": [finding]},
        remarks=[],
        version=version,
    )
    keep_judged(home, record, signing_pair(home, "toy", SPEC)[0])
    return record


def standing(home: Home, of: Inputs, least_rows: int = 0) -> Standing:
    champion = current_champion(home, "toy")
    return standing_of(home, "toy", SPEC, of, champion=champion, least_rows=least_rows)


def test_the_inputs_of_the_champion_are_unchanged_and_others_have_their_differences_named(
    home: Home, candidate: Make
) -> None:
    assert standing(home, inputs()).kind == "new"
    serve(home, candidate(1), inputs())
    same = standing(home, inputs())
    assert same.kind == "unchanged" and "compared with version 1" in same.said and same.record is not None
    other = standing(home, inputs(configuration__gates_margin="x", dependencies__torch="2.14.0"))
    assert other.kind == "new"
    assert other.said == "changed since version 1: gates.margin g → x; torch 2.13.0 → 2.14.0"


def test_what_a_rollback_withdrew_is_not_made_again_and_what_was_followed_may_be(
    home: Home, candidate: Make
) -> None:
    first, second, third = (inputs(configuration__train_epochs=text) for text in "123")
    serve(home, candidate(1), first)
    serve(home, candidate(2), second)
    assert standing(home, first).kind == "new", "followed by another version is not withdrawn"
    roll_back(home, "toy")
    found = standing(home, second)
    assert found.kind == "withdrawn" and found.said.startswith("version 2 was withdrawn on 20")
    assert standing(home, first).kind == "unchanged"
    serve(home, candidate(3), third)
    assert standing(home, second).kind == "withdrawn", "also after a later version"
    roll_back(home, "toy", 2)
    assert standing(home, second).kind == "unchanged", "it serves again"


def test_what_a_rollback_went_behind_is_made_anew_instead_of_promoted(home: Home, candidate: Make) -> None:
    """An older version can't be promoted: taken up, it would be held in every run."""
    first, second, third = (inputs(configuration__train_epochs=text) for text in "123")
    for seed, of in enumerate((first, second, third), start=1):
        serve(home, candidate(seed), of)
    roll_back(home, "toy", 1)
    assert standing(home, second).kind == "new"


def test_a_consent_that_is_used_up_may_go_without_a_training(home: Home, candidate: Make) -> None:
    allowed = "configuration__gates_contract_allow"
    serve(home, candidate(1), inputs(**{allowed: "drop tone"}))
    found = standing(home, inputs(**{allowed: ""}))
    assert found.kind == "unchanged" and found.said == (
        "compared with version 1: consents alone differ, and nothing is lost"
    )
    assert standing(home, inputs(**{allowed: "", "data__rows": "x"})).kind == "new"


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_what_did_not_pass_is_decided_beside_the_same_champion_alone(
    home: Home, candidate: Make, outcome: Outcome
) -> None:
    _, champion = serve(home, candidate(1), inputs())
    tried = inputs(configuration__train_epochs="9")
    judge(home, tried, outcome, champion)
    assert standing(home, tried).kind == "unfinished", "judged, and not yet registered"
    judge(home, tried, outcome, champion, version=7)
    found = standing(home, tried)
    assert found.kind == "decided" and "version 7, judged on 20" in found.said
    serve(home, candidate(2), inputs(configuration__train_epochs="5"))
    assert standing(home, tried).kind == "new", "the champion that it lost against serves no more"


@pytest.mark.parametrize("damage", ["flip", "empty", "cut", "folder", "another's"])
def test_a_record_that_can_not_be_believed_counts_as_changed(home: Home, damage: str) -> None:
    judge(home, inputs(), "fail", None, version=7)
    keys = signing_pair(home, "toy", SPEC)[1]
    assert find_judged(home, "toy", inputs().digest, keys) is not None
    file = judged_file(home, "toy", inputs().digest)
    data = file.read_bytes()
    if damage == "folder":
        file.unlink()
        file.mkdir()
    elif damage == "another's":
        other = judge(home, inputs(code__model="x"), "pass", None, version=8)
        file.write_bytes(judged_file(home, "toy", other.inputs).read_bytes())
    else:
        spoilt = {"flip": data.replace(b"fail", b"pass"), "empty": b"", "cut": data[: len(data) // 2]}
        file.write_bytes(spoilt[damage])
    assert find_judged(home, "toy", inputs().digest, keys) is None
    assert standing(home, inputs()).kind == "new"


def dataset(home: Home, name: str, moods: list[str | None]) -> None:
    folder = home.data / name
    folder.mkdir()
    ids = [f"{number:064d}" for number in range(len(moods))]
    columns = {"split": ["train"] * len(ids), "weight": [1.0] * len(ids), "group": [None] * len(ids)}
    table = pl.DataFrame({"text_id": ids, "text": ids, **columns, "head:mood": moods})
    table.write_parquet(folder / "dataset.parquet")


def test_few_changed_rows_are_nothing_to_do_where_the_project_says_so(home: Home, candidate: Make) -> None:
    serve(home, candidate(1), inputs())
    dataset(home, "before", ["glad", "sad", None, "sad"])
    dataset(home, "now", ["glad", "glad", "sad", None, "sad"])  # two others, one gone, one new: 4
    changed = inputs(data__rows="x")
    assert standing(home, changed).kind == "new"
    assert "rows: 4 of head mood" in standing(home, changed).said
    assert standing(home, changed, 4).kind == "new"
    few = standing(home, changed, 5)
    assert few.kind == "unchanged" and few.said.endswith("fewer than schedule.min_change, 5")
    both = inputs(data__rows="x", configuration__gates_margin="x")
    assert standing(home, both, 5).kind == "new", "more than the data changed"


def test_a_champion_of_an_older_headgate_counts_as_changed(home: Home, candidate: Make) -> None:
    made = candidate(1)
    version = register_version(home, "toy", SPEC, made).version
    approved = ApprovedVersion(
        name="toy", version=version, bundle_sha256=made.bundle_sha256, verdict=made.verdict
    )
    promote_version(home, "toy", SPEC, approved, bundle=made.bundle, evidence=made.evidence)
    found = standing(home, inputs())
    assert found.kind == "new" and "is not known, which counts as changed" in found.said


def test_records_do_not_grow_for_ever(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("release.runs.judged.MOST_RECORDS", 3)
    for number in range(6):
        judge(home, inputs(code__model=str(number)), "fail", None, version=1)
    assert len(list(Path(home.judged / "toy").iterdir())) == 3


def test_a_first_deployment_that_a_fault_undid_is_tried_again(home: Home, candidate: Make) -> None:
    made, of = candidate(1), inputs()
    version = register_version(home, "toy", SPEC, made).version
    judge(home, of, "pass", None, version=version)
    Journal(home.journal / "toy.jsonl").append(Entry(event="withdrawn", version=version))
    assert standing(home, of).kind == "unfinished"


def test_the_champions_record_stays_however_many_follow(
    home: Home, candidate: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("release.runs.judged.MOST_RECORDS", 3)
    serve(home, candidate(1), inputs())
    os.utime(judged_file(home, "toy", inputs().digest), (0, 0))
    for number in range(6):
        judge(home, inputs(code__model=str(number)), "fail", None, version=1)
    assert len(list(Path(home.judged / "toy").iterdir())) == 4
    assert standing(home, inputs()).record is not None
