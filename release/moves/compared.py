"""Whether the champion that a version was compared with is the one that serves now.

The signed evidence of a verdict names the bundles that were scored, the champion's among them. Two runs that
overlap judge against the same champion; the second of them to end has not been compared with the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model.files import file_sha256
from release.kept_evidence import CHAMPION
from release.releases import Releases
from serving.store.manifest import BUNDLE_FOLDER, BUNDLE_MANIFEST

SCORED = "scored_bundles"
"""Entry of the evidence: `shared`, `baseline:<head>`, `champion` → digest of the bundle that was scored."""


def uncompared(releases: Releases, version: int, evidence: Mapping[str, Any]) -> str:
    """Why `version` may not take the place of what serves now, and what to do; empty where it may.

    Evidence that names no bundles was signed by an older Headgate, which did not keep them: nothing follows.

    Args:
        releases: of the project, best with its lock held.
        version: registered version.
        evidence: of its verdict, as signed.
    """
    now = releases.serving()
    if now is None or now == version or SCORED not in evidence:
        return ""
    against = evidence[SCORED].get(CHAMPION)
    try:
        serves = file_sha256(releases.folder.version_dir(now) / BUNDLE_FOLDER / BUNDLE_MANIFEST)
    except OSError as error:
        return (
            f"version {now}, which serves, can't be read ({error.strerror}): it is not known whether version "
            f"{version} was compared with it; `headgate rollback {releases.name} --to {now}` fetches it again"
        )
    if against == serves:
        return ""
    seen = f"another champion (bundle {against[:12]}…)" if against else "no champion"
    return (
        f"version {version} was compared with {seen}, and version {now} serves by now (bundle "
        f"{serves[:12]}…): run `headgate judge {releases.name} {version}`"
    )
