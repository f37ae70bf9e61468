"""Keys are made once, kept private, and a signature fits one key, one purpose and one sequence of bytes."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.store import signing


def test_first_use_makes_a_key_that_only_its_owner_reads(tmp_path: Path) -> None:
    private, public = signing.ensure_key_pair(tmp_path / "keys")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes(), public.read_bytes()
    assert signing.ensure_key_pair(tmp_path / "keys") == (private, public)
    assert (private.read_bytes(), public.read_bytes()) == before
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {".lock", "release.key", "release.pub"}


def test_many_first_uses_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        pairs = list(pool.map(lambda _: signing.ensure_key_pair(tmp_path / "keys"), range(16)))
    assert len(set(pairs)) == 1
    signature = signing.sign(b"x", pairs[0][0], "release")
    signing.verify(b"x", signature, pairs[0][1], "release")


def test_lost_public_key_is_made_again_from_the_private_one(tmp_path: Path) -> None:
    private, public = signing.ensure_key_pair(tmp_path)
    before = public.read_bytes()
    public.unlink()
    signing.ensure_key_pair(tmp_path)
    assert public.read_bytes() == before
    assert private.exists()


def test_no_pair_is_made_where_only_the_public_key_is(tmp_path: Path) -> None:
    private, public = signing.ensure_key_pair(tmp_path)
    before = public.read_bytes()
    private.unlink()
    with pytest.raises(signing.KeyProblem, match="not there, while its public key"):
        signing.ensure_key_pair(tmp_path)
    assert (private.exists(), public.read_bytes()) == (False, before)


def test_a_new_pair_trusts_what_was_trusted_before(tmp_path: Path) -> None:
    private, public = signing.ensure_key_pair(tmp_path)
    keys, signatures = [], []
    for turn in range(3):
        keys.append(signing.load_public_keys(public).fingerprints[0])
        signatures.append(signing.sign(b"x", private, "release"))
        if turn < 2:
            signing.new_key_pair(tmp_path)
    assert len(set(keys)) == 3
    assert signing.load_public_keys(public).fingerprints == (keys[2], keys[1], keys[0])
    assert [signing.verify(b"x", one, public, "release") for one in signatures] == keys
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    # The private key's file says what is trusted: whoever can write the public one alone adds nothing.
    whole = public.read_bytes()
    forged = signing.ensure_key_pair(tmp_path / "forger")[1].read_bytes()
    public.write_bytes(whole + forged)
    signing.ensure_key_pair(tmp_path)
    assert public.read_bytes() == whole
    signing.forget_former_keys(tmp_path)
    assert signing.verify(b"x", signatures[2], public, "release") == keys[2]
    for former in signatures[:2]:
        with pytest.raises(signing.BadSignature):
            signing.verify(b"x", former, public, "release")


@pytest.mark.parametrize("signs", [True, False])
def test_a_key_is_trusted_beside_the_present_one(tmp_path: Path, signs: bool) -> None:
    private, public = signing.ensure_key_pair(tmp_path / "here")
    theirs, their_public = signing.ensure_key_pair(tmp_path / "there")
    if not signs:
        private.unlink()
    more = signing.load_public_keys(their_public)
    for _ in range(2):  # twice is once
        assert len(signing.trust_keys(tmp_path / "here", more).keys) == 2
    signature = signing.sign(b"x", theirs, "pointer")
    assert signing.verify(b"x", signature, public, "pointer") == more.fingerprints[0]
    if signs:
        assert signing.load_public_keys(signing.ensure_key_pair(tmp_path / "here")[1]).keys[1:] == more.keys
        signing.new_key_pair(tmp_path / "there")
        signing.load_private_key(private)


def test_the_public_key_of_a_new_machine_is_what_it_is_told_to_trust(tmp_path: Path) -> None:
    _, public = signing.ensure_key_pair(tmp_path / "there")
    signing.trust_keys(tmp_path / "here", signing.load_public_keys(public))
    assert (tmp_path / "here" / "release.pub").read_bytes() == public.read_bytes()


@pytest.mark.parametrize("which", ["release.key", "release.pub"])
def test_a_key_file_that_is_a_pipe_is_refused_without_waiting(tmp_path: Path, which: str) -> None:
    private, public = signing.ensure_key_pair(tmp_path)
    (tmp_path / which).unlink()
    os.mkfifo(tmp_path / which, 0o600)
    with pytest.raises(signing.KeyProblem, match="not a plain file"):
        if which == "release.key":
            signing.sign(b"x", private, "release")
        else:
            signing.verify(b"x", bytes(64), public, "release")


def test_private_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    private, _ = signing.ensure_key_pair(tmp_path)
    private.chmod(0o640)
    with pytest.raises(signing.KeyProblem, match="0640"):
        signing.sign(b"x", private, "release")


@pytest.mark.parametrize(
    "content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "release.pub"
    path.write_bytes(content)
    with pytest.raises(signing.KeyProblem):
        signing.verify(b"x", bytes(64), path, "release")


def test_signature_holds_for_its_purpose_and_key_only(tmp_path: Path) -> None:
    private, public = signing.ensure_key_pair(tmp_path / "ours")
    _, other = signing.ensure_key_pair(tmp_path / "theirs")
    signature = signing.sign(b"bytes", private, "release")
    signing.verify(b"bytes", signature, public, "release")
    with pytest.raises(signing.BadSignature):
        signing.verify(b"bytes", signature, public, "pointer")
    with pytest.raises(signing.BadSignature):
        signing.verify(b"bytes", signature, other, "release")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One key pair for all examples of a property."""
    return signing.ensure_key_pair(tmp_path_factory.mktemp("keys"))


@given(data=st.binary(min_size=1, max_size=64), place=st.integers(0, 63), bit=st.integers(0, 7))
def test_one_flipped_bit_is_noticed(pair: tuple[Path, Path], data: bytes, place: int, bit: int) -> None:
    signature = signing.sign(data, pair[0], "release")
    changed = bytearray(data)
    changed[place % len(data)] ^= 1 << bit
    with pytest.raises(signing.BadSignature):
        signing.verify(bytes(changed), signature, pair[1], "release")
    forged = bytearray(signature)
    forged[place] ^= 1 << bit
    with pytest.raises(signing.BadSignature):
        signing.verify(data, bytes(forged), pair[1], "release")
