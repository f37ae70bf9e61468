"""Bring a registry and a release folder together that are strangers: somebody says whose champion holds.

`adopt_local` carries what serves here into the registry, under a new number; `adopt_registry` fetches the
registry's champion and puts the release folder aside. Both are verified as ever: what was not signed with the
project's key is taken over by neither.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from expectations.contract.compare import compare_answers, told
from model.errors import HeadgateError
from model.files import fsync_folder, unfinished_path
from model.spec import HeadSpec
from release.home import Home
from release.journal import Entry
from release.moves.carry import carry
from release.moves.contract import answered
from release.moves.fetch import ensure_seen
from release.moves.unfinished import finish_moves
from release.registry.bond import Standing, agree, signed_pointer
from release.registry.client import RegistryProblem
from release.releases import Releases, open_releases
from release.saved_settings import Settings, load_settings, save_settings, state_file
from release.spec import RegistrySpec
from release.targets.deploy import deploy_version
from release.targets.follower import sync_once
from serving.process import control as process
from serving.spec import ENDPOINT, DeploySpec
from serving.store.manifest import BUNDLE_FOLDER, ReleaseRefused
from serving.store.release_folder import ReleaseFolder


class NotAdopted(HeadgateError):
    """There is nothing that could be taken over, or it may not serve; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What serves after registry and release folder were brought together."""

    version: int | None
    """Champion of both; None where there is none."""
    said: str
    """What was done, in one sentence."""


def standing_of(home: Home, name: str, spec: RegistrySpec) -> tuple[Standing, str]:
    """How the registry stands to the release folder of project `name`, and what is to be done, if anything.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    releases = open_releases(home, name, spec)
    return releases.standing(), releases.other_registry()


def remark_of(home: Home, name: str) -> str:
    """What is to be said after a move without a configuration: that the registry's aliases were not moved,
    and why; empty where they were, or the registry does not answer.
    """
    try:
        other = open_releases(home, name, load_settings(home, name).registry).other_registry()
    except RegistryProblem:
        return ""
    return f"the registry's aliases were not moved: {other}" if other else ""


def adopt_local(home: Home, name: str, spec: RegistrySpec, deploy: DeploySpec) -> Adopted:
    """Make what serves here the champion of the registry, registered there under a new number.

    Raises:
        NotAdopted: its copy in the release folder may not serve.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    releases = open_releases(home, name, spec)
    with releases.locked():
        if releases.standing() not in ("other", "ahead"):
            return _nothing(releases, name, deploy)
        finish_moves(releases)
        serving, pointed = releases.serving(), releases.registry.pointed()
        theirs = signed_pointer(pointed.pointer if pointed else None, releases.public_key, name)
        # From here on it is nobody's champion; then the pointer that is written below is the registry's, too.
        releases.registry.forget_champion()
        if serving is None:
            said = "nothing serves here: the registry's aliases were removed, and its champion serves nowhere"
            number = None
        else:
            try:
                number = carry(releases, serving, after=theirs.sequence if theirs is not None else 0)
            except ReleaseRefused as error:
                raise NotAdopted(f"{name}: version {serving} may not serve: {error}") from error
            said = (
                f"version {serving} is version {number} in the registry {releases.registry.uri}, and serves"
            )
        releases.journal.append(Entry(event="adopted", version=number, detail=said))
        _keep_settings(releases, name, deploy)
    _confirm(releases, deploy, number, anew=False)
    return Adopted(version=number, said=said)


def adopt_registry(home: Home, name: str, spec: RegistrySpec, deploy: DeploySpec) -> Adopted:
    """Make the registry's champion the one that serves here. A release folder with another story, and its
    journal, are put aside, not removed.

    Raises:
        NotAdopted: the registry has no champion, or its champion was not signed with the project's key.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    releases = open_releases(home, name, spec)
    with releases.locked():
        standing = releases.standing()
        if standing not in ("other", "ahead"):
            return _nothing(releases, name, deploy)
        serving, before = releases.serving(), _answered(releases)
        if (
            standing == "ahead"
            and agree(releases.registry, releases.folder, releases.public_key) != "contradiction"
        ):
            aside = None
            _fetch(releases, releases.folder)
        else:
            aside = _replace(releases)
        version = releases.serving()
        if version is not None:
            # A replica does without; a project that trains needs the list of the champion's texts.
            ensure_seen(releases.registry, releases.folder, releases.public_key, version)
        said = f"version {version} of the registry {releases.registry.uri} serves"
        said += _instead_of(serving, before, _answered(releases))
        if aside is not None:
            said += f"; what was here before lies in {aside}"
        releases.journal.append(Entry(event="adopted", version=version, detail=said))
        releases.align()
        releases.bind()
        _keep_settings(releases, name, deploy)
    _confirm(releases, deploy, version, anew=aside is not None)
    return Adopted(version=version, said=said)


