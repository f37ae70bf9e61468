"""The release manifest: which bytes may serve, under which name and version, and on what evidence.

`write_release` signs one; `verify_release` is what stands between a folder on disk and traffic. It
trusts nothing that it can check: hashes are taken again and the verdict's outcome follows from its
findings. Does not know how a verdict came about, nor how a bundle is loaded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from model.errors import HeadgateError
from model.files import write_bytes
from serving.store import signing
from serving.store.override import Override, OverrideProblem, read_override

RELEASE_FILE = "release.json"
SIGNATURE_FILE = "release.sig"
BUNDLE_FOLDER = "bundle"
BUNDLE_MANIFEST = "manifest.json"
BUNDLE_FILES = frozenset({"model.onnx", "tokenizer.json", "card.json", "golden.json"})
"""What every bundle holds besides its manifest. Anything else in the folder is refused."""
SCHEMA_VERSION = 2
"""Of what is written. Version 1, without files, configuration and code version, is still read: what serves
must go on serving when this program is exchanged."""

MAX_MANIFEST_BYTES = 32 * 2**20


class ReleaseRefused(HeadgateError):
    """A version may not serve. The message says why and holds no paths: it is shown to clients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseManifest:
    """What is signed about a version."""

    name: str
    """Registered model."""
    version: int
    """Registered version; also the name of its folder."""
    sequence: int
    """Order of approvals: a later one has a larger number. The registered version will do."""
    bundle_sha256: str
    """sha256 of the bundle's `manifest.json`, which holds the sha256 of each file."""
    files: Mapping[str, str] = field(default_factory=dict)
    """File of the bundle → sha256 of its bytes. Filled in when it is written."""
    verdict: Mapping[str, Any]
    """The release verdict as JSON: gate, outcome, findings."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """Figures behind the verdict: sample counts, threads, machine, seeds."""
    dataset_fingerprint: str = ""
    """Fingerprint of the dataset that it was trained and judged on."""
    code_digest: str = ""
    """Digest of the code that trained and packaged it."""
    code_version: str = ""
    """Version of Headgate that approved it."""
    configuration: Mapping[str, Any] = field(default_factory=dict)
    """What it was made by: sha256 of the configuration file, recipe, gates and their thresholds."""
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """When it was approved: ISO 8601, UTC."""
    override: Override | None = None
    """Set by `verify_release` where the version serves by an override. A file of its own, not signed here."""

    @property
    def outcome(self) -> str:
        """`pass`, `fail` or `inconclusive`, from the findings; the stored word is not read."""
        return verdict_outcome(self.verdict)

    def to_bytes(self) -> bytes:
        """The JSON that is signed and written.

        Raises:
            ValueError: a figure is NaN or infinite.
        """
        raw = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "override"}
        raw["schema_version"] = SCHEMA_VERSION
        return json.dumps(raw, sort_keys=True, indent=1, allow_nan=False).encode()


def verdict_outcome(verdict: Mapping[str, Any]) -> str:
    """What a verdict's findings amount to: `pass` only if there are some, all pass and all figures are
    finite; `fail` if one fails; else `inconclusive`."""
    findings = verdict.get("findings")
    if not isinstance(findings, list | tuple) or not findings:
        return "inconclusive"
    outcomes = set()
    for finding in findings:
        if not isinstance(finding, Mapping) or not isinstance(finding.get("figures", {}), Mapping):
            return "inconclusive"
        outcomes.add(finding.get("outcome"))
        for figure in finding.get("figures", {}).values():
            if isinstance(figure, float) and not math.isfinite(figure):
                outcomes.add("inconclusive")
    if "fail" in outcomes:
        return "fail"
    return "pass" if outcomes == {"pass"} else "inconclusive"


def write_release(version_dir: Path, manifest: ReleaseManifest, private_key: Path) -> None:
    """Write `release.json` and `release.sig` into a version's folder, which holds its bundle.

    Raises:
        ReleaseRefused: the bundle's manifest can't be read.
        serving.store.signing.KeyProblem: the key can't be used.
        ValueError: a figure is NaN or infinite.
    """
    data = dataclasses.replace(manifest, files=_digests(version_dir / BUNDLE_FOLDER)).to_bytes()
    write_bytes(version_dir / RELEASE_FILE, data)
    write_bytes(version_dir / SIGNATURE_FILE, signing.sign(data, private_key, "release"))


def verify_release(version_dir: Path, public_key: Path, name: str) -> ReleaseManifest:
    """The manifest of a version that may serve, every byte of its bundle checked.

    Args:
        version_dir: folder of the version; its own name is the version's number.
        public_key: PEM file of the key that releases must be signed with.
        name: registered model that the version must belong to.

    Raises:
        ReleaseRefused: it may not serve, with the reason.
        serving.store.signing.KeyProblem: the public key can't be used.
    """
    for folder in (version_dir, version_dir / BUNDLE_FOLDER):
        # A link could be turned elsewhere between this look and the next.
        if folder.is_symlink():
            raise ReleaseRefused(f"{folder.name}: a link, expected a folder")
    data = _read(version_dir / RELEASE_FILE, MAX_MANIFEST_BYTES)
    signature = _read(version_dir / SIGNATURE_FILE, 1024)
    try:
        signing.verify(data, signature, public_key, "release")
    except signing.BadSignature as error:
        raise ReleaseRefused(f"{RELEASE_FILE}: {error}") from error
    manifest = _parse(data)
    if manifest.name != name:
        raise ReleaseRefused(f"{RELEASE_FILE}: signed for another model than the one that serves here")
    if str(manifest.version) != version_dir.name:
        raise ReleaseRefused(f"{RELEASE_FILE}: signed for version {manifest.version}, not for this folder's")
    verify_bundle_files(version_dir / BUNDLE_FOLDER, manifest.bundle_sha256)
    if manifest.files and manifest.files != _digests(version_dir / BUNDLE_FOLDER):
        raise ReleaseRefused(f"{RELEASE_FILE}: its files are not those of the bundle's {BUNDLE_MANIFEST}")
    if manifest.outcome == "pass":
        return manifest
    try:
        override = read_override(version_dir, public_key)
    except OverrideProblem as error:
        raise ReleaseRefused(
            f"the verdict is {manifest.outcome} and the override is void: {error}"
        ) from error
    if override is None:
        raise ReleaseRefused(f"the verdict is {manifest.outcome}, not pass")
    claimed = (override.name, override.version, override.bundle_sha256)
    if claimed != (manifest.name, manifest.version, manifest.bundle_sha256):
        raise ReleaseRefused(f"the verdict is {manifest.outcome} and the override is for another version")
    return dataclasses.replace(manifest, override=override)


def verify_bundle_files(bundle: Path, sha256: str) -> None:
    """Return if the bundle's manifest has this digest and every file is as the manifest says.

    Raises:
        ReleaseRefused: a file is missing, added, altered or not a plain file.
    """
    data = _read(bundle / BUNDLE_MANIFEST, MAX_MANIFEST_BYTES)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ReleaseRefused(f"bundle {BUNDLE_MANIFEST}: its digest is not the one that was approved")
    raw = _json_object(data, f"bundle {BUNDLE_MANIFEST}")
    files = raw.get("files")
    if not isinstance(files, dict) or set(files) != BUNDLE_FILES:
        raise ReleaseRefused(f"bundle {BUNDLE_MANIFEST}: expected exactly the files {sorted(BUNDLE_FILES)}")
    present = {entry.name for entry in bundle.iterdir()}
    if present != BUNDLE_FILES | {BUNDLE_MANIFEST}:
        raise ReleaseRefused("bundle: the folder holds more or fewer files than its manifest names")
    for file_name, about in files.items():
        if not isinstance(about, dict) or file_sha256(bundle / file_name) != about.get("sha256"):
            raise ReleaseRefused(f"bundle {file_name}: its bytes are not the ones that were approved")


def _digests(bundle: Path) -> dict[str, str]:
    """File → sha256, as the bundle's own manifest has it."""
    raw = _json_object(_read(bundle / BUNDLE_MANIFEST, MAX_MANIFEST_BYTES), f"bundle {BUNDLE_MANIFEST}")
    files = raw.get("files")
    if not isinstance(files, dict) or not all(isinstance(about, dict) for about in files.values()):
        raise ReleaseRefused(f"bundle {BUNDLE_MANIFEST}: expected the sha256 of every file")
    return {name: str(about.get("sha256")) for name, about in files.items()}


