"""The way of a test row beside that of a request: does a text get the same tokens and the same answers?

Odd texts (forms, controls, invisible characters, scripts, emoji, runs of marks, white space, look-alikes of
special tokens, lengths from 0 to tens of thousands) go through training's tokenisation, through merging and
`python -m model score` in a fresh process, and as they were typed, and in NFC and NFD, to a real endpoint
over HTTP. Encoders: tiny ones that keep accents, with tokenizers like cased BERT's and XLM-R's, and without
--quick the packaged one; heads are random. What merging leaves out and HTTP refuses is counted by reason.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.parts.served import endpoint
from model.bundle.card import HeadCard, Precision
from model.bundle.reader import Bundle
from model.bundle.texts import prepared
from model.bundle.tokens import TokenReader
from model.export.package import package
from model.rows import open_rows
from model.spec import BackboneSpec, HeadSpec, PackageJob, PackageSpec
from model.train.backbone import OFFLINE_NAME, load_tokenizer, resolve
from model.train.tokens import tokenise
from serving import client
from sources.dataset import build_dataset
from sources.spec import SourceSpec, SplitSpec
from tests.support.contract import Report, Size, run
from tests.support.made_models import MAX_LENGTH, write_fitted
from tests.support.measures import Measure, at_least
from tests.support.odd_texts import odd_texts
from tests.support.tiny_encoder import make_tiny_backbone
from tests.support.tiny_models import make_tiny_fitted

GOAL = "100% of the texts have the same tokens and the same answers on all ways"
QUICK_S, WHOLE_S = 25, 400
SIZES = {"texts": Size(10_000, 500, "odd texts"), "longest": Size(6000, 1500, "words of the longest texts")}
TOPICS, NAMES = ("food", "weather", "other"), ("a", "b", "c", "d")
HEADS = {
    "topic": HeadSpec(kind="multiclass", labels=TOPICS),
    "names": HeadSpec(kind="multilabel", labels=NAMES),
}
TINY: dict[str, tuple[Precision, ...]] = {"wordpiece": ("float32", "int8"), "unigram": ("float32",)}
"""Tokenizer of a tiny encoder → precisions of its bundles."""
TOLERANCE: dict[Precision, float] = {"float32": 2e-6, "int8": 5e-3}
"""Largest difference of a probability that counts as the same answer, rounding to six decimals included: by
other texts in the batch the last bits change, in int8 at times a step of an activation."""
AT_ONCE, THREADS = 32, 2
ROOT = Path(__file__).resolve().parents[1]
Scores = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Contender:
    """A bundle, and the encoder that it was made from."""

    name: str
    precision: Precision
    bundle: Path
    encoder: str
    max_length: int
    forms: tuple[str, ...]
    """Forms in which texts are sent over HTTP, beside as they were typed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which encoders."""
    parser.add_argument("--only", choices=[*TINY, OFFLINE_NAME], help="one encoder instead of all")


def measure(options: argparse.Namespace) -> Report:
    """Make texts, dataset and bundles, and send each text all ways."""
    texts = odd_texts(options.texts, longest=options.longest)
    with tempfile.TemporaryDirectory(prefix="headgate-text-paths-") as temporary:
        place = Path(temporary)
        rows = merge(texts, place)
        measures = about_merging(texts, rows)
        names = [*TINY, *([] if options.quick else [OFFLINE_NAME])]
        for contender in contenders(place, rows, [options.only] if options.only else names):
            measures += compare(contender, texts, rows, place / contender.name)
    return Report(measures)


def merge(texts: Sequence[str], place: Path) -> Path:
    """The rows folder of a dataset whose test split holds the texts, made from sources as every one is."""
    odd = [{"text": text, "split": "test", "topic": "food", "names": ["a"]} for text in texts if _whole(text)]
    filler: list[dict[str, Any]] = [
        {"text": f"filler {split} {topic}", "split": split, "topic": topic, "names": list(NAMES)}
        for split in ("train", "validation")
        for topic in TOPICS
    ]
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in odd + filler)
    (place / "odd.jsonl").write_bytes("".join(lines).encode())
    heads = {name: name for name in HEADS}
    source = SourceSpec(path="odd.jsonl", split_column="split", heads=dict(heads))
    split = SplitSpec(near_duplicates="off")
    return Path(build_dataset({"odd": source}, HEADS, split, place, place / "data").path) / "rows"


def about_merging(texts: Sequence[str], rows: Path) -> list[Measure]:
    """What became of the texts: those left out, and whether the others are stored as they should be."""
    stored = set(open_rows(rows).split("test").texts())
    whole = [text for text in texts if _whole(text)]
    expected = {prepared(text) for text in whole} - {""}
    return [
        Measure("texts", len(texts)),
        Measure("no source can hold: half of a surrogate pair", len(texts) - len(whole)),
        Measure("left out by merging: blank", sum(not prepared(text) for text in whole)),
        Measure("different rows stored", len(stored)),
        Measure(
            "stored as prepared", _percent(len(stored & expected), len(stored | expected)), "%", at_least(100)
        ),
    ]


def contenders(place: Path, rows: Path, encoders: Sequence[str]) -> list[Contender]:
    """The bundles that are compared."""
    found = []
    for kind, precisions in TINY.items():
        if kind not in encoders:
            continue
        encoder = make_tiny_backbone(place / kind / "encoder", tokenizer=kind)
        raw = {name: {"kind": head.kind, "labels": list(head.labels)} for name, head in HEADS.items()}
        fitted = make_tiny_fitted(place / kind / "fitted", encoder, raw)
        for precision in precisions:
            bundle = _packaged(fitted, place / kind / precision, rows, precision)
            name = f"{kind} {precision}"
            found.append(Contender(name, precision, bundle, str(encoder), 48, ("NFC", "NFD")))
    if OFFLINE_NAME in encoders:
        fitted = write_fitted(place / OFFLINE_NAME / "fitted", HEADS)
        bundle = _packaged(fitted, place / OFFLINE_NAME / "int8", rows, "int8")
        found.append(Contender("packaged int8", "int8", bundle, OFFLINE_NAME, MAX_LENGTH, ()))
    return found


def compare(contender: Contender, texts: Sequence[str], rows: Path, place: Path) -> list[Measure]:
    """Tokens and answers of every text, all ways."""
    stored = list(open_rows(rows).split("test").texts())
    row_of = {text: row for row, text in enumerate(stored)}
    asked = [text for text in texts if _whole(text) and prepared(text)]
    tokenizer = load_tokenizer(resolve(BackboneSpec(name=contender.encoder)), contender.max_length)
    tokens = tokenise(stored, tokenizer)
    trained = [tokens.ids[start:end].tolist() for start, end in pairwise(tokens.offsets)]
    bundle = Bundle.load(contender.bundle, threads=THREADS)
    forms: dict[str, Callable[[str], str]] = {"as typed": str}
    forms |= {form: lambda text, form=form: unicodedata.normalize(form, text) for form in contender.forms}  # type: ignore[misc]
    alike = sum(
        all(_tokens(bundle, form(text)) == trained[row_of[prepared(text)]] for form in forms.values())
        for text in asked
    )
    raw = TokenReader(
        load_tokenizer(resolve(BackboneSpec(name=contender.encoder)), contender.max_length),
        contender.max_length,
        "as_given",
    )
    unprepared = sum(raw.ids([text])[0] != trained[row_of[prepared(text)]] for text in asked)
    measures = [
        Measure(f"{contender.name}: same tokens", _percent(alike, len(asked)), "%", at_least(100)),
        Measure(f"{contender.name}: other tokens without preparation", _percent(unprepared, len(asked)), "%"),
    ]
    scores = score(contender.bundle, rows, place)
    with endpoint(contender.bundle, place) as state:
        for name, form in forms.items():
            answers, refused = ask(state.url, [form(text) for text in texts])
            judged = [
                (answer, row_of[prepared(text)])
                for text, answer in zip(texts, answers, strict=True)
                if answer
            ]
            seen = [
                _same(bundle.card.heads, answer, scores, row, contender.precision) for answer, row in judged
            ]
            measures.append(
                Measure(
                    f"{contender.name}, {name}: same answers over HTTP",
                    _percent(sum(seen), len(seen)),
                    "%",
                    at_least(100),
                )
            )
            if name == "as typed":
                measures += [
                    Measure(f"{contender.name}: HTTP refuses, {code}", count)
                    for code, count in refused.items()
                ]
    return measures


def score(bundle: Path, rows: Path, place: Path) -> Scores:
    """What a fresh process answers to the test split."""
    out = place / "scores.npz"
    command = [sys.executable, "-m", "model", "score", str(bundle), str(rows), "--split", "test"]
    subprocess.run([*command, "--out", str(out), "--threads", str(THREADS)], cwd=ROOT, check=True)
    with np.load(out) as found:
        return dict(found)


def ask(url: str, texts: Sequence[str]) -> tuple[list[dict[str, Any] | None], Counter[str]]:
    """The endpoint's answer to each text, and how many it refuses by reason."""
    answers: list[dict[str, Any] | None] = []
    refused: Counter[str] = Counter()
    for start in range(0, len(texts), AT_ONCE):
        part = list(texts[start : start + AT_ONCE])
        body = {"texts": part, "all": True}
        status, _, reply = client.request(url, "POST", "/predict", body, timeout_s=120)
        if status == 200:
            answers += json.loads(reply)["answers"]
            continue
        for text in part:  # one that is refused spoils the whole request
            status, _, reply = client.request(
                url, "POST", "/predict", {"texts": text, "all": True}, timeout_s=60
            )
            answers.append(json.loads(reply)["answers"][0] if status == 200 else None)
            if status != 200:
                refused[json.loads(reply)["error"]["code"]] += 1
    return answers, refused


