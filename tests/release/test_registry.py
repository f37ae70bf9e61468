"""Every candidate becomes a version with its verdict; what is registered answers like its bundle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from expectations.verdict import ApprovedVersion
from model.bundle.reader import Bundle
from release.home import Home
from release.journal import Journal
from release.moves.promote import promote_version
from release.registry.candidate import Candidate
from release.registry.client import BUNDLE_TAG, REASONS_TAG, VERDICT_TAG, RegistryProblem, open_registry
from release.registry.register import BundleChanged, register_version
from release.registry.shipped_code import write_package
from release.spec import RegistrySpec

SPEC = RegistrySpec()
Make = Callable[..., Candidate]


def test_a_candidate_becomes_a_version_with_its_verdict_and_moves_no_alias(
    home: Home, candidate: Make
) -> None:
    made = candidate(outcome="fail")
    registered = register_version(home, "toy", SPEC, made)
    registry = open_registry(home, "toy", SPEC)
    tags = registry.version_tags(registered.version)
    assert (registered.version, registered.name) == (1, "toy")
    assert tags[VERDICT_TAG] == "fail"
    assert tags[REASONS_TAG] == "As good as alone"
    assert tags[BUNDLE_TAG] == made.bundle_sha256
    pointed = registry.pointed()
    assert pointed is not None and pointed.aliases == {} and pointed.pointer is None
    assert [entry.event for entry in Journal(home.journal / "toy.jsonl").entries()] == ["registered"]


def test_the_run_holds_what_is_known(home: Home, candidate: Make) -> None:
    made = replace(
        candidate(), metrics={"test/mood/accuracy": 0.9, "mood/p": float("inf"), "x[y]": float("nan")}
    )
    registered = register_version(home, "toy", SPEC, made)
    run = open_registry(home, "toy", SPEC).client.get_run(registered.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"train.epochs": "3"}
    assert run.data.metrics == {"test/mood/accuracy": 0.9}
    assert run.data.tags["headgate.not_finite"] == "mood/p, x[y]"
    datasets = [one.dataset for one in run.inputs.dataset_inputs]
    assert {one.name: one.digest for one in datasets} == {
        f"toy-{split}": "f" * 16 for split in ("train", "validation", "test")
    }


def test_a_registered_version_answers_as_its_bundle(home: Home, candidate: Make) -> None:
    """Two versions in one process, each answering with its own weights."""
    made = [candidate(seed) for seed in (1, 2)]
    texts = ["late order", "good sun"]
    for number, one in enumerate(made, start=1):
        registered = register_version(home, "toy", SPEC, one)
        assert registered.version == number
        mlflow.set_tracking_uri(registered.tracking_uri)
        model = mlflow.pyfunc.load_model(f"models:/toy/{number}")
        answers = model.predict(pd.DataFrame({"text": texts}), params={"all": True})
        expected = Bundle.load(one.bundle, threads=1).probabilities(texts)
        for row, answer in enumerate(answers):
            found = {entry["label"]: entry["probability"] for entry in answer["mood"]["probabilities"]}
            assert list(found.values()) == sorted(found.values(), reverse=True)
            assert [found[label] for label in ("low", "mid", "high")] == pytest.approx(
                expected["mood"][row].tolist(), abs=1e-6
            )
            chosen = {entry["label"] for entry in answer["topics"]["labels"]}
            applies = expected["topics"][row] >= 0.5
            assert chosen == {
                label for label, yes in zip(("weather", "delivery"), applies, strict=True) if yes
            }
        assert "probabilities" not in model.predict(pd.DataFrame({"text": texts}))[0]["mood"]
        assert model.metadata.signature.inputs.input_names() == ["text"]


def test_nothing_is_pickled_and_requirements_are_pinned(home: Home, candidate: Make) -> None:
    """Neither in the bundle, nor in what MLflow keeps of it, nor in the release folder."""
    made = candidate()
    registered = register_version(home, "toy", SPEC, made)
    approved = ApprovedVersion(name="toy", version=1, bundle_sha256=made.bundle_sha256, verdict=made.verdict)
    promote_version(home, "toy", SPEC, approved, bundle=made.bundle)
    registry = open_registry(home, "toy", SPEC)
    source = Path(registry.client.get_model_version_download_uri("toy", str(registered.version)))
    files = [
        p
        for folder in (made.bundle, home.mlflow / "artifacts", home.releases("toy"))
        for p in folder.rglob("*")
        if p.is_file()
    ]
    assert source.is_relative_to(home.mlflow) and len(files) > 20
    for path in files:
        data = path.read_bytes()
        assert path.suffix not in (".pkl", ".pickle", ".bin", ".pt", ".pth", ".joblib", ".npy", ".npz"), path
        # A pickle of protocol 2 to 5 begins with its number and ends with a stop; torch's files are zips.
        assert not (data[:1] == b"\x80" and data[1:2] in b"\2\3\4\5" and data.endswith(b".")), path
        assert not data.startswith(b"PK"), path
    requirements = (source / "requirements.txt").read_text().split()
    assert requirements and all("==" in requirement for requirement in requirements)


def test_shipped_code_reads_bundles_alone(tmp_path: Path, candidate: Make) -> None:
    """The package has a name of its own by content, and needs neither Headgate nor torch."""
    bundle = candidate().bundle
    package = write_package(tmp_path)
    (tmp_path / "again").mkdir()
    assert package.name == write_package(tmp_path / "again").name
    shipped = {path.stem for path in package.glob("*.py")}
    assert {"reader", "card", "answers"} <= shipped and not {"loop", "fit"} & shipped
    code = (
        f"import sys\nfrom {package.name}.reader import Bundle\n"
        f"print(len(Bundle.load({str(bundle)!r}, threads=1).predict(['hello'])))\n"
        "assert not {'torch', 'model', 'transformers', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "1", done.stderr


def test_a_bundle_that_changed_since_it_was_judged_is_not_registered(home: Home, candidate: Make) -> None:
    made = candidate()
    (made.bundle / "manifest.json").write_text("{}")
    with pytest.raises(BundleChanged, match="was judged"):
        register_version(home, "toy", SPEC, made)
    assert open_registry(home, "toy", SPEC).pointed() is None


def test_a_registry_that_is_down_is_told_at_once(
    home: Home, candidate: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    spec = RegistrySpec(tracking_uri="http://127.0.0.1:9")
    begin = time.monotonic()
    with pytest.raises(RegistryProblem, match=r"registry http://127\.0\.0\.1:9"):
        register_version(home, "toy", spec, candidate())
    assert time.monotonic() - begin < 10


@pytest.mark.slow
def test_mlflow_serves_a_registered_version(
    home: Home, candidate: Make, child_environment: dict[str, str]
) -> None:
    registered = register_version(home, "toy", SPEC, candidate())
    binaries = Path(sys.executable).parent
    environment = {**child_environment, "PATH": f"{binaries}:{os.environ['PATH']}", "PYTHONPATH": ""}
    command = [binaries / "mlflow", "models", "serve", "-m", f"models:/toy/{registered.version}"]
    environment["MLFLOW_TRACKING_URI"] = registered.tracking_uri
    log = (home.logs / "serve.log").open("w")
    process = subprocess.Popen(
        [*map(str, command), "--env-manager", "local", "--port", "18765", "--workers", "1"],
        env=environment,
        stdout=log,
        stderr=log,
        cwd="/",
        start_new_session=True,
    )
    try:
        body = json.dumps({"dataframe_split": {"columns": ["text"], "data": [["late order"]]}}).encode()
        request = urllib.request.Request(
            "http://127.0.0.1:18765/invocations", body, {"Content-Type": "application/json"}
        )
        deadline = time.monotonic() + 90
        while True:
            try:
                reply = json.load(urllib.request.urlopen(request, timeout=10))
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, (
                    home.logs / "serve.log"
                ).read_text()
                time.sleep(0.5)
        assert set(reply["predictions"][0]) == {"mood", "topics"}
    finally:
        os.killpg(process.pid, 15)
        process.wait(timeout=20)
        log.close()
