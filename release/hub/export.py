"""A released or registered version as models that transformers loads by itself, and, if asked, on the hub.

What is exported is verified first: it is the bundle that was judged. Does not know how heads are exported
(`model.export`).
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from expectations.gates.figures import verdict_figures
from expectations.verdict import Verdict, verdict_from_json
from model.errors import HeadgateError
from model.export.hub.job import export_heads
from model.export.hub.model_card import About, Measured
from model.jobs.hub import push_folder
from release.champion import current_champion
from release.home import Home
from release.registry.judgement import read_judgement
from release.releases import open_releases
from release.saved_settings import load_settings
from serving.store.manifest import verify_bundle_files

if TYPE_CHECKING:
    from model.export.hub.huggingface import ExportedHead


class NothingToExport(HeadgateError):
    """No version serves and none was named, or the folder is taken; nothing was written."""

    kind = "usage"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    number: int
    bundle: Path
    verdict: Verdict
    override: bool = False


def export_version(home: Home, name: str, version: int | None, out: Path) -> tuple[int, list[ExportedHead]]:
    """(The version that was exported, its heads as folders below `out`).

    Args:
        home: the state folder.
        name: project.
        version: a registered version, whatever its verdict; None for the one that serves.
        out: an empty folder, or one that is made.

    Raises:
        NothingToExport: nothing serves and no version is named, or something lies in `out`.
        model.errors.ModelError: a head has no counterpart in transformers, or would answer otherwise.
        release.registry.judgement.NotJudged: the record of the version's verdict can't be believed.
        serving.store.manifest.ReleaseRefused: its bundle is not the one that was judged.
        release.registry.client.RegistryProblem: there is no such version, or the registry can't be reached.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise NothingToExport(f"--to {out}: seen files there, expected an empty folder or a new one")
    with _verified(home, name, version) as found:
        about = About(
            project=name,
            version=found.number,
            outcome=found.verdict.outcome,
            override=found.override,
            test=_test_figures(found.verdict),
        )
        return found.number, export_heads(found.bundle, out, about)


def push_heads(name: str, version: int, heads: list[ExportedHead], repository: str) -> dict[str, str]:
    """Put each head's folder into a repository of the hub: `repository` itself where there is one head, else
    `repository-HEAD`. Head → address.

    Raises:
        model.jobs.hub.PushFailed: the hub can't be reached, or refuses.
    """
    message = f"{name} version {version}"
    of = {one.head: repository if len(heads) == 1 else f"{repository}-{one.head}" for one in heads}
    return {one.head: push_folder(one.folder, of[one.head], message=message) for one in heads}


@contextlib.contextmanager
def _verified(home: Home, name: str, version: int | None) -> Iterator[_Version]:
    champion = current_champion(home, name)
    if champion is not None and version in (None, champion.version):
        yield _Version(
            number=champion.version,
            bundle=Path(champion.bundle.path),
            verdict=verdict_from_json(champion.verdict),
            override=bool(champion.override),
        )
        return
    if version is None:
        raise NothingToExport(
            f"{name}: no version serves; name a registered one: `headgate export {name} --version N` "
            f"(`headgate status {name}` lists them)"
        )
    releases = open_releases(home, name, load_settings(home, name).registry)
    judged = read_judgement(releases.registry, releases.public_key, version)
    with tempfile.TemporaryDirectory(dir=home.cache) as temporary:
        bundle = releases.registry.download_bundle(version, Path(temporary))
        verify_bundle_files(bundle, judged.bundle_sha256)
        yield _Version(number=version, bundle=bundle, verdict=judged.verdict)


def _test_figures(verdict: Verdict) -> dict[str, Measured]:
    """Head → its metric on the test rows."""
    found: dict[str, Measured] = {}
    for one in verdict_figures(verdict):
        if one.metric and one.shared.value is not None and one.subject not in found:
            found[one.subject] = Measured(
                metric=one.metric, value=one.shared.value, lower=one.shared.lower, rows=one.rows
            )
    return found
