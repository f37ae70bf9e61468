"""Remove what is not kept: at the end of each run, and by `headgate clean`.

What goes is renamed first to what is being written is called, so that the next start or clean goes on where
this one was ended (`release.leftovers`). What can't be looked at stays, and is said.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from model.errors import HeadgateError
from model.faults import fault
from model.files import RecordDamaged, locked, read_json, read_record, remove_folder, write_json
from release.home import Home
from release.journal import Journal
from release.keep.models import as_going, is_own, models_to_remove
from release.keep.plan import DAY_S, Going, Kept, plan, size_of
from release.keep.spec import KeepSpec
from release.leftovers import remove_leftovers
from release.registry.files.stored import remove_model, remove_run, runs_without_version
from release.releases import Releases, open_releases
from release.served import signed_manifests
from release.spec import RegistrySpec
from serving.store.manifest import ReleaseRefused, verify_release


class CleanBusy(HeadgateError):
    """Another process is cleaning this project; nothing was removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What went, or would go."""

    going: list[Going] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """What could not be looked at, one sentence each."""

    @property
    def size(self) -> int:
        """Bytes that it frees."""
        return sum(one.size for one in self.going)


def clean(
    home: Home,
    name: str,
    registry: RegistrySpec,
    spec: KeepSpec,
    *,
    dry_run: bool = False,
    now: float | None = None,
) -> Cleaned:
    """Remove what project `name` does not keep.

    Args:
        dry_run: only look.
        now: the time, in seconds since 1970.

    Raises:
        CleanBusy: another process is at it.
    """
    moment = time.time() if now is None else now
    with _alone(home, name):
        if not dry_run:
            remove_leftovers(home)
        done = Cleaned()
        with _noted(done.said, "nothing was removed, because it is not known what must stay"):
            releases = _opened(home, name, registry)
            kept = _kept(home, releases)
            # What goes from the registry is known by what is in the release folder, before that changes.
            mark = _mark(spec, releases, moment)
            if releases is not None:
                if dry_run or mark != _last_mark(home, name):  # to ask a registry takes seconds
                    with _noted(done.said, "nothing was removed from the registry"):
                        _clean_models(releases, spec, done, dry_run=dry_run)
                        _clean_runs(releases, spec, done, moment, dry_run=dry_run)
                _clean_versions(releases, spec, done, dry_run=dry_run)
            _clean_folders(home, plan(home, name, spec, kept, moment), done, dry_run=dry_run)
            if not dry_run and not done.said:
                write_json(rules_file(home, name), mark)
        return done


def _mark(spec: KeepSpec, releases: Releases | None, now: float) -> dict[str, Any]:
    """What decides what goes from the registry: the rules, what happened to its versions, and the day."""
    entries = [] if releases is None else releases.journal.entries()
    return {**asdict(spec), "entries": len(entries), "day": int(now // DAY_S)}


def _last_mark(home: Home, name: str) -> Any:
    with contextlib.suppress(OSError, ValueError):
        return read_json(rules_file(home, name))
    return None


def rules_file(home: Home, name: str) -> Path:
    """The rules by which a project was cleaned last, for `headgate clean NAME`."""
    return home.locks / f"{name}.keep.json"


def last_rules(home: Home, name: str) -> KeepSpec:
    """Those rules; the defaults where there are none."""
    with contextlib.suppress(RecordDamaged):
        return read_record(rules_file(home, name), KeepSpec) or KeepSpec()
    return KeepSpec()


@contextlib.contextmanager
def _alone(home: Home, name: str) -> Iterator[None]:
    held = contextlib.ExitStack()
    try:
        held.enter_context(locked(home.locks / f"{name}.clean.lock", timeout_s=0))
    except TimeoutError as error:
        raise CleanBusy(f"{name}: another process is cleaning; run it again when that has ended") from error
    with held:
        yield


def _opened(home: Home, name: str, registry: RegistrySpec) -> Releases | None:
    """What was released; None where nothing was ever registered, and no key is made for it."""
    journal = Journal(home.journal / f"{name}.jsonl")
    if not journal.path.exists() and not home.releases(name).is_dir():
        return None
    return open_releases(home, name, registry)


@contextlib.contextmanager
def _noted(said: list[str], what: str) -> Iterator[None]:
    try:
        yield
    except (HeadgateError, OSError) as error:
        said.append(f"{what}: {error}")


def _kept(home: Home, releases: Releases | None) -> Kept:
    """What the versions in the release folder point to, and the datasets of other projects' versions."""
    fingerprints = [str(one.get("dataset_fingerprint", "")) for one in signed_manifests(home)]
    if releases is None:
        return Kept(fingerprints=fingerprints)
    releases.pointer()  # raises where it is not known what serves
    runs = []
    for version in releases.folder.versions():
        try:
            manifest = verify_release(
                releases.folder.version_dir(version), releases.public_key, releases.name, version=version
            )
        except ReleaseRefused:
            continue  # damaged or no longer allowed to serve: fetched again where it is needed
        runs.append(str(manifest.configuration.get("run", "")))
    return Kept(runs=runs, fingerprints=fingerprints)


def _clean_models(releases: Releases, spec: KeepSpec, done: Cleaned, *, dry_run: bool) -> None:
    models = models_to_remove(releases, spec)
    done.going.extend(as_going(models, releases))
    for stored, why in () if dry_run else models:
        remove_model(releases.registry, releases.home, stored, why)
        fault("model_removed")


def _clean_runs(releases: Releases, spec: KeepSpec, done: Cleaned, now: float, *, dry_run: bool) -> None:
    if not is_own(releases):
        return
    days, why = spec.registry_run_days, f"older than {spec.registry_run_days} days (keep.registry_run_days)"
    for stored in runs_without_version(releases.registry, releases.experiment, now - days * DAY_S):
        place = stored.folder or Path(stored.run_id)
        done.going.append(Going(kind="runs without a version", path=place, why=why, size=size_of(place)))
        if not dry_run:
            remove_run(releases.registry, releases.home, stored)


def _clean_versions(releases: Releases, spec: KeepSpec, done: Cleaned, *, dry_run: bool) -> None:
    folder, why = releases.folder, f"{spec.versions} that served later are kept (keep.versions)"
    if not folder.path.is_dir():
        return
    places = map(folder.version_dir, folder.superfluous(spec.versions, releases.public_key))
    done.going.extend(Going(kind="released versions", path=one, why=why, size=size_of(one)) for one in places)
    if not dry_run:
        folder.prune(spec.versions, releases.public_key)
        fault("versions_cleaned")


def _clean_folders(home: Home, going: list[Going], done: Cleaned, *, dry_run: bool) -> None:
    done.going.extend(going)
    if dry_run:
        return
    for one in going:
        with contextlib.suppress(OSError):  # gone meanwhile, or not ours to remove: the next clean finds it
            if one.path.is_relative_to(home.cache):
                _remove_cached(one.path)
            else:
                remove_folder(one.path)
        fault("folder_cleaned")


def _remove_cached(entry: Path) -> None:
    """Remove an entry of the cache and its lock, unless somebody works on it."""
    lock = entry.with_name(f"{entry.name}.lock")
    with contextlib.suppress(TimeoutError), locked(lock, timeout_s=0):
        remove_folder(entry)
        lock.unlink(missing_ok=True)  # whoever waits for it sees that, and takes a new one
