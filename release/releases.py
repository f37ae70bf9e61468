"""Everything of one project that a release moves: release folder, registry, keys, journal, one lock.

The pointer of the release folder decides who serves; `align` makes the registry say the same. Whoever
moves something holds `locked()`. Does not decide what moves (`release.moves.promote`, `.rollback`,
`.restore`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model.faults import fault
from model.files import locked, remove_folder
from release.home import Home
from release.journal import Journal
from release.keys import signing_pair
from release.lock import release_lock
from release.pointed import last_pointer
from release.registry.client import Registry, open_registry
from release.served import served_versions, way_back
from release.spec import RegistrySpec
from serving.store.pointer import Pointer, PointerBroken
from serving.store.release_folder import ReleaseFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Releases:
    """What is moved when a project's champion changes."""

    home: Home
    name: str
    """Project: names the release folder, the endpoint and the journal."""
    registry: Registry
    folder: ReleaseFolder
    private_key: Path
    public_key: Path
    journal: Journal

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One promotion, rollback or restoration of this project at a time, over all processes."""
        with locked(release_lock(self.home, self.name)):
            yield

    def pointer(self) -> Pointer | None:
        """The last pointer that was signed; None before the first promotion.

        Raises:
            release.pointed.ChampionUnverified: something serves, and it can't be verified what.
        """
        return last_pointer(self.home, self.folder, self.public_key)

    def serving(self) -> int | None:
        """Version that the pointer names; None where there is none, or it was withdrawn."""
        pointer = self.pointer()
        withdrawn = pointer is None or not self.folder.version_dir(pointer.version).is_dir()
        return None if pointer is None or withdrawn else pointer.version

    def served(self) -> list[int]:
        """Versions to fall back on, the one that serves last (`release.served`)."""
        return served_versions(self.folder, self.public_key, self.journal.entries())

    def drop(self, version: int) -> None:
        """Take a version out of the release folder. It stays in the registry."""
        if not self.folder.version_dir(version).exists():
            return  # nothing was staged, not even the folder on a first promotion
        with locked(self.folder.path / ".lock"):
            remove_folder(self.folder.version_dir(version))

    def align(self) -> bool:
        """Make the registry agree with the pointer; whether anything was changed.

        The only place that moves the aliases `champion` and `previous`; the champion's goes last.

        Raises:
            release.registry.client.RegistryProblem: the registry can't be reached, or lacks the version.
        """
        pointed = self.registry.pointed()
        if pointed is None:
            return False
        spec, champion = self.registry.spec, self.serving()
        previous = way_back(self.served(), champion)
        changed = False
        with contextlib.suppress(PointerBroken):  # damaged: whoever holds the key writes it again
            text = self.folder.pointer_text()
            if pointed.pointer != text:
                self.registry.set_pointer(text)
                changed = True
        fault("pointer_tagged")
        for alias, version in ((spec.previous, previous), (spec.champion, champion)):
            if pointed.aliases.get(alias) != version:
                self.registry.set_alias(alias, version)
                changed = True
            fault("previous_moved" if alias == spec.previous else "champion_moved")
        return changed


def open_releases(home: Home, name: str, spec: RegistrySpec) -> Releases:
    """Everything that a release of project `name` moves; the key pair is made on first use.

    Raises:
        serving.store.signing.KeyProblem: the key can't be used, or is missing where something was signed.
        release.registry.store.StoreProblem: the local registry can't be where it is wanted.
    """
    private_key, public_key = signing_pair(home, name, spec)
    return Releases(
        home=home,
        name=name,
        registry=open_registry(home, name, spec),
        folder=ReleaseFolder(home.releases(name), name),
        private_key=private_key,
        public_key=public_key,
        journal=Journal(home.journal / f"{name}.jsonl"),
    )
