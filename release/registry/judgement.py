"""How a registered version was judged, signed when it is registered: what a later promotion relies on.

Tags and artifacts of the registry can be changed by any of its clients, so a promotion by hand, days later,
reads this record instead. Does not decide whether the version may serve.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expectations.verdict import Verdict, verdict_from_json
from model.errors import HeadgateError
from model.faults import fault
from model.files import file_sha256
from release.registry.candidate import Candidate
from release.registry.client import Registry
from serving.store.signed import SignedFormat
from serving.store.signing import KeySource

JUDGEMENT_PATH = "judgement"
"""Artifact folder of the run that holds the record."""
JUDGEMENT_FILE = "judgement.json"


class NotJudged(HeadgateError):
    """A version has no record of its verdict that can be believed; nothing was moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict on a version, and on which bytes."""

    name: str
    """Registered model."""
    version: int
    """Registered version."""
    run: str
    """Run of the flow that made it; names the folder of its reports."""
    bundle_sha256: str
    """Digest of the bundle's manifest."""
    model_files: Mapping[str, str]
    """File of the registered MLflow model, bundle and reading code included → sha256."""
    verdict: Verdict
    evidence: Mapping[str, Any]
    configuration: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """A judgement as it is signed."""

    name: str
    version: int
    run: str
    bundle_sha256: str
    model_files: dict[str, str]
    verdict: dict[str, Any]
    evidence: dict[str, Any]
    configuration: dict[str, Any]


_FORMAT = SignedFormat(record=_Record, purpose="judgement", file=JUDGEMENT_FILE, error=NotJudged)


def model_digests(folder: Path) -> dict[str, str]:
    """Path below `folder` → sha256, of every file but what Python and MLflow leave behind on reading."""
    return {
        str(path.relative_to(folder)): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.name != "registered_model_meta"
    }


def sign_judgement(
    registry: Registry,
    private_key: Path,
    run_id: str,
    version: int,
    candidate: Candidate,
    model_files: Mapping[str, str],
) -> None:
    """Keep the signed record with the run of a version.

    Raises:
        serving.store.signing.KeyProblem: the key can't be used.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    record = _Record(
        name=registry.model,
        version=version,
        run=candidate.run_name,
        bundle_sha256=candidate.bundle_sha256,
        model_files=dict(model_files),
        verdict=candidate.verdict.to_json(),
        evidence=dict(candidate.evidence),
        configuration=dict(candidate.configuration),
    )
    text = _FORMAT.seal(record, private_key).decode()
    with registry.asked(f"log the judgement of version {version}"):
        registry.client.log_text(run_id, text, f"{JUDGEMENT_PATH}/{JUDGEMENT_FILE}")
    fault("judgement_logged")


def keep_former(registry: Registry, run_id: str, made_by: str) -> None:
    """Keep a copy of a version's present record under the name of the run that made it, before another takes
    its place.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    with tempfile.TemporaryDirectory() as temporary, registry.asked("keep the former judgement"):
        file = registry.client.download_artifacts(run_id, f"{JUDGEMENT_PATH}/{JUDGEMENT_FILE}", temporary)
        text = Path(file).read_text(encoding="utf-8")
        registry.client.log_text(run_id, text, f"{JUDGEMENT_PATH}/{made_by}.json")
    fault("judgement_kept")


def sign_judgement_again(registry: Registry, keys: KeySource, private_key: Path, version: int) -> None:
    """Sign the record of a version again, as it is, once it verifies with one of `keys`.

    Raises:
        NotJudged: there is none, or it was signed with none of them.
        release.registry.client.RegistryProblem: there is no such version, or the registry can't be reached.
    """
    run_id, text = _download(registry, version)
    sealed = _FORMAT.seal(_FORMAT.unseal(text, keys), private_key).decode()
    with registry.asked(f"log the judgement of version {version}"):
        registry.client.log_text(run_id, sealed, f"{JUDGEMENT_PATH}/{JUDGEMENT_FILE}")


def read_judgement(registry: Registry, keys: KeySource, version: int) -> Judgement:
    """The record of a version.

    Raises:
        NotJudged: there is none, or it is malformed, forged or of another version.
        release.registry.client.RegistryProblem: there is no such version, or the registry can't be reached.
    """
    what = f"version {version} of {registry.model!r}"
    _, text = _download(registry, version)
    try:
        record = _FORMAT.unseal(text, keys)
        fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
        judged = Judgement(**{**fields, "verdict": verdict_from_json(record.verdict)})
    except (NotJudged, ValueError, KeyError, TypeError) as error:
        raise NotJudged(
            f"{what}: the record of its verdict can't be believed ({error}); somebody changed it. Restore "
            "it, or train and register anew with `headgate retrain CONFIG`"
        ) from error
    if (judged.name, judged.version) != (registry.model, version):
        raise NotJudged(f"{what}: the record is of version {judged.version} of {judged.name!r}")
    return judged


def _download(registry: Registry, version: int) -> tuple[str, bytes]:
    """(Run, bytes of the record) of a version."""
    with registry.asked(f"read the judgement of version {version}"):
        run_id = registry.client.get_model_version(registry.model, str(version)).run_id or ""
        there = [file.path for file in registry.client.list_artifacts(run_id, JUDGEMENT_PATH)]
    if f"{JUDGEMENT_PATH}/{JUDGEMENT_FILE}" not in there:
        raise NotJudged(
            f"version {version} of {registry.model!r} has no signed record of its verdict; train and "
            "register it again"
        )
    with tempfile.TemporaryDirectory() as temporary, registry.asked(f"read the judgement of {version}"):
        file = registry.client.download_artifacts(run_id, f"{JUDGEMENT_PATH}/{JUDGEMENT_FILE}", temporary)
        return run_id, Path(file).read_bytes()
