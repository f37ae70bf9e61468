"""One text, one preparation: what it does, how long it takes, and that all tokens come by it."""

from __future__ import annotations

import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from model.bundle.errors import TextError
from model.bundle.texts import _STARTS_ANEW, MOST_COMPOSED, WHITE_SPACE, prepared
from model.bundle.tokens import TokenReader
from model.bundle.tokens import load_tokenizer as load_bundles
from model.export.card import bundle_tokenizer
from model.spec import BackboneSpec
from model.train.backbone import load_tokenizer, resolve
from model.train.network import load_fitted
from model.train.tokens import tokenise
from tests.support.odd_texts import MARKS, odd_texts
from tests.support.tiny_encoder import make_tiny_backbone
from tests.support.tiny_models import make_tiny_fitted
from tests.support.tokenizer_kinds import KINDS

EVERY = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from([*MARKS, *WHITE_SPACE, "e", "가", "\u1100", "\u1161", "\u11a8", "\u212b", "\u2000"]),
    max_size=40,
)
ODD = [text for text in odd_texts(300) if text.isascii() or not any("\ud800" <= c < "\ue000" for c in text)]


def plain(text: str) -> str:
    """The definition, word for word."""
    whole = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    return whole.strip(WHITE_SPACE)


# What it does


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("cafe\u0301", "caf\u00e9"),
        ("a\r\nb\rc\n\rd", "a\nb\nc\n\nd"),
        ("\u3000\u2028 a\u2000b \x85\xa0", "a\u2000b".replace("\u2000", "\u2002")),
        ("\ufeff a\u200b", "\ufeff a\u200b"),
        ("\x1ca\x1f", "\x1ca\x1f"),
        ("\u1100\u1161\u11a8", "각"),
        ("a\u0315\u0300", "à\u0315"),
        (" \r\n\u3000", ""),
        ("\0", "\0"),
    ],
)
def test_what_becomes_of_a_text(given: str, expected: str) -> None:
    assert prepared(given) == expected


@given(TEXTS, st.integers(1, 50))
def test_it_is_nfc_lines_and_ends_in_any_form_and_cut_of_the_text(text: str, most: int) -> None:
    whole = prepared(text)
    assert whole == plain(text) == prepared(whole)
    assert (
        whole == prepared(unicodedata.normalize("NFD", text)) == prepared(unicodedata.normalize("NFC", text))
    )
    assert prepared(text, most) == whole[:most] == prepared(whole, most)


@given(st.lists(st.sampled_from([*MARKS, "a", "가"]) | TEXTS, max_size=30), st.integers(1, 8))
def test_long_runs_of_marks_are_ordered_as_unicode_orders_them(parts: list[str], times: int) -> None:
    text = "".join(parts) * 4 * times
    assert prepared(text) == plain(text)
    assert prepared(text, 16) == plain(text)[:16]


def test_every_character_alone_and_beside_marks() -> None:
    for around in ("{}", "a{}\u0301", "\u0315{}\u0327", " {} ", "\u1100{}"):
        text = [around.format(character) for character in EVERY]
        assert [prepared(each) for each in text] == [plain(each) for each in text]


def test_what_the_cut_relies_on() -> None:
    """A text is cut only before a character that joins no other one, and not before enough of it is there."""
    assert max(len(unicodedata.normalize("NFD", character)) for character in EVERY) <= MOST_COMPOSED
    anew = {character for character in EVERY if _STARTS_ANEW.fullmatch(character)}
    decomposed = {character: unicodedata.normalize("NFD", character) for character in EVERY}
    joins = {whole[1:] for whole in (d for c, d in decomposed.items() if c != d) if len(whole) > 1}
    assert not {part for parts in joins for part in parts} & anew
    assert not any(unicodedata.combining(decomposed[character][0]) for character in anew)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "word " * 210_000,
            "a" + "\u0301\u0327" * (1 << 19),
            "\u0344\u0327" * (1 << 19),
            "e\u0301" * (1 << 19),
        ),
        *("\u1100\u1161\u11a8" * 350_000, " " * (1 << 20) + "a", ("a" + "\u0301\u0327" * 31) * 16_000),
    ],
    ids=["words", "marks", "split marks", "nfd", "jamo", "spaces", "many marks"],
)
def test_a_text_of_a_mebibyte_takes_no_time_worth_speaking_of(text: str) -> None:
    """`unicodedata` alone takes a quarter of an hour for the second."""
    begin = time.process_time()
    whole = prepared(text)
    middle = time.process_time()
    assert prepared(text, 12_800) == whole[:12_800]
    assert middle - begin < 4 and time.process_time() - middle < 4


# Where it is used


@pytest.fixture(scope="module", params=sorted(KINDS))
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_backbone(tmp_path_factory.mktemp(request.param), tokenizer=request.param)


@pytest.fixture(scope="module")
def readers(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, TokenReader]:
    """Training's tokenizer, and the bundle's reader, each from the bytes that it reads."""
    fitted = make_tiny_fitted(tmp_path_factory.mktemp("fitted"), encoder)
    shipped = load_bundles(bundle_tokenizer(load_fitted(fitted)), 48, Path("tokenizer.json"))
    return load_tokenizer(resolve(BackboneSpec(name=str(encoder))), 48), TokenReader(shipped, 48)


