"""Bring an approved version, or its list of seen texts, from the registry into a release folder, verified
before it counts.

Needs the public key only: what is fetched was signed when it was promoted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from model.faults import fault
from model.files import fsync_tree, locked, move_folder, unfinished_prefix
from release.registry.client import Registry, RegistryProblem
from serving.store.manifest import (
    BUNDLE_FOLDER,
    RELEASE_FILE,
    SIGNATURE_FILE,
    ReleaseRefused,
    keep_seen,
    verify_release,
    verify_seen,
)
from serving.store.override import OVERRIDE_FILE
from serving.store.release_folder import ReleaseFolder

INCOMING = "incoming"
"""Name of the folder that a version is fetched into, in front of the process's id."""


def ensure_present(registry: Registry, folder: ReleaseFolder, public_key: Path, version: int) -> str:
    """Return once `version` lies verified in the release folder, fetching it if it is lost or damaged; why it
    was fetched, empty where it was not.

    Raises:
        serving.store.manifest.ReleaseRefused: what the registry has may not serve either.
        release.registry.client.RegistryProblem: the registry has no signed release of it, or can't be
            reached.
    """
    target = folder.version_dir(version)
    try:
        verify_release(target, public_key, folder.name)
    except ReleaseRefused as damage:
        _fetch(registry, folder, public_key, version)
        return str(damage)
    return ""


def ensure_seen(registry: Registry, folder: ReleaseFolder, public_key: Path, version: int) -> bool:
    """Fetch the list of the texts that a version was trained on, where it is lost or damaged; whether it was.

    The registry's list counts only if its bytes are those that were signed with the version; without it the
    folder stays as it is, and whoever needs the list finds out.

    Raises:
        serving.store.manifest.ReleaseRefused: the version itself does not verify.
    """
    where = folder.version_dir(version)
    manifest = verify_release(where, public_key, folder.name)
    try:
        if not manifest.seen_sha256 or verify_seen(where, manifest) is not None:
            return False
    except ReleaseRefused:
        pass  # damaged: replaced below, if it can be
    with tempfile.TemporaryDirectory(prefix=unfinished_prefix(INCOMING), dir=folder.path) as temporary:
        try:
            fetched = registry.download_seen(version, Path(temporary))
            with locked(folder.path / ".lock"):
                keep_seen(where, manifest, fetched)
        except (RegistryProblem, ReleaseRefused):
            return False
    return True


def _fetch(registry: Registry, folder: ReleaseFolder, public_key: Path, version: int) -> None:
    folder.versions_path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=unfinished_prefix(INCOMING), dir=folder.path) as temporary:
        bundle, release = registry.download(version, Path(temporary) / "artifacts")
        # The last part is the version's number, which is what `verify_release` demands of a folder.
        made = Path(temporary) / str(version)
        made.mkdir()
        bundle.rename(made / BUNDLE_FOLDER)
        for file in (RELEASE_FILE, SIGNATURE_FILE, OVERRIDE_FILE):
            if (release / file).is_file():
                shutil.copyfile(release / file, made / file)
        verify_release(made, public_key, folder.name)
        fsync_tree(made)
        fault("version_fetched")
        with locked(folder.path / ".lock"):
            target = folder.version_dir(version)
            if target.exists():
                target.rename(Path(temporary) / "replaced")
                fault("version_aside")
            move_folder(made, target)
            with contextlib.suppress(FileNotFoundError):
                os.utime(folder.pointer_path)  # endpoints look again: they may have refused it
        fault("version_installed")
