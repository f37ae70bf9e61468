"""What a run leaves for judging again is found wherever the state folder lies now."""

from __future__ import annotations

import shutil
from pathlib import Path

from model.files import file_sha256
from model.references import BundleRef, Run
from model.spec import BackboneSpec, HeadSpec, TrainSpec
from release.home import Home
from release.kept_evidence import KeptEvidence, keep_evidence, read_evidence


def kept_in(home: Home) -> KeptEvidence:
    folder, dataset = home.runs / "one", home.data / "rows-of-one"
    bundle, fitted = home.cache / "bundles" / "b", home.cache / "fitted" / "f"
    for file in (
        dataset / "rows" / "test.texts.jsonl",
        folder / "profile.json",
        folder / "evidence" / "scores.json",
        bundle / "manifest.json",
        fitted / "history.json",
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    run = Run(
        id="one",
        name="toy",
        folder=folder,
        logs=home.logs / "one",
        reports=home.reports / "one",
        cache=home.cache,
        rows=dataset / "rows",
        profile=folder / "profile.json",
        heads={"mood": HeadSpec(kind="multiclass", labels=("low", "high"))},
        head_fingerprints={"mood": "f"},
        backbone=BackboneSpec(),
        train=TrainSpec(),
        encoder_sha256="e",
        texts_sha256="t",
        provenance={"run": "one"},
    )
    ref = BundleRef(
        path=str(bundle),
        fitted=str(fitted),
        sha256=file_sha256(bundle / "manifest.json"),
        heads=("mood",),
        precision="float32",
        bytes=2,
        fit_seconds=1.0,
    )
    pages = {"Data quality": str(home.reports / "one" / "data.html")}
    made = KeptEvidence(run=run, dataset=dataset, bundles={"shared": ref}, pages=pages)
    keep_evidence(made)
    return made


def test_a_copy_is_judged_by_what_lies_in_the_copy(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    kept = kept_in(home)
    judged = {"shared": kept.bundles["shared"].sha256}
    assert read_evidence(home.runs / "one", judged) == kept
    shutil.move(home.root, tmp_path / "moved")
    moved = Home(tmp_path / "moved")
    found = read_evidence(moved.runs / "one", judged)
    paths = [found.dataset, found.run.folder, found.run.rows, found.run.cache, found.run.profile]
    paths += [Path(found.bundles["shared"].path), Path(found.bundles["shared"].fitted)]
    paths += [Path(page) for page in found.pages.values()]
    assert all(path.is_relative_to(moved.root) for path in paths)
