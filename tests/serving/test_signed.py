"""Signed records: what is written is read back, what version 0.1 signed still holds, all else is refused."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import HeadgateError
from serving.store import signing
from serving.store.manifest import verify_release
from serving.store.release_folder import ReleaseFolder
from serving.store.signed import MAX_RECORD_BYTES, Layout, SignedFormat

FORMER = Path(__file__).parent / "release_0_1"
"""A release folder and a judgement as version 0.1 wrote them. The private key is lost."""


class Broken(HeadgateError):
    """What the records of these tests raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    name: str
    version: int
    previous: int | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    seen: bool = False


def format_of(layout: Layout, purpose: signing.Purpose = "override") -> SignedFormat[Record]:
    return SignedFormat(
        record=Record, purpose=purpose, file="it", error=Broken, layout=layout, unsigned=frozenset({"seen"})
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return signing.ensure_key_pair(tmp_path_factory.mktemp("keys"))


figures = st.dictionaries(
    st.text(st.characters(codec="utf-8")), st.floats(allow_nan=False, allow_infinity=False) | st.integers()
)
records = st.builds(
    Record, name=st.text(st.characters(codec="utf-8")), version=st.integers(), figures=figures
)


@given(record=records, layout=st.sampled_from(["enveloped", "inline"]))
def test_what_is_sealed_is_read_back(pair: tuple[Path, Path], record: Record, layout: Layout) -> None:
    sealed = format_of(layout).seal(record, pair[0])
    assert format_of(layout).unseal(sealed, pair[1]) == record


@given(record=records, layout=st.sampled_from(["enveloped", "inline"]), data=st.data())
def test_a_changed_byte_is_refused_or_changes_nothing(
    pair: tuple[Path, Path], record: Record, layout: Layout, data: st.DataObject
) -> None:
    sealed = bytearray(format_of(layout).seal(record, pair[0]))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert format_of(layout).unseal(bytes(sealed), pair[1]) == record
    except Broken as error:
        assert str(error).startswith("it")


@pytest.mark.parametrize("layout", ["enveloped", "inline"])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000, b'{"signature": 3}', b'{"a": NaN}']
)
def test_what_is_no_record_is_refused(pair: tuple[Path, Path], layout: Layout, content: bytes) -> None:
    with pytest.raises(Broken):
        format_of(layout).unseal(content, pair[1])


@pytest.mark.parametrize("layout", ["enveloped", "inline"])
def test_other_purposes_and_keys_do_not_fit(pair: tuple[Path, Path], layout: Layout, tmp_path: Path) -> None:
    sealed = format_of(layout).seal(Record(name="a", version=1), pair[0])
    _, other = signing.ensure_key_pair(tmp_path)
    with pytest.raises(Broken, match="signature does not fit"):
        format_of(layout).unseal(sealed, other)
    with pytest.raises(Broken, match="signature does not fit"):
        format_of(layout, "judgement").unseal(sealed, pair[1])


@pytest.mark.parametrize(
    "raw",
    [
        {"name": "a", "version": 1, "previous": None},
        {"name": "a", "version": True, "previous": None, "figures": {}},
        {"name": "a", "version": "1", "previous": None, "figures": {}},
        {"name": 1, "version": 1, "previous": None, "figures": {}},
        {"name": "a", "version": 1, "previous": None, "figures": []},
    ],
)
def test_every_field_of_the_record_is_there_and_of_its_type(raw: dict[str, Any]) -> None:
    with pytest.raises(Broken, match=r"are missing|is not of its type"):
        format_of("inline").parse(raw)


def test_a_record_is_read_from_a_plain_file_of_a_usual_size_only(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    record, form = Record(name="a", version=1), format_of("inline")
    assert form.read(tmp_path / "none", pair[1]) is None
    form.write(tmp_path / "it", record, pair[0])
    assert form.read(tmp_path / "it", pair[1]) == record
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "it")
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "huge").write_bytes(b" " * (MAX_RECORD_BYTES + 1))
    for name in ("pipe", "link", "dangling", "folder", "device", "huge"):
        with pytest.raises(Broken, match="can't be read"):
            form.read(tmp_path / name, pair[1])
    with pytest.raises(Broken, match="expected at most"):
        form.write(tmp_path / "it", dataclasses.replace(record, name="a" * MAX_RECORD_BYTES), pair[0])
    assert form.read(tmp_path / "it", pair[1]) == record


def test_any_trusted_key_may_have_signed_and_no_other(pair: tuple[Path, Path], tmp_path: Path) -> None:
    record, form = Record(name="a", version=1), format_of("enveloped")
    sealed = form.seal(record, pair[0])
    _, other = signing.ensure_key_pair(tmp_path)
    ours, theirs = signing.load_public_keys(pair[1]), signing.load_public_keys(other)
    assert form.unseal(sealed, theirs.with_more(ours)) == record
    for keys in (theirs, signing.PublicKeys(())):
        with pytest.raises(Broken, match="does not fit"):
            form.unseal(sealed, keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewerRecord(Record):
    """What a newer version may write."""

    more: str = "of a newer version"


@pytest.mark.parametrize("layout", ["enveloped", "inline"])
def test_a_record_of_a_newer_version_is_read_as_far_as_it_is_known(
    pair: tuple[Path, Path], layout: Layout, tmp_path: Path
) -> None:
    newer = dataclasses.replace(format_of(layout), record=NewerRecord)
    newer.write(tmp_path / "record", NewerRecord(name="a", version=1), pair[0])
    assert format_of(layout).read(tmp_path / "record", pair[1]) == Record(name="a", version=1)


def test_infinity_is_not_signed(pair: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        format_of("inline").seal(Record(name="a", version=1, figures={"p95": float("inf")}), pair[0])


def test_what_version_0_1_signed_still_verifies() -> None:
    folder, key = ReleaseFolder(FORMER / "toy"), FORMER / "release.pub"
    pointer = folder.pointer(key)
    assert pointer is not None
    assert (pointer.version, pointer.previous, pointer.approval) == (2, 1, 2)
    assert [one.version for one in folder.pointers(key)] == [2, 1]
    first = verify_release(folder.version_dir(1), key, "toy")
    assert (first.outcome, first.evidence, first.code_version) == (
        "pass",
        {"rows": {"mood": 400}, "p95_ms": 3.25},
        "0.1.0",
    )
    second = verify_release(folder.version_dir(2), key, "toy")
    assert second.outcome == "fail"
    assert second.override is not None
    assert second.override.reason == "the old one is wörse"


def test_what_is_signed_now_has_the_bytes_that_version_0_1_signed() -> None:
    """So that a program of version 0.1 can read it, too."""
    manifest = verify_release(FORMER / "toy" / "versions" / "1", FORMER / "release.pub", "toy")
    assert manifest.to_bytes() == (FORMER / "toy" / "versions" / "1" / "release.json").read_bytes()


def test_a_judgement_of_version_0_1_still_verifies() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Judged:
        name: str
        version: int
        run: str
        bundle_sha256: str
        model_files: Mapping[str, str]
        verdict: Mapping[str, Any]
        evidence: Mapping[str, Any]
        configuration: Mapping[str, Any]

    judgement = SignedFormat(record=Judged, purpose="judgement", file="judgement.json", error=Broken)
    text = (FORMER / "judgement.json").read_bytes()
    judged = judgement.unseal(text, FORMER / "release.pub")
    assert (judged.run, judged.verdict["outcome"]) == ("a-run", "pass")
    assert json.loads(text)["record"] == json.dumps(dataclasses.asdict(judged), sort_keys=True)
