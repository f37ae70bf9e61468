"""Exchange the key of a project for a new one, trust another, and sign what is there again.

What was signed with a former key stays valid as long as that is trusted; `sign_again` is for the day when it
no longer shall be. Does not know how keys are kept (`serving.store.signing`).
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from model.files import locked
from release.home import Home
from release.keys import key_folder, key_state, projects
from release.pointed import ChampionUnverified
from release.registry.client import RegistryProblem
from release.registry.judgement import NotJudged, sign_judgement_again
from release.releases import Releases, open_releases
from release.saved_settings import load_settings, state_file
from release.targets import endpoint
from serving.process import control
from serving.store import signing
from serving.store.manifest import RELEASE_FILE, SIGNATURE_FILE, ReleaseRefused, sign_release_again
from serving.store.override import OVERRIDE_FILE, OverrideProblem, sign_override_again
from serving.store.release_folder import ReleaseFolder


class FormerKeyNeeded(signing.KeyProblem):
    """A former key can't be forgotten yet; the message says what still needs it."""


def new_key(home: Home, name: str) -> list[str]:
    """Make a new key pair for project `name` and all that share its folder; what was done, one sentence each.

    The former key stays trusted. Pointers are signed with the new one, and endpoints that run are restarted,
    because they trust the keys of their start.

    Raises:
        serving.store.signing.KeyProblem: a key file is there but can't be used.
        release.targets.endpoint.EndpointDown: an endpoint does not end, or does not start again.
    """
    folder = key_folder(home, load_settings(home, name).registry)
    trusted = signing.new_key_pair(folder)
    done = [f"{folder / signing.PRIVATE_KEY}: a new key, {trusted.fingerprints[0]}"]
    done += [f"still trusted: {former}" for former in trusted.fingerprints[1:]]
    for project in _sharing(home, name, folder):
        done += _repointed(home, project, folder / signing.PRIVATE_KEY)
    return done


def trust_key(home: Home, name: str, file: Path) -> list[str]:
    """Trust the public keys in a file beside the one of project `name`; what was done, one sentence each.

    Raises:
        serving.store.signing.KeyProblem: a key file can't be used.
    """
    folder = key_folder(home, load_settings(home, name).registry)
    more = signing.load_public_keys(file)
    signing.trust_keys(folder, more)
    return [f"{folder}: trusted from now on: {one}" for one in more.fingerprints] + _restarted(home, name)


def sign_again(home: Home, name: str, *, forget: bool = False) -> list[str]:
    """Sign everything of project `name` that verifies with a trusted key with the present one: releases,
    overrides and pointers here, records of verdicts and releases in the registry. What was done, one sentence
    each.

    Args:
        home: the state folder.
        name: project.
        forget: trust no former key any more afterwards.

    Raises:
        serving.store.signing.KeyProblem: the private key is not here, or can't be used.
        FormerKeyNeeded: another project has releases that a former key signed; nothing was forgotten.
        release.registry.client.RegistryProblem: the registry can't be reached; nothing was forgotten.
    """
    releases = open_releases(home, name, load_settings(home, name).registry)
    keys = signing.load_public_keys(releases.public_key)
    with releases.locked():
        done = []
        for version in releases.folder.versions():
            done += _signed_again(releases, keys, releases.folder.version_dir(version), f"version {version}")
        done.append(f"{releases.folder.sign_pointers_again(releases.private_key)} pointers signed")
        for version in releases.registry.versions():
            done += _record_signed_again(releases, keys, version)
        releases.align()
    if forget:
        done += _forgotten(home, name, releases)
    return done


def _signed_again(releases: Releases, keys: signing.PublicKeys, folder: Path, what: str) -> list[str]:
    try:
        sign_release_again(folder, keys, releases.private_key)
        sign_override_again(folder, keys, releases.private_key)
    except (ReleaseRefused, OverrideProblem) as error:
        return [f"{what}: LEFT AS IT IS: {error}"]
    return [f"{what}: signed"]


def _record_signed_again(releases: Releases, keys: signing.PublicKeys, version: int) -> list[str]:
    """The records of a version in the registry: of its verdict, and, if it was ever promoted, its release."""
    what = f"version {version} in the registry"
    try:
        sign_judgement_again(releases.registry, keys, releases.private_key, version)
    except NotJudged as error:
        return [f"{what}: LEFT AS IT IS: {error}"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = releases.registry.download_release(version, Path(temporary))
        if folder is None:
            return [f"{what}: its verdict signed"]
        done = _signed_again(releases, keys, folder, what)
        files = [folder / file for file in (RELEASE_FILE, SIGNATURE_FILE, OVERRIDE_FILE)]
        releases.registry.log_release(version, [file for file in files if file.is_file()])
        return done


def _forgotten(home: Home, name: str, releases: Releases) -> list[str]:
    folder = releases.private_key.parent
    present = signing.load_public_keys(releases.public_key).fingerprints[0]
    for project in _sharing(home, name, folder):
        former = [v for v, signer in key_state(home, project).releases.items() if signer != present]
        if project != name and former:
            raise FormerKeyNeeded(
                f"{folder}: a former key signed versions {former} of {project!r}, which shares this key; run "
                f"`headgate keys re-sign {project}` first. Nothing was forgotten"
            )
    signing.forget_former_keys(folder)
    return ["no former key is trusted any more", *_restarted(home, name)]


def _repointed(home: Home, name: str, private_key: Path) -> list[str]:
    folder = ReleaseFolder(home.releases(name), name)
    done = []
    if folder.path.is_dir():
        with locked(home.release_lock(name)):
            done.append(f"{name}: {folder.sign_pointers_again(private_key)} pointers signed with it")
            with contextlib.suppress(RegistryProblem, ChampionUnverified):  # or at the start of the next run
                releases = open_releases(home, name, load_settings(home, name).registry)
                if releases.pointer() is not None:
                    releases.align()
    return done + _restarted(home, name)


def _restarted(home: Home, name: str) -> list[str]:
    """Start the endpoint of a project again, if it runs: it trusts the keys of its start."""
    running = control.status(state_file(home, name))
    if running is None:
        return []
    endpoint.stop(home.root, name)
    return [f"{name}: the endpoint was restarted at {endpoint.start(home.root, name, port=running.port)}"]


def _sharing(home: Home, name: str, folder: Path) -> list[str]:
    """Projects of a state folder that sign with the key in `folder`, `name` among them."""
    others = (one for one in projects(home) if key_folder(home, load_settings(home, one).registry) == folder)
    return sorted({name, *others})
