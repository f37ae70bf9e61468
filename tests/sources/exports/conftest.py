"""Made-up files of the shape that labelling tools export."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from sources.formats.read import RawSource, read_source
from sources.spec import SourceSpec

Read = Callable[..., RawSource]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read one file with nothing said but its path, format and, where given, more fields."""

    def reading(
        name: str, content: Any, format: str, project: Iterable[str] = ("topic",), **more: Any
    ) -> RawSource:
        file = tmp_path / name
        if isinstance(content, str):
            file.write_text(content, encoding="utf-8")
        elif name.endswith(".jsonl"):
            file.write_text("".join(json.dumps(one) + "\n" for one in content), encoding="utf-8")
        else:
            file.write_text(json.dumps(content), encoding="utf-8")
        spec = SourceSpec(path=name, format=format, **more)  # type: ignore[arg-type]
        return read_source("it", spec, tmp_path, lambda rows: None, tuple(project))

    return reading
