"""A run that was overtaken ends `Held`; the command that it prints compares it again, and it is deployed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expectations.verdict import ApprovedVersion
from flows.state_folder import with_home
from release.home import Home
from release.moves.carry import _candidate
from release.moves.promote import promote_version
from release.moves.rollback import roll_back
from release.registry.client import open_registry
from release.registry.register import register_version
from release.releases import open_releases
from release.spec import RegistrySpec
from serving.store.manifest import BUNDLE_FOLDER, verify_release, verify_seen
from tests.endtoend.test_retrain_flow import NAME, _project, _with, _write_data, run
from tests.support.tiny_encoder import make_tiny_backbone
from tests.support.toy_bundle import write_bundle_manifest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def place(tmp_path: Path, prefect_harness: None) -> Iterator[Path]:
    """A project whose first version serves."""
    from release.targets.endpoint import stop

    make_tiny_backbone(tmp_path / "encoder")
    _write_data(tmp_path)
    state, outcome = run(_project(tmp_path, notify=[]))
    assert state == "Deployed", outcome.reasons
    yield tmp_path
    stop(tmp_path / "home", NAME)


def second_version(place: Path) -> None:
    """Version 1's bundle under another digest, judged beside version 1, promoted as version 2."""
    home, spec = Home(place / "home"), RegistrySpec()
    releases = open_releases(home, NAME, spec)
    where = releases.folder.version_dir(1)
    manifest = verify_release(where, releases.public_key, NAME)
    bundle = place / "second"
    shutil.copytree(where / BUNDLE_FOLDER, bundle)
    card = json.loads((bundle / "card.json").read_text())
    (bundle / "card.json").write_text(json.dumps(card, indent=3))
    digest = write_bundle_manifest(bundle)
    scored = {**manifest.evidence["scored_bundles"], "shared": digest, "champion": manifest.bundle_sha256}
    made = replace(
        _candidate(releases, where, manifest, verify_seen(where, manifest)),
        bundle=bundle,
        bundle_sha256=digest,
        evidence={**manifest.evidence, "scored_bundles": scored},
    )
    version = register_version(home, NAME, spec, made).version
    approved = ApprovedVersion(name=NAME, version=version, bundle_sha256=digest, verdict=made.verdict)
    promote_version(
        home,
        NAME,
        spec,
        approved,
        bundle=bundle,
        evidence=made.evidence,
        configuration=manifest.configuration,
    )


def test_the_command_that_a_held_run_prints_leads_to_a_deployment(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the run measures, a person goes back to the version before the one that it is compared with."""
    import tasks.release.promote as task
    from release.targets.endpoint import ask

    home = Home(place / "home")
    second_version(place)

    def overtaken(*given: Any, **named: Any) -> Any:
        assert roll_back(home, NAME).serving == 1
        return promote_version(*given, **named)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(task, "promote_version", overtaken)
        state, outcome = run(_with(place, label_check="baseline", notify=[]))
    assert (state, outcome.stage, outcome.exit_code) == ("Held", "held", 4), outcome.reasons
    assert ask(home.root, NAME, ["tea bread soup milk"])["version"] == 1

    [printed] = re.findall(r"`(headgate judge [^`]+)`", with_home(outcome.reasons[0], home.root))
    assert printed.startswith(f"headgate judge {NAME} 3 --home ")
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli.commands", *shlex.split(printed)[1:]],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Deployed" in done.stdout
    assert ask(home.root, NAME, ["tea bread soup milk"])["version"] == 3
    pointed = open_registry(home, NAME, RegistrySpec()).pointed()
    assert pointed is not None and pointed.aliases == {"champion": 3, "previous": 1}
