"""A run that would take something away from the champion's clients ends before it trains, with the line that
consents; with it the run goes on, and every other head is judged as ever."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.cli.console import show_outcome
from flows.outcome import Outcome
from release.home import Home
from release.registry.judgement import read_judgement
from release.releases import open_releases
from release.spec import RegistrySpec
from tests.support.rough_timing import ROUGH_TIMING
from tests.support.tiny_encoder import make_tiny_backbone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
NAME = "kitchen"
WORDS = {
    "weather": ["sun", "rain", "wind", "snow"],
    "food": ["tea", "milk", "bread", "soup"],
    "pets": ["cat", "dog", "hen", "fox"],
}
ORDER = ["food", "pets", "weather"]
Heads = Mapping[str, Any]


def write_data(folder: Path, *, without: str = "", called: Mapping[str, str] | None = None) -> None:
    """Texts whose majority is the topic; `cold` and `drink` apply by single words, and so does `indoors`."""
    dice, split = random.Random(5), ["train"] * 6 + ["validation"] + ["test"] * 3
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "topic", "marks", "place", "split"])
        for number in range(900):
            topic = dice.choice(sorted(WORDS))
            other = dice.choice([one for one in sorted(WORDS) if one != topic])
            words = dice.choices(WORDS[topic], k=6) + dice.choices(WORDS[other], k=2)
            dice.shuffle(words)
            said = set(words)
            marks = [m for m, by in (("drink", {"tea", "milk"}), ("cold", {"snow", "wind"})) if by & said]
            place = "indoors" if said & {"soup", "cat"} else "outdoors"
            if topic != without:
                topic = (called or {}).get(topic, topic)
                row = [" ".join(words) + " s" * (number % 3), topic, "|".join(marks), place]
                writer.writerow([*row, split[number % 10]])


def configure(folder: Path, heads: Heads, *allow: str) -> Path:
    marks = {"column": "marks", "encoding": "separator", "separator": "|", "empty_means_none": True}
    columns: dict[str, Any] = {"topic": "topic", "marks": marks, "place": "place"}
    if heads.get("place") == "multilabel":
        columns["place"] = {"column": "place", "encoding": "separator", "separator": "|"}
    source = {
        "path": "rows.csv",
        "split_column": "split",
        "heads": {name: column for name, column in columns.items() if name in heads},
    }
    gates: dict[str, Any] = {
        "margin": 0.3,
        "champion_margin": 0.3,
        "references": {"majority": "off", "bag_of_words": "off"},
        "allow_unanswered": {},
        **ROUGH_TIMING,
        "http_rate_per_s": 30,
        "max_memory_ratio": 20,
    }
    if allow:
        gates["contract"] = {"allow": list(allow)}
    recipe = {"epochs": 5, "learning_rate": 3e-3, "head_learning_rate": 1e-2, "max_length": 16, "threads": 1}
    project = {
        "name": NAME,
        "backbone": str(folder / "encoder"),
        "heads": dict(heads),
        "sources": {"rows": source},
        "train": recipe,
        "gates": gates,
        "deploy": {"port": 0, "threads": 1},
    }
    path = folder / "project.yaml"
    path.write_text(yaml.safe_dump(project, allow_unicode=True), encoding="utf-8")
    return path


def run(config: Path, which: str = "retrain") -> tuple[str, Outcome]:
    from flows.retrain import retrain
    from flows.validate import validate

    flow: Any = {"retrain": retrain, "validate": validate}[which]
    state = flow(config, home=config.parent / "home", return_state=True)
    outcome = state.result(raise_on_failure=False)
    assert isinstance(outcome, Outcome), outcome
    return state.name, outcome


FIRST: Heads = {"topic": "multiclass", "marks": "multilabel", "place": "multiclass"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, prefect_harness: None) -> Iterator[Path]:
    """A project whose first version serves; its endpoint is stopped at the end."""
    from release.targets.endpoint import stop

    folder = tmp_path_factory.mktemp("project")
    make_tiny_backbone(folder / "encoder")
    write_data(folder)
    state, outcome = run(configure(folder, FIRST))
    assert (state, outcome.stage) == ("Deployed", "deployed"), outcome.reasons
    yield folder
    stop(folder / "home", NAME)


def trained(folder: Path) -> int:
    return len(list((folder / "home" / "runs").glob("*/shared")))


def asked_then_done(
    folder: Path, heads: Heads, line: str, capsys: pytest.CaptureFixture[str]
) -> tuple[Outcome, Outcome]:
    """Without consent the run ends before it trains; with the lines that it printed it deploys."""
    before = trained(folder)
    state, asked = run(configure(folder, heads))
    assert (state, asked.stage, asked.exit_code) == ("NeedsConsent", "needs_consent", 4), asked.reasons
    assert trained(folder) == before and not asked.registered
    capsys.readouterr()
    show_outcome(asked, home=folder / "home")
    shown = capsys.readouterr().out
    assert asked.paste in shown
    lines = yaml.safe_load(asked.paste)["gates"]["contract"]["allow"]
    assert lines == [line]
    state, done = run(configure(folder, heads, *lines))
    assert (state, done.stage) == ("Deployed", "deployed"), done.reasons
    releases = open_releases(Home(folder / "home"), NAME, RegistrySpec())
    judged = read_judgement(releases.registry, releases.public_key, done.registered["version"])
    named = {f.subject: f.reason for f in judged.verdict.findings if f.subject.startswith("contract")}
    assert (
        list(named) == [f"contract: {line}"]
        and "`gates.contract.allow` consents to it" in named[f"contract: {line}"]
    )
    return asked, done


def reason(folder: Path, done: Outcome, subject: str) -> str:
    releases = open_releases(Home(folder / "home"), NAME, RegistrySpec())
    judged = read_judgement(releases.registry, releases.public_key, done.registered["version"])
    return next(finding.reason for finding in judged.verdict.findings if finding.subject == subject)


# One after the other, each beside the champion that the one before left.


def test_a_renamed_label(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data(place, called={"weather": "climate"})
    asked, done = asked_then_done(place, FIRST, "rename topic:weather → climate", capsys)
    assert "`climate`: most of its texts bear that name now" in asked.reasons[0]
    assert "`weather` is compared as `climate`" in reason(place, done, "topic vs champion")
    assert not [remark for remark in done.remarks if "climate" in remark], "a new name is no drift"
    # The night after it names nothing: a remark, and no reason to end.
    state, again = run(configure(place, FIRST, "rename topic:weather → climate"), "validate")
    assert state == "Accepted", again.reasons
    assert any("`rename topic:weather → climate` names nothing" in remark for remark in again.remarks)
    assert not any("a retraining ends" in remark for remark in again.remarks)
    write_data(place)
    state, back = run(configure(place, FIRST), "validate")
    assert state == "Accepted", "the data are not to blame"
    assert any(remark.startswith("a retraining ends before it trains: label") for remark in back.remarks)


def test_another_order(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data(place, called={"weather": "climate"})
    turned = {**FIRST, "topic": {"kind": "multiclass", "labels": ["pets", "food", "climate"]}}
    asked, _ = asked_then_done(place, turned, "reorder topic", capsys)
    assert "`topic`" in asked.reasons[0]


def test_a_label_that_goes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data(place, without="pets", called={"weather": "climate"})
    fewer = {**FIRST, "topic": {"kind": "multiclass", "labels": ["food", "climate"]}}
    asked, done = asked_then_done(place, fewer, "drop topic:pets", capsys)
    assert "label `pets` of `topic` is not answered any more (it had " in asked.reasons[0]
    assert "`pets` gone from it: " in reason(place, done, "topic vs champion")


def test_another_kind(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data(place, without="pets", called={"weather": "climate"})
    heads = {**FIRST, "topic": {"kind": "multiclass", "labels": ["food", "climate"]}, "place": "multilabel"}
    _, done = asked_then_done(place, heads, "kind place multiclass → multilabel", capsys)
    assert "judged without the champion" in reason(place, done, "place vs champion")
    assert "against the champion" in reason(place, done, "topic vs champion"), "judged as ever"


def test_a_head_that_goes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from release.targets.endpoint import ask
    from serving import client

    write_data(place, without="pets", called={"weather": "climate"})
    heads = {"topic": {"kind": "multiclass", "labels": ["food", "climate"]}, "marks": "multilabel"}
    _, done = asked_then_done(place, heads, "drop place", capsys)
    url, version = done.deployed["url"], done.deployed["version"]
    assert set(ask(place / "home", NAME, ["tea bread"])["answers"][0]) == {"topic", "marks"}
    status, _, reply = client.request(url, "POST", "/predict", {"texts": "tea", "heads": ["place"]})
    assert status == 422 and f"version {version} (" in reply.decode() and "dropped it" in reply.decode()
