"""The release manifest: which bytes may serve, under which name and version, and on what evidence.

`write_release` signs one; `verify_release` is what stands between a folder on disk and traffic. It
trusts nothing that it can check: hashes are taken again and the verdict's outcome follows from its
findings. Does not know how a verdict came about, nor how a bundle is loaded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model.bundle.plain_files import MOST_BYTES, plain_sha256, read_plain
from model.errors import HeadgateError
from model.files import write_bytes
from serving.store import signing
from serving.store.override import Override, OverrideProblem, read_override
from serving.store.signed import SignedFormat, canonical, json_object

RELEASE_FILE = "release.json"
SIGNATURE_FILE = "release.sig"
BUNDLE_FOLDER = "bundle"
BUNDLE_MANIFEST = "manifest.json"
BUNDLE_FILES = frozenset({"model.onnx", "tokenizer.json", "card.json", "golden.json"})
"""What every bundle holds besides its manifest. Anything else in the folder is refused."""
SEEN_FILE = "seen_texts.u64"
"""Beside the bundle: ids of the texts that the version was trained on. A replica does without."""
SEEN_EVIDENCE = "seen_texts_sha256"
"""Entry of the evidence with that file's sha256."""
MOST = {**MOST_BYTES, RELEASE_FILE: 2**25, SIGNATURE_FILE: 2**10, SEEN_FILE: 2**33}
"""File of a version's folder or bundle → largest size that is read, in bytes."""
SCHEMA_VERSION = 2
"""Of what is written. Version 1, without files, configuration and code version, is still read: what serves
must go on serving when this program is exchanged."""


class ReleaseRefused(HeadgateError):
    """A version may not serve. The message says why and holds no paths: it is shown to clients."""


