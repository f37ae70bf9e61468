"""A plugin of MLflow's deployments gets what was approved and nothing else; our endpoint is one, too.

The plugin that is deployed to is a real one: a package in a folder on `sys.path`, found by its entry point.
Headgate's own is registered from what `pyproject.toml` declares, because an environment may hold the entry
points of an earlier installation.
"""

from __future__ import annotations

import importlib
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.config.load import load_project
from model.bundle.card import card_from_json
from release.home import Home
from release.journal import Journal
from release.moves.promote_by_hand import promote_by_hand
from release.moves.reconcile import resume_deployment
from release.moves.restore import restore
from release.moves.rollback import roll_back
from release.registry.candidate import Candidate
from release.registry.client import open_registry
from release.registry.deploy_clients import TargetUnknown
from release.registry.register import register_version
from release.releases import open_releases
from release.saved_settings import Settings, save_settings, state_file
from release.spec import RegistrySpec
from release.status import read_status
from release.targets.deploy import refuse_impossible
from release.targets.endpoint import EndpointDown
from release.targets.endpoint import start as start_endpoint
from release.targets.plugin import wrong_answer
from serving.client import get
from serving.process import control as process
from serving.spec import DeploySpec

ROOT = Path(__file__).resolve().parents[2]
SPEC = RegistrySpec()
Make = Callable[..., Candidate]

SHELF = '''
"""A deploy target: keeps models in a folder and answers from there."""
import json, os, pathlib, shutil
import mlflow.artifacts, mlflow.pyfunc
from mlflow.deployments import BaseDeploymentClient, PredictionsResponse

def target_help():
    return "a shelf"

def run_local(target, name, model_uri, flavor=None, config=None):
    raise NotImplementedError

class Shelf(BaseDeploymentClient):
    def __init__(self, target_uri):
        super().__init__(target_uri)
        self.root = pathlib.Path(os.environ["SHELF"])

    def create_deployment(self, name, model_uri, flavor=None, config=None, endpoint=None):
        (self.root / name).mkdir(parents=True, exist_ok=True)
        return self.update_deployment(name, model_uri, flavor, config)

    def update_deployment(self, name, model_uri=None, flavor=None, config=None, endpoint=None):
        if (self.root / "full").exists():
            raise OSError("the shelf is full")
        shutil.rmtree(self.root / name)
        model = mlflow.artifacts.download_artifacts(artifact_uri=model_uri, dst_path=str(self.root / name))
        about = {"name": name, "uri": model_uri, "model": model, "config": config}
        (self.root / f"{name}.json").write_text(json.dumps(about))
        return about

    def delete_deployment(self, name, config=None, endpoint=None):
        (self.root / f"{name}.json").unlink()
        shutil.rmtree(self.root / name)

    def list_deployments(self, endpoint=None):
        return [json.loads(file.read_text()) for file in self.root.glob("*.json")]

    def get_deployment(self, name, endpoint=None):
        return json.loads((self.root / f"{name}.json").read_text())

    def predict(self, deployment_name=None, inputs=None, endpoint=None):
        model = mlflow.pyfunc.load_model(self.get_deployment(deployment_name)["model"])
        if (self.root / "upside down").exists():
            inputs = inputs[::-1]
        return PredictionsResponse({"predictions": model.predict(inputs)})
'''


