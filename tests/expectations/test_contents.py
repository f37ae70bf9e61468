"""What a dataset holds, read from its folder and kept for later: by hand, and there and back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from expectations import contents as kept
from expectations.changes import Changes, Contents, changes
from expectations.contents import contents_from_json, contents_of, contents_of_profile, contents_to_json
from expectations.seen_texts import FIRST_MAGIC, first_seen_bytes, load_contents, load_seen, write_seen
from model.files import file_sha256, read_json
from model.references import SeenRef
from model.spec import HeadSpec
from sources.dataset import DatasetRef, build_dataset
from sources.spec import SourceSpec, SplitSpec
from tests.support.small_dataset import HEADS, ROWS, SPEC


def numbers(*texts: str) -> list[int]:
    return sorted(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in texts)


@pytest.fixture
def made(tmp_path: Path) -> DatasetRef:
    """The small dataset, of which source `more` holds `one` again, and a text of its own."""
    (tmp_path / "s.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    more = [{"text": "one", "split": "train", "mood": "good"}, {"text": "nine", "split": "train"}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, more)))
    sources = {"s": SPEC, "more": SourceSpec(path="m.jsonl", split_column="split", heads={"mood": "mood"})}
    split = SplitSpec(near_duplicates="off", conflicts="drop")
    return build_dataset(sources, HEADS, split, tmp_path, tmp_path / "data")


def test_a_folder_is_counted_by_head_label_source_and_split(made: DatasetRef) -> None:
    found = contents_of(made.path)
    assert found.fingerprint == made.fingerprint
    assert found.rows == {"train": 4, "validation": 2, "test": 2}
    assert found.sources == {
        "s": {"train": 3, "validation": 2, "test": 2},
        "more": {"train": 2, "validation": 0, "test": 0},
    }
    mood, tags = found.heads["mood"], found.heads["tags"]
    assert (mood.kind, mood.labels) == ("multiclass", ("bad", "good"))
    # `five` has two answers, and none after that.
    assert mood.labelled == {"train": 2, "validation": 1, "test": 1}
    assert mood.counts == {
        "bad": {"train": 1, "validation": 0, "test": 1},
        "good": {"train": 1, "validation": 1, "test": 0},
    }
    assert mood.by_source["more"] == {"good": {"train": 1, "validation": 0, "test": 0}}
    assert mood.rows("good") == 2
    assert tags.labelled == {"train": 3, "validation": 1, "test": 2}
    assert tags.counts["q"] == {"train": 2, "validation": 0, "test": 0}
    assert mood.texts is not None and mood.texts["good"].tolist() == numbers("one", "four")
    assert tags.texts is not None and tags.texts["q"].tolist() == numbers("one", "three")
    assert found.test is not None and found.test.tolist() == numbers("five", "six")
    assert found.seen is not None and found.seen.tolist() == numbers(
        "one", "two", "three", "nine", "four", "ten"
    )


def test_the_counts_are_those_of_the_profile(made: DatasetRef) -> None:
    found, told = contents_of(made.path), contents_of_profile(read_json(made.path / "profile.json"))
    assert told is not None and told.rows == found.rows
    assert {name: (one.kind, one.labels, one.labelled, one.counts) for name, one in told.heads.items()} == {
        name: (one.kind, one.labels, one.labelled, one.counts) for name, one in found.heads.items()
    }
    assert changes(told, found).nothing
    assert contents_of_profile({}) is None


def test_what_is_kept_comes_back(made: DatasetRef) -> None:
    found = contents_of(made.path)
    assert found.seen is not None
    back = contents_from_json(json.loads(json.dumps(contents_to_json(found))), found.seen)
    assert plain(back) == plain(found)
    assert changes(back, found) == Changes()
    with pytest.raises(ValueError, match="not a record of a dataset's contents: KeyError: 'heads'"):
        contents_from_json({}, found.seen)


def plain(contents: Contents) -> object:
    """With lists in place of arrays."""
    return json.dumps(contents_to_json(contents)), None if contents.seen is None else contents.seen.tolist()


def test_of_a_label_the_texts_with_the_lowest_ids_are_kept(
    made: DatasetRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "KEPT_TEXTS", 1)
    found = contents_of(made.path)
    back = contents_from_json(contents_to_json(found), np.empty(0, dtype=np.uint64))
    texts = back.heads["mood"].texts
    assert texts is not None and texts["good"].tolist() == numbers("one", "four")[:1]


def test_a_model_keeps_what_it_was_trained_on(made: DatasetRef, tmp_path: Path) -> None:
    ref, found = write_seen(made.path, tmp_path / "seen"), contents_of(made.path)
    listed = load_contents(ref, {})
    assert listed is not None and plain(listed) == plain(found)
    for text in ("one", "six", "good one"):
        assert text.encode() not in (tmp_path / "seen").read_bytes().replace(b'"good"', b"")
    table = made.path / "dataset.parquet"
    told = load_contents(SeenRef(path=str(table), sha256=file_sha256(table)), {})
    assert told is not None and plain(told) == plain(found)


def test_of_an_older_list_the_profile_says_the_rest(made: DatasetRef, tmp_path: Path) -> None:
    list_file, profile = tmp_path / "seen", read_json(made.path / "profile.json")
    list_file.write_bytes(first_seen_bytes(made.path))
    ref = SeenRef(path=str(list_file), sha256=file_sha256(list_file))
    now = contents_of(made.path)
    assert now.seen is not None and load_seen(ref).tolist() == now.seen.tolist()
    told = load_contents(ref, profile)
    assert told is not None and told.sources is None and told.test is None
    found = changes(told, now)
    assert found.nothing and found.unknown == ("rows by source", "test rows")
    # Without a profile nothing is known, and without a list what the profile says.
    assert load_contents(ref, {}) is None and load_contents(None, {}) is None
    assert load_contents(None, profile) is not None


def test_an_older_list_that_is_registered_is_not_exchanged(made: DatasetRef, tmp_path: Path) -> None:
    """Judging again must not give a list whose digest is another one than the registry's."""
    list_file = tmp_path / "seen"
    list_file.write_bytes(first_seen_bytes(made.path))
    before = file_sha256(list_file)
    assert write_seen(made.path, list_file).sha256 == before
    assert list_file.read_bytes().startswith(FIRST_MAGIC)


def test_heads_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("text,z,a\n" + "\n".join(f"t{at},{at % 2},{at % 3}" for at in range(60)))
    heads = {"z": HeadSpec(kind="multiclass"), "a": HeadSpec(kind="multiclass")}
    spec = SourceSpec(path="r.csv", heads={"z": "z", "a": "a"})
    made = build_dataset({"r": spec}, heads, SplitSpec(), tmp_path, tmp_path / "data")
    told = load_contents(write_seen(made.path, tmp_path / "seen"), {})
    assert told is not None and list(told.heads) == ["z", "a"]
