"""Every example in docs/formats.md is read as the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from model.spec import HeadSpec
from sources.formats.read import read_source
from sources.labels.find_targets import find_targets
from sources.labels.target_codes import TargetCodes
from sources.spec import SourceSpec, TargetSpec

PAGE = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```\n\n```\w+\n(.*?)```", PAGE, re.DOTALL)
MEANT = {("Will it rain?", "weather"), ("Two tickets to Rome", "travel")}


def test_every_tool_has_an_example() -> None:
    assert len(EXAMPLES) == PAGE.count("```yaml") == 16


@pytest.mark.parametrize(("declaration", "content"), EXAMPLES, ids=[e[0].split()[1] for e in EXAMPLES])
def test_an_example_is_read_as_the_page_says(declaration: str, content: str, tmp_path: Path) -> None:
    raw_spec = yaml.safe_load(declaration)
    heads = {head: TargetSpec(**target) for head, target in raw_spec.pop("heads", {}).items()}
    spec = SourceSpec(**raw_spec, heads=heads)
    (tmp_path / str(spec.path)).write_text(content, encoding="utf-8")
    raw = read_source("it", spec, tmp_path, lambda rows: None, ["topic"])
    codes = TargetCodes()
    found = find_targets(raw, raw.spec, {"topic": HeadSpec(kind="multiclass")}, {"topic": codes}, tmp_path)
    labelled = found.select("text", "target:topic").drop_nulls().iter_rows()
    assert {(text, codes.targets[code].positives[0]) for text, code in labelled} == MEANT