def install(site: Path, package: str, entry_point: str) -> None:
    """Make a distribution with one entry point known, as pip would."""
    about = site / f"{package}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[mlflow.deployments]\n{entry_point}\n")


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a real plugin named `shelf`."""
    site, folder = tmp_path / "site", tmp_path / "shelf"
    site.mkdir()
    folder.mkdir()
    (site / "shelf_target.py").write_text(SHELF)
    install(site, "shelf-target", "shelf = shelf_target")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("SHELF", str(folder))
    importlib.invalidate_caches()
    store = importlib.import_module("mlflow.deployments.interface").plugin_store
    store.register_entrypoints()
    yield folder
    store.registry.pop("shelf", None)


def on_shelf(shelf: Path) -> str | None:
    file = shelf / "toy.json"
    return json.loads(file.read_text())["uri"] if file.exists() else None


@pytest.fixture
def register(home: Home, candidate: Make) -> Callable[..., int]:
    """Registers a candidate; its version: `register(seed, "fail")`."""
    return lambda seed, outcome="pass": register_version(home, "toy", SPEC, candidate(seed, outcome)).version


def deploy_to(home: Home, spec: DeploySpec) -> None:
    save_settings(home, "toy", Settings(registry=SPEC, deploy=spec))


def test_a_target_gets_what_was_approved_and_gives_it_back(
    home: Home, register: Callable[..., int], shelf: Path
) -> None:
    """Deploy, swap, refuse, roll back, undo: one real plugin through all of it."""
    spec = DeploySpec(target="shelf", target_config={"size": "small"})
    deploy_to(home, spec)
    refuse_impossible(home, "toy", spec)
    done = promote_by_hand(home, "toy", register(1)).outcome
    assert (done.deployed, done.url, on_shelf(shelf)) == (True, "shelf:toy", "models:/toy/1")
    assert json.loads((shelf / "toy.json").read_text())["config"] == {"size": "small"}
    assert "deployed to the target shelf" in read_status(home.root, "toy")["projects"][0]["endpoint"]["says"]
    with pytest.raises(EndpointDown, match="deployed to the target 'shelf'"):
        start_endpoint(home.root, "toy")
    assert promote_by_hand(home, "toy", register(2)).outcome.serving == 2
    assert on_shelf(shelf) == "models:/toy/2"

    # Its answers are not the bundle's: the former version returns, on the shelf and in the registry.
    (shelf / "upside down").touch()
    bad = promote_by_hand(home, "toy", register(3)).outcome
    assert (bad.deployed, bad.serving) == (False, 2) and "golden text" in bad.reason
    assert on_shelf(shelf) == "models:/toy/2"
    (shelf / "upside down").unlink()
    # Nor does one whose code in the registry is not what was judged, though its bundle is.
    version = register(4)
    code = [path for path in home.mlflow.rglob("model_entry.py")]
    newest = max(code, key=lambda path: path.stat().st_mtime_ns)
    newest.write_text(newest.read_text() + "\n# something more\n")
    changed = promote_by_hand(home, "toy", version).outcome
    assert not changed.deployed and "model_entry.py changed" in changed.reason
    assert on_shelf(shelf) == "models:/toy/2"

    assert roll_back(home, "toy").serving == 1
    assert on_shelf(shelf) == "models:/toy/1"
    pointed = open_registry(home, "toy", SPEC).pointed()
    assert pointed is not None and pointed.aliases["champion"] == 1
    # A pointer that went back without the target is followed at the next start.
    assert promote_by_hand(home, "toy", register(5)).outcome.deployed
    restore(open_releases(home, "toy", SPEC), 5, "it answered wrongly")
    assert resume_deployment(home, "toy", SPEC, spec)
    assert on_shelf(shelf) == "models:/toy/1"
    assert resume_deployment(home, "toy", SPEC, spec) == ()


def test_a_target_that_does_not_take_a_version_says_nothing_of_it(
    home: Home, register: Callable[..., int], shelf: Path
) -> None:
    """Neither the first version nor a later one is taken back, and the next start tries again."""
    spec = DeploySpec(target="shelf")
    deploy_to(home, spec)
    for version in (1, 2):
        (shelf / "full").touch()
        done = promote_by_hand(home, "toy", register(version)).outcome
        assert (done.end, done.serving) == ("unconfirmed", version) and "the shelf is full" in done.reason
        assert Journal(home.journal / "toy.jsonl").entries()[-1].event == "unconfirmed"
        (shelf / "full").unlink()
        (said,) = resume_deployment(home, "toy", SPEC, spec)
        assert "was deployed" in said and on_shelf(shelf) == f"models:/toy/{version}"

    # A rollback that it does not take returns to the version that was left, and both stay.
    (shelf / "full").touch()
    done = roll_back(home, "toy")
    assert (done.end, done.serving) == ("unconfirmed", 2)
    (shelf / "full").unlink()
    assert open_releases(home, "toy", SPEC).folder.versions() == [1, 2]
    (said,) = resume_deployment(home, "toy", SPEC, spec)
    assert "version 2" in said and on_shelf(shelf) == "models:/toy/2"
    assert roll_back(home, "toy").deployed and on_shelf(shelf) == "models:/toy/1"


def test_a_target_that_nobody_installed_is_refused_before_anything_happens(
    home: Home, tmp_path: Path
) -> None:
    for target in ("nowhere", "headgate", "headgate:/srv"):
        with pytest.raises(TargetUnknown, match=r"deploy\.target"):
            refuse_impossible(home, "toy", DeploySpec(target=target))
    written = (ROOT / "configs" / "quickstart.yaml").read_text()
    config = tmp_path / "project.yaml"
    config.write_text(written.split("\ndeploy:")[0] + "\ndeploy: {target: shelf, target_config: {a: b}}\n")
    assert load_project(config).deploy.target_config == {"a": "b"}


def test_answers_of_a_target_are_compared_label_by_label(tmp_path: Path, write_bundle: Any) -> None:
    folder = tmp_path / "bundle"
    write_bundle(folder, 3)
    golden = json.loads((folder / "golden.json").read_text())
    card = card_from_json(json.loads((folder / "card.json").read_text()), where="card")
    rows = []
    for row in range(len(golden["texts"])):
        rows.append({})
        for head, about in card.heads.items():
            found = dict(zip(about.labels, golden["probabilities"][head][row], strict=True))
            top = max(found, key=lambda label: found[label])
            chosen = [top] if head == "mood" else [label for label in found if found[label] >= 0.5]
            rows[-1][head] = {"labels": [{"label": label, "probability": found[label]} for label in chosen]}
    assert wrong_answer(rows, golden, card) == ""
    assert "2 answers to 3" in wrong_answer(rows[:2], golden, card)
    for spoil, says in (
        (lambda answer: answer["mood"]["labels"].clear(), "another label"),
        (lambda answer: answer["mood"]["labels"][0].update(label="low?"), "not the bundle's"),
        (lambda answer: answer["mood"]["labels"][0].update(probability=0.123), "not the bundle's"),
        (lambda answer: answer["mood"]["labels"][0].update(probability=float("nan")), "not the bundle's"),
        (lambda answer: answer.pop("topics"), "no answer of head topics"),
    ):
        spoiled = json.loads(json.dumps(rows))
        spoil(spoiled[1])
        assert says in wrong_answer(spoiled, golden, card)
    flipped = json.loads(json.dumps(rows))
    at = next(row for row, answer in enumerate(rows) if answer["topics"]["labels"])
    flipped[at]["topics"]["labels"] = []
    assert "chosen differently" in wrong_answer(flipped, golden, card)


def test_our_endpoint_is_a_plugin_and_no_way_around_the_gate(
    home: Home, register: Callable[..., int], deploy_spec: DeploySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Create, ask, update, refuse, roll back, delete: through MLflow's own client."""
    import pandas as pd
    from mlflow.deployments import get_deploy_client
    from mlflow.exceptions import MlflowException

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    store = importlib.import_module("mlflow.deployments.interface").plugin_store
    monkeypatch.setitem(store.registry, "headgate", None)
    store.register("headgate", declared["mlflow.deployments"]["headgate"])
    deploy_to(home, deploy_spec)
    client = get_deploy_client(f"headgate:{home.root}")
    for seed, outcome in ((1, "pass"), (2, "fail"), (3, "pass")):
        register(seed, outcome)

    assert client.list_deployments() == []
    with pytest.raises(MlflowException, match="not deployed"):
        client.update_deployment("toy", "models:/toy/1")
    made = client.create_deployment("toy", "models:/toy/1", config={"max_texts": "64"})
    assert (made["name"], made["version"]) == ("toy", 1)
    assert [one["name"] for one in client.list_deployments()] == ["toy"]
    assert client.get_deployment("toy")["version"] == 1
    with pytest.raises(MlflowException, match="update it instead"):
        client.create_deployment("toy", "models:/toy/1")
    asked = client.predict("toy", pd.DataFrame({"text": ["late order", "rain"]}))
    assert len(asked["predictions"]) == 2 and asked["version"] == 1
    assert client.predict("toy", ["late order", "rain"]) == asked
    with pytest.raises(MlflowException, match="422"):
        client.predict("toy", [3])

    # Not past the gate: a failed version by number, by an alias that somebody moved, with an edited verdict.
    registry = open_registry(home, "toy", SPEC)
    registry.set_alias("champion", 2)
    registry.client.set_model_version_tag("toy", "2", "headgate.verdict", "pass")
    for uri in ("models:/toy/2", "models:/toy@champion"):
        with pytest.raises(MlflowException, match="verdict is fail"):
            client.update_deployment("toy", uri)
    for uri in ("models:/other/1", "runs:/abc/model", "/etc/passwd", "models:/toy@nobody", "models:/toy/99"):
        with pytest.raises(MlflowException):
            client.update_deployment("toy", uri)
    for config in ({"target": "x"}, {"colour": "red"}, {"port": "many"}):
        with pytest.raises(MlflowException, match="config"):
            client.update_deployment("toy", "models:/toy/3", config=config)
    assert client.get_deployment("toy")["version"] == 1

    url = client.update_deployment("toy", "models:/toy/3")["url"]
    assert get(url, "/version")[1]["version"] == 3
    assert client.update_deployment("toy", "models:/toy/1")["version"] == 1, "as a rollback"
    client.delete_deployment("toy")
    client.delete_deployment("toy")
    assert process.status(state_file(home, "toy")) is None
    again = client.create_deployment("toy", "models:/toy@champion", config={"workers": 2})
    assert again["version"] == 1
