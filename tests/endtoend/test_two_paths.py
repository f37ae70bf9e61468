"""The model that was tested is the one that users get: a row of the test split and a request with its text.

What could differ between the two paths, and the test below that holds it equal:

| what | a test row | a request | equal | tests |
|---|---|---|---|---|
| reading | JSON line of the rows folder | JSON body, however escaped | the characters | `reading` |
| form | NFC since merging | as typed | the tokens | `form` |
| ends, blank | stripped since merging | as typed | the tokens | `ends` |
| special tokens | look-alikes are text | look-alikes are text | the tokens | `look_alikes` |
| truncation | at `max_length` tokens | by the same code | the tokens | `long_text` |
| company | sorted chunks of 512 | whoever asks just then | to 1e-6, int8: 5e-3 | `company` |
| threads | `--threads` of the job | `deploy.threads` | as company | `threads` |
| precision | the bundle's bytes | the bundle's bytes | one digest | `bytes` |
| thresholds | of the card, float64 | the same function | at the threshold too | `threshold` |
| rounding | float32 | six decimals, once decided | to 5e-7 | `rounding` |
| order of labels | the card's | the likeliest first | by name | `rounding`, `labels` |
| limits | none | `deploy.max_chars` … | refused, never cut | `limits` |

The whole way of ten thousand odd texts: `python -m benchmarks.text_paths`.
"""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import unicodedata
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.bundle.activations import decide
from model.bundle.answers import answers, decisions
from model.bundle.card import HeadCard, card_from_json
from model.bundle.errors import CardError, GoldenMismatch
from model.bundle.reader import Bundle
from model.bundle.texts import WHITE_SPACE, prepared
from model.export.package import write_manifest
from model.rows import open_rows
from model.spec import head_from_json
from serving import client
from serving.http.replies import answers as replies
from serving.spec import DeploySpec
from sources.merge.rows_folder import write_rows
from tests.support.odd_texts import CONTROLS, INVISIBLE, MARKS, odd_texts
from tests.support.open_endpoint import open_bundle
from tests.support.tiny_encoder import make_tiny_backbone
from tests.support.tiny_models import make_tiny_bundles, make_tiny_fitted
from tests.support.tiny_rows import TINY_HEADS, tiny_examples
from tests.support.tiny_rows import write_rows as write_tiny_rows

ROOT = Path(__file__).resolve().parents[2]
SPEC = DeploySpec(port=0, threads=1, poll_s=0.05, start_timeout_s=30)
TOLERANCE = {"float32": 1e-6, "int8": 5e-3}
"""Largest difference of a probability by company and threads."""
ROUNDED = 5e-7
"""Half a unit of the last decimal of an answer."""
TEXTS = [
    text
    for text in odd_texts(260, seed=3, longest=900)
    if prepared(text) and not any("\ud800" <= character < "\ue000" for character in text)
]
ANY = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from([*MARKS, *INVISIBLE, *WHITE_SPACE, "e", "["])
)
Answers = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Way:
    """One bundle, its endpoint, and what scoring says of `TEXTS` as merging stores them."""

    precision: str
    bundle: Bundle
    folder: Path
    url: str
    scores: Answers


@pytest.fixture(scope="module", params=["float32", "int8"])
def way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """An encoder that keeps accents, with random heads."""
    root = tmp_path_factory.mktemp(request.param)
    backbone = make_tiny_backbone(root / "encoder", tokenizer="wordpiece")
    rows = write_tiny_rows(root / "rows", TINY_HEADS, {"validation": tiny_examples(30, 2)})
    bundle = make_tiny_bundles(root, make_tiny_fitted(root / "fitted", backbone), rows)[request.param]
    scores = scored(bundle, stored(TEXTS, root / "odd"), root / "scores.npz")
    with open_bundle(bundle, SPEC) as endpoint:
        yield Way(request.param, Bundle.load(bundle, threads=1), bundle, endpoint.state.url, scores)


def stored(texts: list[str], folder: Path) -> Path:
    """A rows folder whose test split holds the texts, in this order, written as merging writes them."""
    heads = {name: head_from_json(head) for name, head in TINY_HEADS.items()}
    columns: dict[str, Any] = {"text": [prepared(text) for text in texts], "split": ["test"] * len(texts)}
    columns |= {"weight": [1.0] * len(texts), "head:topic": ["food"] * len(texts)}
    columns |= {"head:names": [["tea"]] * len(texts), "unknown:names": [[]] * len(texts)}
    schema = {"unknown:names": pl.List(pl.String)}
    write_rows(pl.DataFrame(columns, schema_overrides=schema), heads, folder)
    return folder


