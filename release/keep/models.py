"""Which registered versions lose their files: those that neither serve, nor may again, nor are new.

Nothing goes from a registry that is not known to be this release folder's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from release.keep.plan import Going, size_of
from release.keep.spec import KeepSpec
from release.registry.files.stored import StoredModel, stored_models
from release.releases import Releases
from release.served import SERVES_AGAIN


def models_to_remove(releases: Releases, spec: KeepSpec) -> list[tuple[StoredModel, str]]:
    """Versions and why their files go, oldest first.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
        release.pointed.ChampionUnverified: it can't be verified what serves.
        release.journal.JournalBroken: what served is not known.
    """
    if not is_own(releases):
        return []
    stored, pointer = stored_models(releases.registry), releases.pointer()
    ever = {entry.version for entry in releases.journal.entries() if entry.event in SERVES_AGAIN}
    on_disk = releases.folder.versions()
    gone = set(releases.folder.superfluous(spec.versions, releases.public_key)) if on_disk else set()
    back = set(releases.served()[-spec.versions :]) | set(on_disk) - gone
    if pointer is not None:
        back |= {pointer.version, pointer.previous or pointer.version}
    never = [one for one in stored if one.version not in ever and one.version not in back]
    why = f"{spec.candidates} newer candidates are kept (keep.candidates)"
    found = [(one, why) for one in never[: -spec.candidates]]
    why = f"{spec.versions} that served later are kept (keep.versions)"
    found += [(one, why) for one in stored if one.version in ever - back]
    return sorted(found, key=lambda one: one[0].version)


def is_own(releases: Releases) -> bool:
    """Whether the registry is this release folder's own: before the first champion, the state folder's."""
    standing = releases.standing()
    return standing == "same" or (standing == "new" and releases.registry.spec.tracking_uri is None)


def as_going(found: Sequence[tuple[StoredModel, str]], releases: Releases) -> list[Going]:
    """The same as what is shown."""
    places = [(one, one.folder or releases.folder.version_dir(one.version), why) for one, why in found]
    return [
        Going(
            kind="models in the registry",
            path=place,
            why=why,
            size=0 if one.folder is None else size_of(place),
        )
        for one, place, why in places
    ]