def rows(texts: list[str], tokenizer: Tokenizer) -> list[list[int]]:
    tokens = tokenise(texts, tokenizer)
    return [tokens.ids[a:b].tolist() for a, b in zip(tokens.offsets, tokens.offsets[1:], strict=False)]


def test_training_and_bundle_read_the_same_tokens(readers: tuple[Tokenizer, TokenReader]) -> None:
    tokenizer, reader = readers
    for form in ("NFC", "NFD"):
        texts = [unicodedata.normalize(form, text) for text in ODD]
        ids = reader.ids(texts)
        assert rows([prepared(text) for text in texts], tokenizer) == ids == rows(texts, tokenizer)
        assert ids == reader.ids([unicodedata.normalize("NFC", text) for text in texts])
        assert ids == [reader.ids([text])[0] for text in texts]
        assert max(map(len, ids)) == 48


@given(TEXTS)
def test_any_text_has_the_same_tokens_in_both_forms_and_on_both_ways(
    readers: tuple[Tokenizer, TokenReader], text: str
) -> None:
    tokenizer, reader = readers
    forms = [text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD")), f" {text}\r\n"]
    ids = rows([prepared(text)], tokenizer) * 4
    assert reader.ids(forms) == ids == rows(forms, tokenizer)


def test_transformers_reads_plain_texts_alike(encoder: Path, readers: tuple[Tokenizer, TokenReader]) -> None:
    """Training takes `tokenizer.json` as it is; transformers is asked only where an encoder has none."""
    theirs = AutoTokenizer.from_pretrained(encoder, local_files_only=True)
    theirs.truncation_side = "right"  # the file says left; training and bundle cut the end, whatever it says
    texts = [prepared(text) for text in ODD if not any(mark in text for mark in ("[", "<", "＜"))]
    found = theirs(texts, truncation=True, max_length=48, padding=False)["input_ids"]
    assert len(texts) > 100 and found == readers[1].ids(texts)


def test_an_encoder_without_tokenizer_json_is_read_alike_too(tmp_path: Path) -> None:
    folder = make_tiny_backbone(tmp_path / "encoder")
    words = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    (folder / "vocab.txt").write_text("\n".join(sorted(words, key=lambda word: words[word])) + "\n")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "BertTokenizer", "do_lower_case": true}'
    )
    tokenizer = load_tokenizer(resolve(BackboneSpec(name=str(folder))), 48)
    shipped = load_bundles(
        bundle_tokenizer(load_fitted(make_tiny_fitted(tmp_path / "f", folder))), 48, tmp_path
    )
    texts = [*ODD, "sun RAIN suns", "[SEP] tea [CLS]"]
    assert rows(texts, tokenizer) == TokenReader(shipped, 48).ids(texts)
    assert tokenizer.encode("sun tea").ids[1:-1] == [words["sun"], words["tea"]]


@pytest.mark.parametrize(
    "text", ["[SEP]", "a </s> b", "<mask>", "[CLS] sun [PAD]", "＜/s＞", "<s>sun", "[MASK]"]
)
def test_what_looks_like_a_special_token_is_text(readers: tuple[Tokenizer, TokenReader], text: str) -> None:
    tokenizer, reader = readers
    ids = reader.ids([text])[0]
    start, *inner, end = ids
    special = {key for key, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    unknown = {tokenizer.token_to_id(name) for name in ("[UNK]", "<unk>")}
    assert [start, end] == reader.ids([""])[0] and not set(inner) & (special - unknown)
    assert rows([text], tokenizer) == [ids]


def test_a_card_that_does_not_speak_of_texts_is_answered_as_before(
    readers: tuple[Tokenizer, TokenReader], encoder: Path
) -> None:
    """As bundles were trained, judged and served whose card is older than the field."""
    raw = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    raw.no_padding()
    raw.enable_truncation(48)
    texts = ["cafe\u0301", " a", "[SEP] </s>", "a\r\nb", "sun " * 3000]
    expected = [raw.encode(text[:4800]).ids for text in texts]
    assert TokenReader(Tokenizer.from_str(raw.to_str()), 48, "as_given").ids(texts) == expected
    assert expected != readers[1].ids(texts)


def test_half_of_a_surrogate_pair_is_named_by_its_place_in_what_was_given(
    readers: tuple[Tokenizer, TokenReader],
) -> None:
    for text, place in (("  \ud800", 2), ("e\u0301e\u0301\udfff", 4), ("a" * 9000 + "\ud83d", 9000)):
        with pytest.raises(TextError, match=f"text 1: seen a lone surrogate at character {place}, expected"):
            readers[1].ids(["fine", text])


def test_a_text_of_nothing_has_the_template_alone(readers: tuple[Tokenizer, TokenReader]) -> None:
    assert readers[1].ids(["", " \u3000\r\n"]) == [readers[1].ids([""])[0]] * 2