def scored(bundle: Path, rows: Path, out: Path, *, threads: int = 1) -> Answers:
    """What a fresh process answers, as the gates read it."""
    command = ["-m", "model", "score", str(bundle), str(rows), "--split", "test", "--out", str(out)]
    subprocess.run(
        [sys.executable, *command, "--threads", str(threads)], cwd=ROOT, check=True, capture_output=True
    )
    with np.load(out) as found:
        return dict(found)


def asked(way: Way, texts: list[str], at_once: int = 40) -> list[dict[str, Any]]:
    """What users get."""
    return [
        answer
        for start in range(0, len(texts), at_once)
        for answer in client.ask(way.url, texts[start : start + at_once], everything=True)["answers"]
    ]


def differences(way: Way, found: list[dict[str, Any]], scores: Answers) -> list[str]:
    """Where users' answers are not those that were judged: other labels, or probabilities beyond rounding and
    company."""
    tolerance = TOLERANCE[way.precision] + ROUNDED
    other = []
    for head, card in way.bundle.card.heads.items():
        judged, chosen = scores[f"probabilities:{head}"], scores[f"decisions:{head}"]
        if len(found) != len(judged):
            other.append(f"{head}: {len(found)} answers to {len(judged)} texts")
        for number, (answer, row, decision) in enumerate(zip(found, judged, chosen, strict=False)):
            seen = {each["label"]: each["probability"] for each in answer[head]["probabilities"]}
            by_name = dict(zip(card.labels, row.tolist(), strict=True))
            if seen != pytest.approx(by_name, abs=tolerance):
                other.append(f"{head}, text {number}: {seen}, judged {by_name}")
            labels = {each["label"] for each in answer[head]["labels"]}
            if labels != names(card, decision) and not distance(card, row) <= tolerance:
                other.append(f"{head}, text {number}: {labels}, judged {names(card, decision)}")
    return other


def names(card: HeadCard, decision: Any) -> set[str]:
    if card.kind == "multiclass":
        return {card.labels[int(decision)]}
    return {label for label, applies in zip(card.labels, decision, strict=True) if applies}


def distance(card: HeadCard, row: NDArray[Any]) -> float:
    """How far a row is from another decision."""
    if card.kind == "multiclass":
        first, second = np.sort(row)[::-1][:2]
        return float(first - second)
    return float(np.abs(row - np.array(card.thresholds)).min())


def test_reading_keeps_every_character(tmp_path: Path) -> None:
    """Line ends of Unicode, NUL and whatever else stays in its line of the rows folder, and in its text."""
    texts = [f"a{character}b" for character in CONTROLS + INVISIBLE + WHITE_SPACE + '"\\/']
    assert list(open_rows(stored(texts, tmp_path / "rows")).split("test").texts()) == list(
        map(prepared, texts)
    )


def test_reading_of_a_body_does_not_depend_on_how_json_is_written(way: Way) -> None:
    texts = [text for text in TEXTS[:60] if len(text) < 500]
    place = urllib.parse.urlsplit(way.url)
    found = []
    for ascii_only in (True, False):
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=30)
        body = json.dumps({"texts": texts, "all": True}, ensure_ascii=ascii_only).encode()
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        found.append(json.loads(connection.getresponse().read())["answers"])
        connection.close()
    assert found[0] == found[1]


def test_form_ends_and_look_alikes_make_no_difference_to_users(way: Way) -> None:
    """The texts as they were before merging, over HTTP, beside what scoring said of them after it."""
    assert not differences(way, asked(way, TEXTS), way.scores)


def test_a_difference_is_found(way: Way) -> None:
    """Answers of other texts are not those that were judged."""
    other = asked(way, TEXTS[::-1])
    assert len(differences(way, other, way.scores)) > len(TEXTS) / 2
    assert differences(way, other[1:], way.scores)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_form_makes_no_difference(way: Way, form: Any) -> None:
    texts = [unicodedata.normalize(form, text) for text in TEXTS]
    ids = way.bundle.encode([prepared(text) for text in TEXTS]).input_ids
    assert (way.bundle.encode(texts).input_ids == ids).all()
    assert not differences(way, asked(way, texts), way.scores)