DROPPED_HEADS = "dropped_heads"
"""Entry of the configuration: head that is not answered any more → `version`, `at`, `now`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedHead:
    """When a head went."""

    version: int
    """The first version without it."""
    at: str
    """When that was promoted: ISO 8601, UTC."""
    now: str | None = None
    """What the head is called since; None where it is not answered at all."""


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

    @property
    def dropped_heads(self) -> dict[str, DroppedHead]:
        """Heads that an earlier version answered and this one does not: which one dropped each, and when."""
        written = self.configuration.get(DROPPED_HEADS)
        found = {}
        for head, about in written.items() if isinstance(written, Mapping) else ():
            if isinstance(about, Mapping) and isinstance(about.get("version"), int):
                now = about.get("now")
                found[str(head)] = DroppedHead(
                    version=about["version"],
                    at=str(about.get("at", "")),
                    now=None if now is None else str(now),
                )
        return found

    @property
    def seen_sha256(self) -> str:
        """sha256 of `SEEN_FILE`; empty where the version was made without it."""
        return str(self.evidence.get(SEEN_EVIDENCE, ""))

    def to_bytes(self) -> bytes:
        """The JSON that is signed and written.

        Raises:
            ValueError: a figure is NaN or infinite.
        """
        return canonical({**_FORMAT.fields(self), "schema_version": SCHEMA_VERSION}, indent=1)


_FORMAT = SignedFormat(
    record=ReleaseManifest,
    purpose="release",
    file=RELEASE_FILE,
    error=ReleaseRefused,
    layout="detached",
    unsigned=frozenset({"override"}),
)


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
    files = _digests(read_file(version_dir / BUNDLE_FOLDER / BUNDLE_MANIFEST))
    data = dataclasses.replace(manifest, files=files).to_bytes()
    write_bytes(version_dir / RELEASE_FILE, data)
    write_bytes(version_dir / SIGNATURE_FILE, signing.sign(data, private_key, "release"))


def sign_release_again(version_dir: Path, keys: signing.KeySource, private_key: Path) -> None:
    """Sign the manifest of a version again, as it is, once it verifies with one of `keys`.

    Raises:
        ReleaseRefused: it was signed with none of them, or can't be read.
        serving.store.signing.KeyProblem: a key can't be used.
    """
    data = read_file(version_dir / RELEASE_FILE)
    _FORMAT.verify(data, read_file(version_dir / SIGNATURE_FILE), keys)
    write_bytes(version_dir / SIGNATURE_FILE, signing.sign(data, private_key, "release"))


def signer(version_dir: Path, keys: signing.KeySource) -> str:
    """Fingerprint of the key that a version's manifest was signed with.

    Raises:
        ReleaseRefused: it was signed with none of them, or can't be read.
        serving.store.signing.KeyProblem: the keys can't be used.
    """
    return _FORMAT.verify(
        read_file(version_dir / RELEASE_FILE), read_file(version_dir / SIGNATURE_FILE), keys
    )


def signed_manifest(version_dir: Path, keys: signing.KeySource) -> ReleaseManifest:
    """What is signed about a version, whether it may serve or not.

    Raises:
        ReleaseRefused: it was signed with none of the keys, or can't be read.
        serving.store.signing.KeyProblem: the keys can't be used.
    """
    data = read_file(version_dir / RELEASE_FILE)
    _FORMAT.verify(data, read_file(version_dir / SIGNATURE_FILE), keys)
    return _parse(data)


def verify_release(
    version_dir: Path,
    keys: signing.KeySource,
    name: str,
    *,
    version: int | None = None,
    now: float | None = None,
) -> ReleaseManifest:
    """The manifest of a version that may serve, every byte of its bundle checked.

    Args:
        version_dir: folder of the version.
        keys: what releases must be signed with: a PEM file, or keys that were read from one.
        name: registered model that the version must belong to.
        version: its number; by default the name of its folder.
        now: the time that an override must hold at, in seconds since 1970; by default the system clock's.

    Raises:
        ReleaseRefused: it may not serve, with the reason.
        serving.store.signing.KeyProblem: the public key can't be used.
    """
    for folder in (version_dir, version_dir / BUNDLE_FOLDER):
        # A link could be turned elsewhere between this look and the next.
        if _is_link(folder):
            raise ReleaseRefused(f"{folder.name}: a link, expected a folder")
    data = read_file(version_dir / RELEASE_FILE)
    _FORMAT.verify(data, read_file(version_dir / SIGNATURE_FILE), keys)
    manifest = _parse(data)
    if manifest.name != name:
        raise ReleaseRefused(f"{RELEASE_FILE}: signed for another model than the one that serves here")
    if str(manifest.version) != (version_dir.name if version is None else str(version)):
        raise ReleaseRefused(f"{RELEASE_FILE}: signed for version {manifest.version}, not for this folder's")
    digests = verify_bundle_files(version_dir / BUNDLE_FOLDER, manifest.bundle_sha256)
    if manifest.files and manifest.files != digests:
        raise ReleaseRefused(f"{RELEASE_FILE}: its files are not those of the bundle's {BUNDLE_MANIFEST}")
    if manifest.outcome == "pass":
        return manifest
    try:
        override = read_override(version_dir, keys, now)
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


def verify_bundle_files(bundle: Path, sha256: str) -> dict[str, str]:
    """File → sha256, once the bundle's manifest has this digest and every file is as the manifest says.

    Raises:
        ReleaseRefused: a file is missing, added, altered or not a plain file.
    """
    data = read_file(bundle / BUNDLE_MANIFEST)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ReleaseRefused(f"bundle {BUNDLE_MANIFEST}: its digest is not the one that was approved")
    digests = _digests(data)
    if set(digests) != BUNDLE_FILES:
        raise ReleaseRefused(f"bundle {BUNDLE_MANIFEST}: expected exactly the files {sorted(BUNDLE_FILES)}")
    try:
        present = {entry.name for entry in bundle.iterdir()}
    except OSError as error:
        raise ReleaseRefused(f"bundle: the folder can't be read ({error.strerror})") from error
    if present != BUNDLE_FILES | {BUNDLE_MANIFEST}:
        raise ReleaseRefused("bundle: the folder holds more or fewer files than its manifest names")
    for file_name, approved in digests.items():
        if _sha256(bundle / file_name) != approved:
            raise ReleaseRefused(f"bundle {file_name}: its bytes are not the ones that were approved")
    return digests


def verify_seen(version_dir: Path, manifest: ReleaseManifest) -> Path | None:
    """The version's `SEEN_FILE`, its bytes checked; None where it is not there or was never signed.

    Serving does not need it, so `verify_release` does not look: a list that is lost or damaged takes no
    endpoint down, and replicas go without.

    Raises:
        ReleaseRefused: its bytes are not those that were signed, or it is no plain file.
    """
    path = version_dir / SEEN_FILE
    if not manifest.seen_sha256 or not (path.exists() or path.is_symlink()):
        return None
    if _sha256(path) != manifest.seen_sha256:
        raise ReleaseRefused(
            f"{SEEN_FILE}: its bytes are not the ones that were signed; remove it, and the next run "
            "fetches it again"
        )
    return path


def keep_seen(version_dir: Path, manifest: ReleaseManifest, file: Path) -> None:
    """Put a `SEEN_FILE` beside the bundle of a version, readable for its owner only.

    Raises:
        ReleaseRefused: its bytes are not those that the manifest's evidence names.
        OSError: it can't be written; a former one stays.
    """
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != manifest.seen_sha256:
        raise ReleaseRefused(f"{SEEN_FILE}: its bytes are not the ones that were judged; somebody changed it")
    write_bytes(version_dir / SEEN_FILE, data, mode=0o600)


def _digests(data: bytes) -> dict[str, str]:
    """File → sha256, from the bytes of a bundle's manifest."""
    files = json_object(data, f"bundle {BUNDLE_MANIFEST}", ReleaseRefused).get("files")
    if not isinstance(files, dict) or not all(isinstance(about, dict) for about in files.values()):
        raise ReleaseRefused(f"bundle {BUNDLE_MANIFEST}: expected the sha256 of every file")
    return {name: str(about.get("sha256")) for name, about in files.items()}


def read_file(path: Path) -> bytes:
    """The bytes of a file of a version's folder or bundle, by its name.

    Raises:
        ReleaseRefused: it can't be read, is a link or no plain file, or is too large.
    """
    try:
        return read_plain(path, MOST[path.name])
    except OSError as error:
        raise ReleaseRefused(f"{path.name}: can't be read ({error.strerror})") from error


def _is_link(folder: Path) -> bool:
    try:
        return folder.is_symlink()
    except OSError as error:
        raise ReleaseRefused(f"{folder.name}: can't be read ({error.strerror})") from error


def _sha256(path: Path) -> str:
    try:
        return plain_sha256(path, MOST[path.name])
    except OSError as error:
        raise ReleaseRefused(f"{path.name}: can't be read ({error.strerror})") from error


def _parse(data: bytes) -> ReleaseManifest:
    raw = json_object(data, RELEASE_FILE, ReleaseRefused)
    match raw.pop("schema_version", None):
        case 1:
            raw = {"files": {}, "code_version": "", "configuration": {}} | raw
        case int(written) if written >= SCHEMA_VERSION:
            pass  # of a newer one, what this one knows counts
        case _:
            raise ReleaseRefused(f"{RELEASE_FILE}: expected schema version {SCHEMA_VERSION}")
    return _FORMAT.parse(raw)
