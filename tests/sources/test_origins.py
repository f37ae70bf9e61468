"""Which rows of the rows folder came from which source."""

from __future__ import annotations

import json
from pathlib import Path

from model.spec import SPLITS, HeadSpec
from sources.dataset import build_dataset
from sources.profile.origins import rows_of_sources
from sources.spec import SourceSpec, SplitSpec


def test_a_text_counts_for_each_source_that_holds_it(tmp_path: Path) -> None:
    both = [f"shared text {number}" for number in range(20)]
    for name, own in (("first", 40), ("second", 10)):
        texts = [f"{name} text {number}" for number in range(own)] + both
        lines = [f"{text},{'ab'[len(text) % 2]}" for text in texts]
        (tmp_path / f"{name}.csv").write_text("text,topic\n" + "\n".join(lines), encoding="utf-8")
    sources = {name: SourceSpec(path=f"{name}.csv", heads={"topic": "topic"}) for name in ("first", "second")}
    heads = {"topic": HeadSpec(kind="multiclass")}
    split = SplitSpec(validation=0.2, test=0.2)
    dataset = build_dataset(sources, heads, split, tmp_path, tmp_path / "out").path
    found = rows_of_sources(dataset, most=1000)
    assert list(found) == ["first", "second"]
    for at in SPLITS:
        lines = (dataset / "rows" / f"{at}.texts.jsonl").read_text(encoding="utf-8").splitlines()
        texts = [json.loads(line) for line in lines]
        for name in found:
            assert found[name][at].tolist() == [text.startswith((name, "shared")) for text in texts]
    assert [len(mask) for mask in rows_of_sources(dataset, most=3)["first"].values()] == [3, 3, 3]
