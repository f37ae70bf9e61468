"""Where the key pair of a project lies that its releases are signed with.

Does not make it (`serving.store.signing`).
"""

from __future__ import annotations

from pathlib import Path

from release.home import Home
from release.saved_settings import load_settings
from release.spec import RegistrySpec
from serving.store.signing import PUBLIC_KEY


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