def _answered(releases: Releases) -> Mapping[str, HeadSpec] | None:
    """What clients are answered; none where nothing serves, or that can't be read."""
    serving = releases.serving()
    return None if serving is None else answered(releases.folder.version_dir(serving) / BUNDLE_FOLDER)


def _instead_of(
    serving: int | None, before: Mapping[str, HeadSpec] | None, now: Mapping[str, HeadSpec] | None
) -> str:
    """What clients lose and gain by it. Who takes over another registry's champion has said so: no consent is
    asked for."""
    if serving is None:
        return ""
    if before is None or now is None:
        return f" in place of version {serving}; it is not known what clients lose and gain"
    lines = told(compare_answers(before, now))
    return f" in place of version {serving}; {'; '.join(lines) or 'clients lose and gain nothing'}"


def _nothing(releases: Releases, name: str, deploy: DeploySpec) -> Adopted:
    _keep_settings(releases, name, deploy)
    return Adopted(
        version=releases.serving(),
        said="registry and release folder belong together already; nothing was changed",
    )


def _keep_settings(releases: Releases, name: str, deploy: DeploySpec) -> None:
    """Commands without a configuration ask this registry from now on."""
    save_settings(releases.home, name, Settings(registry=releases.registry.spec, deploy=deploy))


def _fetch(releases: Releases, folder: ReleaseFolder) -> None:
    """Have `folder` follow the registry's champion, or say why it may not."""
    folder.versions_path.mkdir(parents=True, exist_ok=True)
    seen = sync_once(releases.registry, folder, releases.public_key)
    if seen.state not in ("current", "followed"):
        why = seen.reason or "it has no champion"
        raise NotAdopted(
            f"registry {releases.registry.uri}: nothing to take over: {why}. To carry what serves here into "
            "it: headgate adopt CONFIG --local"
        )


def _replace(releases: Releases) -> Path | None:
    """Fill a release folder from the registry and put it in the place of the present one; where that lies
    now, None where there was none."""
    here = releases.folder.path
    with _beside(here) as made:
        _fetch(releases, ReleaseFolder(made, releases.folder.name))
        aside = None
        if here.exists():
            stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
            aside = here.with_name(f"{here.name}.before-{stamp}")
            here.rename(aside)
            if releases.journal.path.exists():
                releases.journal.path.rename(aside / releases.journal.path.name)
        made.rename(here)
    fsync_folder(here.parent)
    return aside


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    made = unfinished_path(folder)
    made.mkdir(parents=True)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _confirm(releases: Releases, deploy: DeploySpec, version: int | None, *, anew: bool) -> None:
    """See that a running endpoint, or a target, serves what was adopted."""
    file = state_file(releases.home, releases.name)
    running = process.status(file) is not None
    if running and (anew or version is None):
        process.stop(file)  # it would not follow a pointer of another story
    if version is None or (deploy.target == ENDPOINT and not running):
        return
    done = deploy_version(releases.home, releases.name, releases.registry.spec, deploy, version)
    if not done.deployed:
        raise NotAdopted(f"{releases.name}: version {version} was adopted, but does not serve: {done.reason}")
