"""A champion serves and the data change: what changed is said before anything is trained.

Real Prefect, real MLflow, real signatures; the champion is a toy that was trained on the first data.
"""

from __future__ import annotations

import csv
import json
import logging
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml

from expectations.seen_texts import first_seen_bytes, write_seen
from expectations.verdict import ApprovedVersion
from flows.outcome import Outcome
from model.files import file_sha256, write_bytes
from release.home import Home
from release.moves.promote import promote_version
from release.registry.candidate import Candidate
from release.registry.register import register_version
from release.spec import RegistrySpec
from report.progress import LOGGER
from serving.store.manifest import SEEN_EVIDENCE, SEEN_FILE
from tests.support.projects import candidate, home, store  # noqa: F401
from tests.support.tiny_encoder import make_tiny_backbone

pytestmark = pytest.mark.timeout(300)
NAME = "toy"
WORDS = {"weather": ["sun", "rain"], "food": ["tea", "soup"], "defect": ["crack", "dent"]}
SPLITS = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.shown.append(record.getMessage())


@dataclass
class Place:
    """A project whose data change."""

    folder: Path
    home: Home
    rows: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Text → topic, split."""

    def write(self, rows: Mapping[str, tuple[str, str]]) -> None:
        with (self.folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                [("text", "topic", "split"), *((text, *labels) for text, labels in rows.items())]
            )

    def validate(self) -> tuple[Outcome, str]:
        """The outcome, and the lines that whoever watches is shown."""
        from flows.validate import validate

        lines = Lines()
        logging.getLogger(LOGGER).addHandler(lines)
        try:
            state = validate(self.folder / "project.yaml", home=self.home.root, return_state=True)  # type: ignore[call-overload]
        finally:
            logging.getLogger(LOGGER).removeHandler(lines)
        outcome = state.result(raise_on_failure=False)
        assert isinstance(outcome, Outcome), outcome
        return outcome, "\n".join(lines.shown)

    @property
    def dataset(self) -> Path:
        [found] = [one.parent for one in self.home.data.glob("*/dataset.json")]
        return found


@pytest.fixture
def place(
    tmp_path: Path,
    home: Home,  # noqa: F811
    prefect_harness: None,
) -> Iterator[Place]:
    make_tiny_backbone(tmp_path / "encoder")
    dice, made = random.Random(5), Place(tmp_path, home)
    for number in range(600):
        topic = sorted(WORDS)[number % 3]
        text = f"{' '.join(dice.choices(WORDS[topic], k=6))} n{number}"
        made.rows[text] = (topic, SPLITS[number // 3 % 10])
    project = {
        "name": NAME,
        "backbone": str(tmp_path / "encoder"),
        "heads": {"topic": "multiclass"},
        "train": {"max_length": 64},
        "sources": {"shop": {"path": "rows.csv", "split_column": "split", "heads": {"topic": "topic"}}},
    }
    (tmp_path / "project.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
    made.write(made.rows)
    yield made


def serve(place: Place, made: Candidate, write: Callable[[Path, Path], str]) -> None:
    """A champion that was trained on the data of now; they are then removed."""
    seen = place.folder / "listed" / SEEN_FILE
    seen.parent.mkdir()
    evidence = {"threads": 1, SEEN_EVIDENCE: write(place.dataset, seen)}
    profile = json.loads((place.dataset / "profile.json").read_text())
    made = replace(made, seen=seen, evidence=evidence, bundle_sha256=_with_profile(made.bundle, profile))
    done = register_version(place.home, NAME, RegistrySpec(), made)
    approved = ApprovedVersion(
        name=NAME, version=done.version, bundle_sha256=made.bundle_sha256, verdict=made.verdict
    )
    promote_version(place.home, NAME, RegistrySpec(), approved, bundle=made.bundle, evidence=evidence)
    shutil.rmtree(place.home.data)


def _with_profile(bundle: Path, profile: object) -> str:
    """The digest of a bundle whose card has a profile of the data."""
    from tests.support.toy_bundle import write_bundle_manifest

    card = json.loads((bundle / "card.json").read_text())
    (bundle / "card.json").write_text(json.dumps({**card, "data_profile": profile}))
    return write_bundle_manifest(bundle)


def listed(dataset: Path, file: Path) -> str:
    return write_seen(dataset, file).sha256


def listed_as_before(dataset: Path, file: Path) -> str:
    write_bytes(file, first_seen_bytes(dataset))
    return file_sha256(file)


def test_a_label_that_vanishes_or_is_renamed_is_said_before_training(
    place: Place,
    candidate: Callable[..., Candidate],  # noqa: F811
) -> None:
    outcome, said = place.validate()
    assert outcome.stage == "validated", outcome
    assert "  ✓ merge sources" in said and "version" not in said, "nothing serves"
    serve(place, candidate(1), listed)

    _, said = place.validate()
    assert "  nothing in the data changed since version 1" in said

    place.write({text: row for text, row in place.rows.items() if row[0] != "defect"})
    outcome, said = place.validate()
    for line in (
        "changed since version 1                          then        now   difference",
        "source shop, test                               120         80          -40",
        "head topic, train                               360        240         -120",
        "`topic`: 1 label is gone: `defect` (200 rows then)",
        "test rows: 80 kept, 0 added, 40 gone",
    ):
        assert line in said
    page = Path(outcome.pages["Data quality"]).read_text(encoding="utf-8")
    assert "Changed since version 1" in page and "`defect` (200 rows then)" in page

    names = {"weather": "climate"}
    place.write({text: (names.get(topic, topic), split) for text, (topic, split) in place.rows.items()})
    _, said = place.validate()
    assert "`topic`: 1 label has a new name: `weather` → `climate` (200 of 200 shared" in said
    assert "then        now" not in said, "no number of rows is another one"
    assert max(len(line) for line in said.splitlines() if line.startswith("    ")) <= 80


def test_of_a_version_that_was_trained_before_this_was_kept_it_says_so(
    place: Place,
    candidate: Callable[..., Candidate],  # noqa: F811
) -> None:
    place.validate()
    serve(place, candidate(1), listed_as_before)
    place.write({text: row for text, row in place.rows.items() if row[0] != "defect"})
    _, said = place.validate()
    assert "`topic`: 1 label is gone: `defect` (200 rows then)" in said
    assert "not known for version 1: rows by source, test rows" in said


@pytest.mark.slow
def test_a_sweep_says_what_changed_too(
    place: Place,
    candidate: Callable[..., Candidate],  # noqa: F811
) -> None:
    """It ends before it trains: there are too few rows."""
    from flows.sweep import sweep

    config = place.folder / "project.yaml"
    project = yaml.safe_load(config.read_text(encoding="utf-8"))
    project["heads"]["tone"] = "multiclass"
    project["sources"]["shop"]["heads"]["tone"] = "topic"
    project["expectations"] = {"min_rows_per_split": 5000}
    config.write_text(yaml.safe_dump(project), encoding="utf-8")

    def page() -> str:
        state = sweep(config, home=place.home.root, return_state=True)  # type: ignore[call-overload]
        outcome = state.result(raise_on_failure=False)
        assert isinstance(outcome, Outcome) and outcome.stage == "data_rejected", outcome
        return Path(outcome.pages["Data quality"]).read_text(encoding="utf-8")

    page()
    serve(place, candidate(1), listed)
    assert "Nothing in the data changed since version 1." in page()
