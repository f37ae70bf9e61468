"""What came of inputs: one signed record for each set of inputs that was judged, found by their digest.

A run with equal inputs finds here what it would come to. The record is written when the verdict is there, so
that nothing has to be trained or measured again whatever fails later; again with the version's number; again
with its pages. Does not decide what a run does about it (`release.runs.standing`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from expectations.verdict import Verdict, verdict_from_json
from model.errors import HeadgateError
from model.files import RecordDamaged, plain_bytes, write_bytes
from model.references import AnswersRef, Measured, ScoresRef, TimingRef
from release.home import Home
from release.registry.candidate import INPUTS_EVIDENCE
from release.runs.inputs import Inputs
from release.served import signed_manifests
from serving.store.signed import SignedFormat
from serving.store.signing import KeySource

MOST_RECORDS = 200
"""Records of one project that are kept, the newest: four years of weekly changes."""


class RecordUnknown(HeadgateError):
    """A record can't be believed; inputs whose record is damaged count as never judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedInputs:
    """Inputs and what came of them. Every field is signed."""

    name: str
    """Project."""
    inputs: str
    """Digest of the inputs."""
    parts: dict[str, dict[str, str]]
    """Their parts (`Inputs.parts`)."""
    against: str
    """Digest of the champion's bundle that the candidate was compared with; empty for none."""
    run: str
    """Run that judged; names its folders."""
    dataset: str
    """Name of the dataset's folder."""
    scored_bundles: dict[str, str]
    """Label → digest of the bundle that was scored."""
    measured: dict[str, Any]
    """References to the evidence (`model.references.Measured`), their files relative to the state folder."""
    verdict: dict[str, Any]
    """As JSON."""
    remarks: list[str]
    """Of the data."""
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """When it was judged: ISO 8601, UTC."""
    version: int = 0
    """Registered version; 0 before there is one."""
    mlflow_run: str = ""
    """Its run in the registry."""
    mlflow_experiment: str = ""
    """Id of that run's experiment; empty in records that are older than the field."""
    pages: dict[str, str] = field(default_factory=dict)
    """Title → page, relative to the state folder; empty before they are written."""

    def gathered(self) -> Inputs:
        """The inputs."""
        return Inputs(parts=self.parts, dataset=self.dataset)

    def judged(self) -> Verdict:
        """The verdict.

        Raises:
            ValueError, KeyError, TypeError: it is not one that this version understands.
        """
        return verdict_from_json(self.verdict)


_FORMAT = SignedFormat(record=JudgedInputs, purpose="inputs", file="the record", error=RecordUnknown)


def judged_file(home: Home, name: str, inputs: str) -> Path:
    """Where the record of inputs with this digest is kept."""
    return home.judged / name / f"{inputs}.json"


def keep_judged(home: Home, record: JudgedInputs, private_key: Path) -> None:
    """Write a record, in the place of an earlier one of the same inputs.

    Raises:
        OSError: it can't be written.
        serving.store.signing.KeyProblem: the key can't be used.
    """
    place = judged_file(home, record.name, record.inputs)
    place.parent.mkdir(exist_ok=True)
    write_bytes(place, _FORMAT.seal(record, private_key), mode=0o600)
    for old in sorted(place.parent.glob("*.json"), key=_written, reverse=True)[MOST_RECORDS:]:
        if old.stem not in _released(home, record.name):
            old.unlink(missing_ok=True)


def _released(home: Home, name: str) -> set[str]:
    """Digests of the inputs of released versions: their records say what changed since."""
    found = (one.get("evidence") for one in signed_manifests(home, name))
    return {str(one.get(INPUTS_EVIDENCE)) for one in found if isinstance(one, dict)}


def find_judged(home: Home, name: str, inputs: str, keys: KeySource) -> JudgedInputs | None:
    """What came of inputs with this digest; None where nothing is known that can be believed."""
    with contextlib.suppress(RecordDamaged, RecordUnknown, ValueError, KeyError, TypeError):
        data = plain_bytes(judged_file(home, name, inputs))
        record = None if data is None else _FORMAT.unseal(data, keys)
        if record is not None and (record.name, record.inputs) == (name, inputs):
            record.judged()
            return record
    return None


def with_pages(record: JudgedInputs, home: Home, pages: Mapping[str, str]) -> JudgedInputs:
    """The record with the pages that lie in the state folder."""
    root = home.root.resolve()
    inside = {title: Path(page).resolve() for title, page in pages.items()}
    return replace(
        record,
        pages={t: str(page.relative_to(root)) for t, page in inside.items() if page.is_relative_to(root)},
    )


def pages_of(record: JudgedInputs, home: Home) -> dict[str, str]:
    """Title → page, of those that are still there."""
    places = {title: home.root / page for title, page in record.pages.items()}
    return {title: str(place) for title, place in places.items() if place.exists()}


def relative_measured(measured: Measured, root: Path) -> dict[str, Any]:
    """References to evidence for JSON, their files relative to the state folder `root`."""

    def place(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: str(Path(one).relative_to(root)) if key == "path" else place(one)
                for key, one in value.items()
            }
        return value

    placed: dict[str, Any] = place(asdict(measured))
    return placed


def measured_of(record: JudgedInputs, root: Path) -> Measured:
    """The evidence of a record, in the state folder `root`. Whether its files are as they were is for who
    reads them.

    Raises:
        KeyError, TypeError: the record lacks one.
    """

    def made(kind: Any, raw: Mapping[str, Any]) -> Any:
        return kind(**{**raw, "path": str(root / raw["path"])})

    raw = record.measured
    return Measured(
        scores={label: made(ScoresRef, one) for label, one in raw["scores"].items()},
        timing=made(TimingRef, raw["timing"]),
        http=made(TimingRef, raw["http"]),
        references={head: made(AnswersRef, one) for head, one in raw["references"].items()},
    )


def _written(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0  # another run has just removed it