def file_sha256(path: Path) -> str:
    """sha256 of a plain file, as hex.

    Raises:
        ReleaseRefused: it can't be read, or is a link or anything else than a plain file.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ReleaseRefused(f"{path.name}: not a plain file")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ReleaseRefused(f"{path.name}: can't be read ({error.strerror})") from error


def _read(path: Path, limit_bytes: int) -> bytes:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ReleaseRefused(f"{path.name}: not a plain file")
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except OSError as error:
        raise ReleaseRefused(f"{path.name}: can't be read ({error.strerror})") from error
    if len(data) > limit_bytes:
        raise ReleaseRefused(f"{path.name}: larger than {limit_bytes} bytes")
    return data


def _not_finite(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is not a number")


def _json_object(data: bytes, what: str) -> dict[str, Any]:
    try:
        raw = json.loads(data, parse_constant=_not_finite)
    except (ValueError, RecursionError) as error:
        raise ReleaseRefused(f"{what}: not JSON") from error
    if not isinstance(raw, dict):
        raise ReleaseRefused(f"{what}: expected a JSON object")
    return raw


def _parse(data: bytes) -> ReleaseManifest:
    raw = _json_object(data, RELEASE_FILE)
    schema_version = raw.pop("schema_version", None)
    if schema_version not in (1, SCHEMA_VERSION):
        raise ReleaseRefused(f"{RELEASE_FILE}: expected schema version {SCHEMA_VERSION}")
    kinds: dict[str, type] = {"name": str, "version": int, "sequence": int, "bundle_sha256": str}
    kinds |= {
        "verdict": dict,
        "evidence": dict,
        "dataset_fingerprint": str,
        "code_digest": str,
        "created": str,
    }
    if schema_version != 1:
        kinds |= {"files": dict, "code_version": str, "configuration": dict}
    if set(raw) != set(kinds) or not all(type(raw[key]) is kind for key, kind in kinds.items()):
        raise ReleaseRefused(f"{RELEASE_FILE}: expected exactly the fields {sorted(kinds)}, each of its type")
    return ReleaseManifest(**raw)
