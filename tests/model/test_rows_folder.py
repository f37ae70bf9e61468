"""A rows folder is read as handed over or refused with the file and what was seen."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from model.errors import BadInput
from model.rows import open_rows
from model.spec import BackboneSpec, HeadSpec
from model.train.backbone import load_tokenizer, resolve
from model.train.tokens import cached_tokens, tokenise


@pytest.fixture
def copy(tiny_rows: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_rows, tmp_path / "rows"))


def test_reads_texts_targets_and_labelled_rows(tiny_rows: Path) -> None:
    part = open_rows(tiny_rows).split("train")
    assert part.count == len(list(part.texts())) == 120
    assert part.targets["topic"].shape == (120,)
    assert part.targets["names"].shape == (120, 4)
    assert part.labelled("topic").sum() == 100
    assert part.labelled("names").sum() == 100


def test_a_text_that_is_no_string_is_named_by_line_only(copy: Path) -> None:
    file = copy / "test.texts.jsonl"
    lines = file.read_text().splitlines()
    lines[4] = '{"secret": "words"}'
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(BadInput, match=r"test\.texts\.jsonl line 5: expected a JSON string$"):
        list(open_rows(copy).split("test").texts())


def test_too_few_lines(copy: Path) -> None:
    (copy / "test.texts.jsonl").write_text('"sun"\n')
    with pytest.raises(BadInput, match="seen 1 lines, expected 60"):
        list(open_rows(copy).split("test").texts())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(60, np.int64), "seen int64"),
        (np.zeros(59, np.int32), r"\(59,\)"),
        (np.full(60, 3, np.int32), "values from 3 to 3, expected -1 to 2"),
        (np.full(60, -2, np.int32), "values from -2"),
    ],
)
def test_wrong_targets(copy: Path, array: np.ndarray, message: str) -> None:
    np.save(copy / "test.topic.npy", array)
    with pytest.raises(BadInput, match=message):
        open_rows(copy).split("test")


def test_pickled_arrays_are_refused(copy: Path) -> None:
    np.save(copy / "test.topic.npy", np.array([{}] * 60, dtype=object), allow_pickle=True)
    with pytest.raises(BadInput, match=r"test\.topic\.npy: cannot be read"):
        open_rows(copy).split("test")


def test_heads_of_the_job_must_be_the_folders(tiny_rows: Path) -> None:
    other = HeadSpec(kind="multiclass", labels=("food", "weather", "animal"))
    with pytest.raises(BadInput, match="names and order must be equal"):
        open_rows(tiny_rows, {"topic": other})
    with pytest.raises(BadInput, match="no head 'mood'; it has topic, names"):
        open_rows(tiny_rows, {"mood": other})


def test_an_empty_split_and_a_broken_description(copy: Path) -> None:
    raw = json.loads((copy / "rows.json").read_text())
    raw["rows"]["test"] = 0
    (copy / "rows.json").write_text(json.dumps(raw))
    with pytest.raises(BadInput, match="split 'test' has no rows"):
        open_rows(copy).split("test")
    (copy / "rows.json").write_text("{")
    with pytest.raises(BadInput, match="not a description of rows"):
        open_rows(copy)


def test_tokens_are_made_once_and_found_again(tiny_backbone: Path, copy: Path, tmp_path: Path) -> None:
    backbone = resolve(BackboneSpec(name=str(tiny_backbone)))
    part = open_rows(copy).split("test")
    cache = tmp_path / "tokens"
    tokens = cached_tokens(part, load_tokenizer(backbone, 8), cache)
    direct = tokenise(part.texts(), load_tokenizer(backbone, 8))
    assert tokens.ids.tolist() == direct.ids.tolist()
    assert tokens.lengths.max() == 8
    (entry,) = [path for path in cache.iterdir() if path.is_dir()]
    os.utime(entry / "ids.npy", (1, 1))
    cached_tokens(part, load_tokenizer(backbone, 8), cache)
    assert (entry / "ids.npy").stat().st_mtime == 1  # not written again
    cached_tokens(part, load_tokenizer(backbone, 9), cache)
    entries = [path for path in cache.iterdir() if path.is_dir()]
    assert len(entries) == 2  # another cut is another entry


def test_damaged_tokens_are_made_again(tiny_backbone: Path, copy: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(resolve(BackboneSpec(name=str(tiny_backbone))), 8)
    part, cache = open_rows(copy).split("test"), tmp_path / "tokens"
    whole = cached_tokens(part, tokenizer, cache).ids.tolist()
    (entry,) = [path for path in cache.iterdir() if path.is_dir()]
    for name in ("ids.npy", "offsets.npy"):
        data = bytearray((entry / name).read_bytes())
        data[-3] ^= 1  # it still loads
        (entry / name).write_bytes(bytes(data))
        assert cached_tokens(part, tokenizer, cache).ids.tolist() == whole


def test_tokens_that_a_killed_process_left_half_written_are_made_anew(
    tiny_backbone: Path, copy: Path, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(resolve(BackboneSpec(name=str(tiny_backbone))), 8)
    part, cache = open_rows(copy).split("test"), tmp_path / "tokens"
    whole = cached_tokens(part, tokenizer, cache).ids.tolist()
    (entry,) = [path for path in cache.iterdir() if path.is_dir()]
    (entry / ".complete").unlink()
    (entry / "ids.npy").write_bytes(b"half")
    assert cached_tokens(part, tokenizer, cache).ids.tolist() == whole


def test_an_empty_file_is_named(copy: Path) -> None:
    (copy / "test.topic.npy").write_bytes(b"")
    with pytest.raises(BadInput, match=r"test\.topic\.npy: cannot be read"):
        open_rows(copy).split("test")
