"""The key pair of a project: where it lies, when it may be made, what was signed with it.

A second pair would make everything that was signed with the first one worthless, so one is only made where
nothing was signed yet, or when a person asks for it (`headgate keys new`). Does not know keys themselves
(`serving.store.signing`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from release.home import Home
from release.registry.client import open_registry
from release.saved_settings import load_settings
from release.spec import RegistrySpec
from serving.store import signing
from serving.store.manifest import ReleaseRefused, signer
from serving.store.release_folder import ReleaseFolder
from serving.store.signing import PRIVATE_KEY, PUBLIC_KEY, KeyProblem, PublicKeys


def key_folder(home: Home, spec: RegistrySpec) -> Path:
    """Folder of the key pair: the configured one, or `keys` in the state folder."""
    if spec.signing_keys is None:
        return home.keys
    return (home.root / Path(spec.signing_keys).expanduser()).resolve()


def public_key(home: Home, name: str) -> Path:
    """The key that releases of project `name` must be signed with, by its last deployment; there or not.

    Raises:
        release.saved_settings.SettingsBroken: the project's settings can't be read.
    """
    return key_folder(home, load_settings(home, name).registry) / PUBLIC_KEY


def signing_pair(home: Home, name: str, spec: RegistrySpec) -> tuple[Path, Path]:
    """Paths of the (private, public) key that project `name` signs with, made on first use.

    Raises:
        serving.store.signing.KeyProblem: the private key can't be used, or it is missing where something was
            signed with it.
        release.registry.client.RegistryProblem: there is no key, and the registry can't be asked
            whether there was one.
    """
    folder = key_folder(home, spec)
    if not (folder / PRIVATE_KEY).exists() and (signed := _already_signed(home, name, spec, folder)):
        raise KeyProblem(
            f"private key {folder / PRIVATE_KEY}: not there, while {signed}. Nothing was made or moved. Run "
            "this on the machine that has it, or copy it here with mode 0600. If it is lost for good, "
            f"`headgate keys new {name}` makes another, and what the former one signed stays valid while its "
            "public key is trusted"
        )
    return signing.ensure_key_pair(folder)


def _already_signed(home: Home, name: str, spec: RegistrySpec, folder: Path) -> str:
    """What says that there was a key pair; empty where nothing does."""
    if (folder / PUBLIC_KEY).exists():
        return f"its public key {folder / PUBLIC_KEY} is"
    for project in sorted({name, *projects(home)}):
        released = ReleaseFolder(home.releases(project), project)
        shares = project == name or key_folder(home, load_settings(home, project).registry) == folder
        if shares and (released.versions() or os.path.lexists(released.pointer_path)):
            return f"{project!r} has releases in {released.path}"
    pointed = open_registry(home, name, spec).pointed()
    if pointed is not None and (pointed.aliases or pointed.pointer):
        return f"the registry names a champion of {name!r}"
    return ""


def projects(home: Home) -> list[str]:
    """Names that something was released under in a state folder."""
    releases = home.root / "releases"
    return sorted(path.name for path in releases.iterdir() if path.is_dir()) if releases.is_dir() else []


def unable_to_sign(home: Home, name: str) -> str:
    """What is wrong with the private key of project `name`, if it is here; empty where nothing is."""
    folder = key_folder(home, load_settings(home, name).registry)
    if not (folder / PRIVATE_KEY).exists():
        return ""
    try:
        signing.ensure_key_pair(folder)
    except KeyProblem as problem:
        return str(problem)
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyState:
    """What is known of the keys of a project."""

    folder: Path
    can_sign: bool
    """Whether the private key is here."""
    trusted: PublicKeys
    """The present key first; empty where there is no key."""
    releases: dict[int, str]
    """Version in the release folder → fingerprint of the key that signed it, or why none did."""


def key_state(home: Home, name: str) -> KeyState:
    """The keys of project `name`, and which of its releases each of them signed.

    Raises:
        serving.store.signing.KeyProblem: a key file is there but can't be used.
    """
    folder = key_folder(home, load_settings(home, name).registry)
    here = (folder / PRIVATE_KEY).exists()
    trusted = PublicKeys(())
    if here:
        trusted = signing.load_public_keys(signing.ensure_key_pair(folder)[1])
    elif (folder / PUBLIC_KEY).exists():
        trusted = signing.load_public_keys(folder / PUBLIC_KEY)
    released = ReleaseFolder(home.releases(name), name)
    found = {}
    for version in released.versions():
        try:
            found[version] = signer(released.version_dir(version), trusted)
        except ReleaseRefused as error:
            found[version] = f"REFUSED: {error}"
    return KeyState(folder=folder, can_sign=here, trusted=trusted, releases=found)