@settings(max_examples=60, deadline=None)
@given(text=ANY)
def test_any_text_is_answered_in_any_form_as_its_row_is(way: Way, text: str) -> None:
    forms = [text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD")), f"\r\n{text}\u3000"]
    row = prepared(text)
    if not row:
        assert client.request(way.url, "POST", "/predict", {"texts": forms})[0] == 422
        return
    judged = way.bundle.probabilities([row])
    four = {f"probabilities:{head}": np.repeat(rows, 4, 0) for head, rows in judged.items()}
    four |= {
        f"decisions:{head}": decisions(way.bundle.card.heads[head], np.repeat(rows, 4, 0))
        for head, rows in judged.items()
    }
    assert not differences(way, asked(way, forms), four)


def test_ends_are_blank_for_merging_and_endpoint_alike(way: Way) -> None:
    for text in [*WHITE_SPACE, " \r\n\u3000", "\x1c", "\u200b", "\ufeff", "\0", "\x1f a"]:
        status, _, _ = client.request(way.url, "POST", "/predict", {"texts": text})
        assert status == (200 if prepared(text) else 422), repr(text)
    framed = [f"\r\n\u2028{text}\u3000 " for text in TEXTS]
    assert (way.bundle.encode(framed).input_ids == way.bundle.encode(TEXTS).input_ids).all()


def test_look_alikes_of_special_tokens_are_text(way: Way) -> None:
    start, *inner, end = way.bundle.encode(["[SEP] [CLS][PAD] [MASK]"]).input_ids[0].tolist()
    assert {start, end} == set(way.bundle.encode([""]).input_ids[0].tolist())
    assert not {start, end, 0} & set(inner)


def test_a_long_text_is_cut_at_the_same_token(way: Way) -> None:
    texts = [
        "e\u0301 " * 9000,
        "a" + "\u0301" * 19_000,
        " " * 9000 + "sun" * 3000,
        "가" * 9000,
    ]
    ids = way.bundle.encode(texts).input_ids
    assert ids.shape[1] == way.bundle.card.max_length
    assert (way.bundle.encode([prepared(text) for text in texts]).input_ids == ids).all()
    assert (way.bundle.encode([prepared(text)[:4800] for text in texts]).input_ids == ids).all()


def test_company_changes_no_answer(way: Way) -> None:
    """Alone, in small requests and in large ones: other neighbours, other padding."""
    for at_once in (1, 7, 200):
        backwards = {name: rows[::-1] for name, rows in way.scores.items()}
        assert not differences(way, asked(way, TEXTS[::-1], at_once), backwards)


def test_threads_change_no_answer(way: Way, tmp_path: Path) -> None:
    two = scored(way.folder, stored(TEXTS, tmp_path / "rows"), tmp_path / "two.npz", threads=2)
    for name, rows in way.scores.items():
        if name.startswith("probabilities"):
            assert np.abs(two[name] - rows).max() <= TOLERANCE[way.precision]
        if name.startswith("decisions"):
            card = way.bundle.card.heads[name.partition(":")[2]]
            for one, other, row in zip(
                rows, two[name], way.scores[f"probabilities:{name[10:]}"], strict=True
            ):
                assert (one == other).all() or distance(card, row) <= TOLERANCE[way.precision]


def test_the_bytes_that_were_scored_are_the_bytes_that_answer(way: Way) -> None:
    assert client.get(way.url, "/version")[1]["bundle_sha256"] == way.bundle.digest
    assert way.bundle.card.precision == way.precision


@pytest.mark.parametrize("threshold", [0.5, 0.1, 0.7, 1 / 3, 0.30000001192092896, float(np.float32(0.7))])
def test_at_the_threshold_the_decision_is_one(threshold: float) -> None:
    """float32 answers against float64 thresholds, which survive JSON bit for bit."""
    labels = ("below", "at", "above")
    head = HeadCard(
        kind="multilabel", labels=labels, temperature=1.0, thresholds=(threshold,) * 3, metric="macro_f1"
    )
    single = np.float32(threshold)
    row = np.array([[np.nextafter(single, np.float32(0)), single, np.nextafter(single, np.float32(1))]])
    expected = (row.astype(np.float64) >= threshold).astype(np.int8)
    assert (decisions(head, row) == expected).all()
    chosen = [label for label, applies in zip(labels, expected[0], strict=True) if applies]
    assert list(answers(head, row)[0].labels) == chosen
    again = json.loads(json.dumps({"thresholds": [threshold]}))["thresholds"]
    assert (decide("multilabel", row, np.array(again * 3)) == expected).all()


def test_rounding_comes_after_deciding_and_labels_go_by_name(way: Way) -> None:
    """A probability that is rounded up to its threshold was below it, and so is the answer."""
    card = way.bundle.card
    heads = {**card.heads, "names": replace(card.heads["names"], thresholds=(0.5, 0.4, 0.3, 0.2))}

    class Carded:
        pass

    holder: Any = Carded()
    holder.card = replace(card, heads=heads)
    rows = {
        "topic": np.array([[0.3, 0.4, 0.3]], np.float32),
        "names": np.array([[0.4999999, 0.4, 0.3000001, 0.1]], np.float32),
    }
    (answer,) = replies(holder, rows, True)
    judged = decisions(heads["names"], rows["names"])[0]
    assert {each["label"] for each in answer["names"]["labels"]} == names(heads["names"], judged)
    shown = {each["label"]: each["probability"] for each in answer["names"]["probabilities"]}
    assert shown == {"sun": 0.5, "tea": 0.4, "cat": 0.3, "fox": 0.1}
    assert list(shown) == ["sun", "tea", "cat", "fox"] and "sun" not in names(heads["names"], judged)
    assert answer["topic"]["labels"] == [{"label": "food", "probability": 0.4}]


def test_limits_refuse_and_never_cut(way: Way) -> None:
    most = SPEC.max_chars
    for text, status in (("a" * most, 200), ("a" * (most + 1), 422), (" " * most + "a", 422)):
        assert client.request(way.url, "POST", "/predict", {"texts": text})[0] == status


def test_a_card_names_the_preparation_and_an_unknown_one_is_refused(way: Way) -> None:
    raw = way.bundle.card.to_json()
    assert raw["text_preparation"] == "nfc"
    with pytest.raises(CardError, match="text_preparation: seen 'nfkc', expected as_given or nfc"):
        card_from_json({**raw, "text_preparation": "nfkc"}, where="card.json")
    raw = json.loads(json.dumps(raw))
    del raw["text_preparation"]
    assert card_from_json(raw, where="card.json").text_preparation == "as_given"


def test_a_bundle_from_before_the_preparation_answers_as_it_was_judged(way: Way, tmp_path: Path) -> None:
    """Its card does not speak of texts; its golden answers are those of texts as they were given."""
    folder = Path(shutil.copytree(way.folder, tmp_path / "old"))
    before = replace(way.bundle.card, text_preparation="as_given")
    made = Bundle.from_parts(
        folder / "model.onnx", (folder / "tokenizer.json").read_bytes(), before, threads=1
    )
    golden = json.loads((folder / "golden.json").read_text())
    texts = golden["texts"]
    golden["probabilities"] = {head: rows.tolist() for head, rows in made.probabilities(texts).items()}
    (folder / "golden.json").write_text(json.dumps(golden | {"tolerance": 1e-4}))
    card = json.loads((folder / "card.json").read_text())
    del card["text_preparation"]
    (folder / "card.json").write_text(json.dumps(card))
    write_manifest(folder)
    old = Bundle.load(folder, threads=1)
    assert old.encode(["cafe\u0301"]).input_ids.tolist() != old.encode(["caf\u00e9"]).input_ids.tolist()
    for head, rows in scored(folder, stored(TEXTS[:40], tmp_path / "rows"), tmp_path / "scores.npz").items():
        if head.startswith("probabilities"):
            alone = old.probabilities([prepared(text) for text in TEXTS[:40]])[head.partition(":")[2]]
            assert np.abs(alone - rows).max() <= TOLERANCE[way.precision]
    (folder / "card.json").write_text(json.dumps(card | {"text_preparation": "nfc"}))
    write_manifest(folder)
    with pytest.raises(GoldenMismatch, match="golden text"):
        Bundle.load(folder, threads=1)
