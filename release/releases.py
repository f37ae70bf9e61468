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

from model.errors import HeadgateError
from model.faults import fault
from model.files import locked, remove_folder
from release.home import Home
from release.journal import Entry, Journal
from release.keys import signing_pair
from release.pointed import last_pointer, serving_version
from release.registry import bond
from release.registry.bond import Standing, released_bundle
from release.registry.client import Registry, open_registry
from release.served import served_versions, way_back
from release.spec import RegistrySpec
from serving.store.pointer import Pointer, PointerBroken
from serving.store.release_folder import ReleaseFolder


class OtherRegistry(HeadgateError):
    """The registry is not the one that belongs to the release folder; nothing was trained or moved."""

    kind = "usage"


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
        with locked(self.home.release_lock(self.name)):
            yield

    def pointer(self) -> Pointer | None:
        """The last pointer that was signed; None before the first promotion.

        Raises:
            release.pointed.ChampionUnverified: something serves, and it can't be verified what.
        """
        return last_pointer(self.home, self.folder, self.public_key)

    def serving(self) -> int | None:
        """Version that the pointer names; None where there is none, or it was withdrawn."""
        return serving_version(self.home, self.folder, self.public_key)

    def served(self) -> list[int]:
        """Versions to fall back on, the one that serves last (`release.served`)."""
        return served_versions(self.folder, self.public_key, self.journal.entries())

    def drop(self, version: int) -> None:
        """Take a version out of the release folder. It stays in the registry."""
        if not self.folder.version_dir(version).exists():
            return  # nothing was staged, not even the folder on a first promotion
        with locked(self.folder.path / ".lock"):
            remove_folder(self.folder.version_dir(version))

    @property
    def experiment(self) -> str:
        """MLflow experiment that the project's runs are logged to."""
        return self.registry.spec.experiment or self.name

    def standing(self) -> Standing:
        """How the registry stands to the release folder.

        Raises:
            release.registry.client.RegistryProblem: the registry can't be reached.
        """
        return bond.standing(self.registry, self.folder, self.public_key, self.experiment)

    def refuse_other_registry(self) -> None:
        """Return if registry and release folder belong together. Ask before anything is trained or moved.

        Raises:
            OtherRegistry: they do not; the message says what to do.
            release.registry.client.RegistryProblem: the registry can't be reached.
        """
        if problem := self.other_registry():
            raise OtherRegistry(problem)

    def other_registry(self) -> str:
        """Why registry and release folder do not belong together, and what to do; empty where they do.

        Raises:
            release.registry.client.RegistryProblem: the registry can't be reached.
        """
        standing = self.standing()
        if standing not in ("other", "ahead"):
            return ""
        model, serving = f"its model {self.registry.model!r}", self.serving()
        here = f"version {serving} serves" if serving is not None else "nothing serves"
        what = (
            f"{model} has a champion that was promoted from another release folder than"
            if standing == "ahead"
            else f"{model} is not there, or is not the one of"
        )
        changed = self._changed_here()
        return (
            f"registry {self.registry.uri}: {what} {self.folder.path}, where {here}. {changed or 'Correct'} "
            "`registry.tracking_uri`; or run `headgate adopt CONFIG --local` to carry what serves here into "
            "that registry; or `headgate adopt CONFIG --registry` to take over the registry's champion"
        )

    def _changed_here(self) -> str:
        """Beginning of the advice where one version was signed for two bundles: one here, one in the registry
        that the release folder was filled from. Empty for any other registry."""
        if not bond.same_store(self.registry, self.folder, self.experiment):
            return ""
        differing = bond.differing(self.registry, self.folder, self.public_key)
        if not differing:
            return ""
        version = differing[-1]
        ours = released_bundle(self.folder, version, self.public_key)
        there = bond.bundle_there(self.registry, self.folder, version, self.public_key) or ""
        return (
            f"Version {version} is bundle {ours[:12]} here and {there[:12]} there. If it was changed here, "
            f"move {self.folder.version_dir(version)} aside: the next start fetches it again. If not, correct"
        )

    def in_registry(self, version: int) -> bool:
        """Whether the registry has this version, with the bundle that was released here.

        Raises:
            release.registry.client.RegistryProblem: the registry can't be reached.
        """
        ours = released_bundle(self.folder, version, self.public_key)
        there = bond.bundle_there(self.registry, self.folder, version, self.public_key)
        return there is not None and (not ours or there == ours)

    def mend_digests(self) -> list[str]:
        """Write digest tags again that a client of the registry changed, from the signed records; what was
        done, one sentence each. Call it with the lock held, and only where the registry is the right one.

        Raises:
            release.registry.client.RegistryProblem: the registry can't be reached.
        """
        said = []
        for version in bond.mend_digests(self.registry, self.folder, self.public_key):
            said.append(
                f"somebody changed the digest tag of version {version} in the registry: it was written again "
                "from the version's signed record"
            )
            self.journal.append(Entry(event="reconciled", version=version, detail=said[-1]))
        return said

    def bind(self) -> None:
        """Give registry and release folder one id, by which they know each other; a registry that belongs to
        another release folder stays as it is.

        Raises:
            release.registry.client.RegistryProblem: the registry can't be reached.
        """
        if self.standing() in ("same", "emptied"):
            bond.bind(self.registry, self.folder, self.experiment)

    def align(self) -> list[str]:
        """Make the registry agree with the pointer; what was changed, one sentence each.

        The only place that moves the aliases `champion` and `previous`; the champion's goes last. An alias of
        a version that the registry has lost is left out, and a registry that belongs to another release
        folder stays as it is.

        Raises:
            release.registry.client.RegistryProblem: the registry can't be reached.
        """
        pointed = self.registry.pointed()
        if pointed is None or self.standing() in ("other", "ahead"):
            return []
        spec, champion = self.registry.spec, self.serving()
        previous = way_back(self.served(), champion)
        changed = False
        said = []
        with contextlib.suppress(PointerBroken):  # damaged: whoever holds the key writes it again
            text = self.folder.pointer_text()
            if pointed.pointer != text:
                self.registry.set_pointer(text)
                changed = True
        fault("pointer_tagged")
        for alias, wanted in ((spec.previous, previous), (spec.champion, champion)):
            version = wanted
            if wanted is not None and not self.in_registry(wanted):
                version = None
                said += self._left_out(wanted)
            if pointed.aliases.get(alias) != version:
                self.registry.set_alias(alias, version)
                changed = True
            fault("previous_moved" if alias == spec.previous else "champion_moved")
        if changed:
            said.append(f"the aliases name version {champion or 'none'} again, as the pointer does")
        return said

    def _left_out(self, version: int) -> list[str]:
        """Note, once, that the registry has lost a version; the sentence, where it was not noted before."""
        if any(e.event == "left out" and e.version == version for e in self.journal.entries()):
            return []
        said = f"the registry has lost version {version}: no alias names it; its copy here stays"
        self.journal.append(Entry(event="left out", version=version, detail=said))
        return [said]


def open_releases(home: Home, name: str, spec: RegistrySpec) -> Releases:
    """Everything that a release of project `name` moves; the key pair is made on first use.

    Raises:
        serving.store.signing.KeyProblem: the key can't be used, or is missing where something was signed.
        release.registry.store.StoreProblem: the local registry can't be where it is wanted.
    """
    private_key, public_key = signing_pair(home, name, spec)
    registry, journal = open_registry(home, name, spec), Journal(home.journal / f"{name}.jsonl")
    if registry.remark:
        journal.append(Entry(event="reconciled", version=None, detail=registry.remark))
    return Releases(
        home=home,
        name=name,
        registry=registry,
        folder=ReleaseFolder(home.releases(name), name),
        private_key=private_key,
        public_key=public_key,
        journal=journal,
    )