def _same(
    heads: dict[str, HeadCard], answer: dict[str, Any], scores: Scores, row: int, precision: Precision
) -> bool:
    """Whether users get the labels that were judged, and the probabilities within the tolerance."""
    for head, card in heads.items():
        shown = {each["label"]: each["probability"] for each in answer[head]["probabilities"]}
        judged = scores[f"probabilities:{head}"][row]
        if max(abs(shown[label] - judged[at]) for at, label in enumerate(card.labels)) > TOLERANCE[precision]:
            return False
        decision = scores[f"decisions:{head}"][row]
        chosen = np.flatnonzero(decision) if card.kind == "multilabel" else [int(decision)]
        if {each["label"] for each in answer[head]["labels"]} != {card.labels[at] for at in chosen}:
            return False
    return True


def _packaged(fitted: Path, out: Path, rows: Path, precision: Precision) -> Path:
    spec = PackageSpec(precision=precision)
    package(PackageJob(fitted=fitted, out=out, name="shared", rows=rows, package=spec, threads=THREADS))
    return out


def _tokens(bundle: Bundle, text: str) -> list[int]:
    found: list[int] = bundle.encode([text]).input_ids[0].tolist()
    return found


def _whole(text: str) -> bool:
    return not any("\ud800" <= character < "\ue000" for character in text)


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole


if __name__ == "__main__":
    sys.exit(run(measure))
