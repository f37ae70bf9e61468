"""What a run leaves beside its evidence so that its candidate can be judged again without training.

References only, in `runs/RUN/evidence/kept.json`: what they name stays where it is, and is verified where it
is used. Does not judge.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from model.errors import HeadgateError
from model.files import RecordDamaged, as_record, file_sha256, read_json, write_bytes
from model.references import BundleRef, Run
from model.spec import BackboneSpec, TrainSpec, head_from_json

KEPT_FILE = "kept.json"
CHAMPION = "champion"


class EvidenceGone(HeadgateError):
    """A run's models or rows are no longer there, or were changed; nothing was judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEvidence:
    """A run and the bundles that its candidate is compared with."""

    run: Run
    dataset: Path
    """Dataset folder."""
    bundles: Mapping[str, BundleRef]
    """`shared` and `baseline:<head>`. The champion is looked up anew whenever it is judged."""
    pages: Mapping[str, str] = field(default_factory=dict)
    """Title → file of the pages on its data."""


def keep_evidence(kept: KeptEvidence) -> None:
    """Write the references of a run into its folder."""
    bundles = {label: bundle for label, bundle in kept.bundles.items() if label != CHAMPION}
    raw = {
        "schema_version": 1,
        "run": asdict(kept.run),
        "dataset": str(kept.dataset),
        "bundles": {label: asdict(bundle) for label, bundle in bundles.items()},
        "pages": dict(kept.pages),
    }
    file = kept.run.folder / "evidence" / KEPT_FILE
    write_bytes(file, json.dumps(raw, indent=1, default=str).encode())


def read_evidence(folder: Path, scored_bundles: Mapping[str, str]) -> KeptEvidence:
    """What the run in `folder` kept, all of it there and as it was judged.

    Args:
        scored_bundles: label → digest of the bundle, from the signed record of the verdict.

    Raises:
        EvidenceGone: something is missing, or is not what was judged.
    """
    try:
        kept = _from_json(_placed(read_json(folder / "evidence" / KEPT_FILE), folder))
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RecordDamaged,
    ) as error:
        raise EvidenceGone(
            f"run {folder.name}: what it left for judging again can't be read ({error}): it was removed, or "
            "is of a version of Headgate that left nothing. Run `headgate retrain`"
        ) from error
    wanted = {label: digest for label, digest in scored_bundles.items() if label != CHAMPION}
    judged = {label: bundle.sha256 for label, bundle in kept.bundles.items()}
    if judged != wanted:
        other = sorted(
            label for label in wanted.keys() | judged.keys() if wanted.get(label) != judged.get(label)
        )
        raise EvidenceGone(
            f"run {folder.name}: {', '.join(other)}: other bundles than were judged; somebody changed "
            f"{KEPT_FILE}. Run `headgate retrain`"
        )
    needed = [kept.run.rows / "test.texts.jsonl", kept.run.profile, kept.dataset]
    for bundle in kept.bundles.values():
        needed += [Path(bundle.path) / "manifest.json", Path(bundle.fitted) / "history.json"]
    if gone := [str(path) for path in needed if not path.exists()]:
        raise EvidenceGone(
            f"run {folder.name}: gone since it was judged: {', '.join(gone)}. Without training again it "
            "can't be judged: run `headgate retrain`"
        )
    for label, bundle in kept.bundles.items():
        if file_sha256(Path(bundle.path) / "manifest.json") != bundle.sha256:
            raise EvidenceGone(
                f"run {folder.name}: {label}: its bundle {bundle.path} was changed since it was judged. Run "
                "`headgate retrain`"
            )
    return kept


def _placed(raw: Any, folder: Path) -> Any:
    """The references with their paths below the state folder that the run lies in now: it may have been moved
    or copied since they were written."""
    before, now = Path(raw["run"]["folder"]).parents[1], folder.parents[1]

    def place(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: place(one) for key, one in value.items()}
        if isinstance(value, str) and value.startswith(f"{before}/"):
            return f"{now}{value.removeprefix(str(before))}"
        return value

    return raw if before == now else place(raw)


def _from_json(raw: Mapping[str, Any]) -> KeptEvidence:
    run = _known(raw["run"], Run)
    paths = {one.name: Path(run[one.name]) for one in fields(Run) if one.type == "Path"}
    made = Run(
        **{
            **run,
            **paths,
            "heads": {name: head_from_json(head) for name, head in run["heads"].items()},
            "backbone": as_record(run["backbone"], BackboneSpec),
            "train": as_record(run["train"], TrainSpec),
        }
    )
    bundles = {
        label: BundleRef(**{**_known(bundle, BundleRef), "heads": tuple(bundle["heads"])})
        for label, bundle in raw["bundles"].items()
    }
    return KeptEvidence(run=made, dataset=Path(raw["dataset"]), bundles=bundles, pages=dict(raw["pages"]))


def _known(raw: Mapping[str, Any], kind: type[Run] | type[BundleRef]) -> dict[str, Any]:
    """Without the fields that a newer version added."""
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in raw.items() if name in names}
