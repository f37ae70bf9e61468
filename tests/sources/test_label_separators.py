"""A cell that holds the separator of another source is pointed out, whether its pieces are known or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.spec import HeadSpec
from sources.dataset import build_dataset
from sources.spec import SourceSpec, SplitSpec, TargetSpec


@pytest.mark.parametrize(
    ("labels", "listed", "said"),
    [("sad|mad", (), True), ("sad/mad", (), False), ("sad|mad", ("sad|mad",), False)],
)
def test_a_separator_that_another_source_declares(
    tmp_path: Path, labels: str, listed: tuple[str, ...], said: bool
) -> None:
    first = [f"text a {n},{['cold|pet', 'pet', 'drink'][n % 3]}\n" for n in range(60)]
    (tmp_path / "a.csv").write_text("text,tags\n" + "".join(first))
    second = [f"text b {n},{labels if n % 5 == 0 else 'pet'}\n" for n in range(60)]
    (tmp_path / "b.csv").write_text("text,tags\n" + "".join(second))
    joined = TargetSpec(column="tags", encoding="separator", separator="|")
    known = ("cold", "drink", "pet", *listed) if listed else ()
    ref = build_dataset(
        {
            "a": SourceSpec(path="a.csv", heads={"tags": joined}),
            "b": SourceSpec(path="b.csv", heads={"tags": "tags"}),
        },
        {"tags": HeadSpec(kind="multilabel", labels=known)},
        SplitSpec(),
        tmp_path,
        tmp_path / "data",
    )
    doubts = json.loads((ref.path / "profile.json").read_text())["doubts"].get("tags", {})
    assert ("joined_labels" in doubts) == said
    if said:
        assert (
            "joined by '|'" in doubts["joined_labels"] and "sources.b.heads.tags" in doubts["joined_labels"]
        )
