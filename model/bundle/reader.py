"""The bundle: loads what ships, checks it strictly, answers texts.

Runs alone with numpy, onnxruntime and tokenizers, and these modules beside it: `answers`, `batches`,
`bundle_files`, `card`, `errors`, `metrics`, `onnx_weights`, `spec`. A bundle is a folder of data:

    model.onnx      int64 inputs `input_ids`, `attention_mask` (B, T); one float32 output `head_NAME` (B, L) a
                    head, its logits; the metadata entry `headgate.heads` repeats the labels in order
    tokenizer.json  cuts at the card's `max_length`; its padding entry names the padding token
    card.json       heads, labels, thresholds, metrics, provenance (`model.bundle.card`)
    golden.json     {"texts": […], "probabilities": {head: [[…]]}, "tolerance": x}
    manifest.json   {"schema_version": 1, "files": {name: {"sha256": hex, "bytes": n}}}

Does not know who signed it, how it was made, or HTTP. Axes: B texts, T tokens, L labels of one head.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from .answers import Answer, Floats, answers, probabilities
from .batches import sorted_batches
from .card import Card, card_from_json
from .errors import BundleError, CardError, GoldenMismatch, GraphError, NonFiniteOutput, TextError
from .files import (
    CARD,
    GOLDEN,
    MANIFEST,
    MODEL,
    TOKENIZER,
    check_files,
    parse_golden,
    parse_json,
    read_bytes,
)
from .weights import NotOnnx, first_bad_tensor

__all__ = ["Answer", "Bundle", "BundleError", "Encoding", "TextError"]

INPUTS = ("input_ids", "attention_mask")
HEADS_ENTRY = "headgate.heads"
"""Metadata entry of the graph: JSON {head: labels}, so that labels cannot be permuted beside the weights."""
BATCH_ROWS = 32
"""Most texts in one run of the graph."""
BATCH_TOKENS = 512
"""Most tokens in one run, padding included. On CPU larger runs are not faster (256 to 4,096 tried on the
offline encoder), and 2,048 take 60 to 90 MiB more."""
CHARS_PER_TOKEN = 100
"""Texts are cut after this many characters for each token that the model reads, so that a text of many
megabytes costs no more than a long one. English has about 4 characters a token."""


def output_name(head: str) -> str:
    """Name of the graph's output for a head; prefixed, because a head may be called like an input."""
    return f"head_{head}"


@dataclass(frozen=True, slots=True)
class Encoding:
    """Texts as the graph reads them."""

    input_ids: NDArray[np.int64]
    """(B, T), padded on the right."""
    attention_mask: NDArray[np.int64]
    """(B, T), 1 for tokens and 0 for padding."""


class Bundle:
    """A loaded bundle. Safe to use from several threads at once."""

    def __init__(self, card: Card, tokenizer: Tokenizer, session: ort.InferenceSession, digest: str) -> None:
        """Use `Bundle.load`; this takes parts that were checked."""
        self.card = card
        """What the bundle says about itself."""
        self.digest = digest
        """sha256 (hex) of the bytes of `manifest.json`: the bundle's identity. Empty while it is made."""
        self._tokenizer = tokenizer
        self._pad_id = int((tokenizer.padding or {"pad_id": 0})["pad_id"])
        self._tokenizer.no_padding()
        self._session = session
        self._outputs = [output_name(head) for head in card.heads]
        self._most_chars = CHARS_PER_TOKEN * card.max_length

    @classmethod
    def load(cls, path: Path | str, *, threads: int | None = None, verify: bool = True) -> Bundle:
        """The bundle in a folder, checked.

        Args:
            path: the folder.
            threads: CPU threads of one run of the graph; default: the cores that this process may use.
            verify: answer the golden texts and compare. Everything else is always checked.

        Raises:
            BundleError: a file is missing, extra or not the one of the manifest; the card, the tokenizer
                and the graph do not fit each other; a weight is not finite; the golden texts are answered
                differently. The message says which file or head, what was seen and what was expected.
        """
        folder = Path(path)
        manifest = read_bytes(folder / MANIFEST)
        files = check_files(folder, manifest)
        card = card_from_json(parse_json(files[CARD], folder / CARD), where=str(folder / CARD))
        bundle = cls.from_parts(folder / MODEL, files[TOKENIZER], card, threads=threads)
        bundle.digest = hashlib.sha256(manifest).hexdigest()
        if verify:
            bundle._check_golden(parse_json(files[GOLDEN], folder / GOLDEN), folder / GOLDEN)
        return bundle

    @classmethod
    def from_parts(cls, model: Path, tokenizer: bytes, card: Card, *, threads: int | None = None) -> Bundle:
        """A bundle that is being made: the graph and the tokenizer are checked against the card.

        Raises:
            BundleError: they do not fit, or a weight is not finite.
        """
        words = _tokenizer(tokenizer, card, model.with_name(TOKENIZER))
        try:
            bad = first_bad_tensor(model)
        except NotOnnx as error:
            raise GraphError(f"{model}: not a whole ONNX file: {error}") from error
        if bad is not None:
            raise GraphError(f"{model}: weight {bad} holds values that are not finite, expected finite ones")
        session = _session(model, threads or len(os.sched_getaffinity(0)))
        _check_graph(model, session, card)
        return cls(card, words, session, "")

    def encode(self, texts: Sequence[str]) -> Encoding:
        """Tokenise texts as one batch, (B, T).

        Raises:
            TextError: one is not a string or holds a lone surrogate; the message gives its index.
        """
        return self._pad(self._ids(texts))

    def run(self, encoding: Encoding) -> dict[str, Floats]:
        """Run the graph once: head → logits (B, L), float32.

        Raises:
            NonFiniteOutput: a head answered with an infinite logit or one that is not a number.
        """
        feed = {INPUTS[0]: encoding.input_ids, INPUTS[1]: encoding.attention_mask}
        logits = dict(zip(self.card.heads, self._session.run(self._outputs, feed), strict=True))
        for head, values in logits.items():
            if not np.isfinite(values).all():
                raise NonFiniteOutput(f"head {head}: seen logits that are not finite, expected finite ones")
        return logits

    def logits(self, texts: Sequence[str]) -> dict[str, Floats]:
        """Head → logits (B, L), float32, of any number of texts, in batches of similar length.

        Raises:
            TextError: as `encode`.
            NonFiniteOutput: as `run`.
        """
        ids = self._ids(texts)
        found = {h: np.empty((len(ids), len(c.labels)), np.float32) for h, c in self.card.heads.items()}
        lengths = np.asarray([len(row) for row in ids], np.int64)
        for rows in sorted_batches(lengths, batch_rows=BATCH_ROWS, batch_tokens=BATCH_TOKENS):
            for head, values in self.run(self._pad([ids[row] for row in rows])).items():
                found[head][rows] = values
        return found

    def probabilities(self, texts: Sequence[str]) -> dict[str, Floats]:
        """Head → probabilities (B, L), float32: the calibrated chance of every label.

        Raises:
            TextError: as `encode`.
            NonFiniteOutput: as `run`.
        """
        return {h: probabilities(self.card.heads[h], values) for h, values in self.logits(texts).items()}

    def predict(self, texts: Sequence[str]) -> list[dict[str, Answer]]:
        """For every text: head → the labels chosen and all probabilities.

        Raises:
            TextError: as `encode`.
            NonFiniteOutput: as `run`.
        """
        return self.answers(self.logits(texts))

    def answers(self, logits: Mapping[str, NDArray[Any]]) -> list[dict[str, Answer]]:
        """What `run` or `logits` gave, head → (B, L), as answers, one mapping a text."""
        by_head = {}
        for head, card in self.card.heads.items():
            by_head[head] = answers(card, probabilities(card, logits[head]))
        return [dict(zip(by_head, row, strict=True)) for row in zip(*by_head.values(), strict=True)]

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        if isinstance(texts, str):
            raise TextError("seen one text, expected a list of texts")
        cut = []
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                raise TextError(f"text {index}: seen {type(text).__name__}, expected a string")
            text = text[: self._most_chars]
            if not text.isascii():
                try:
                    text.encode("utf-8")
                except UnicodeEncodeError as error:
                    raise TextError(
                        f"text {index}: seen a lone surrogate at character {error.start}, expected Unicode"
                    ) from None
            cut.append(text)
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(cut)]

    def _pad(self, ids: Sequence[Sequence[int]]) -> Encoding:
        # At least one column: a graph that pools over no tokens at all is not defined.
        shape = (len(ids), max((len(row) for row in ids), default=1) or 1)
        tokens, mask = np.full(shape, self._pad_id, np.int64), np.zeros(shape, np.int64)
        for row, values in enumerate(ids):
            tokens[row, : len(values)] = values
            mask[row, : len(values)] = 1
        return Encoding(tokens, mask)

    def _check_golden(self, raw: Any, path: Path) -> None:
        texts, expected, tolerance = parse_golden(raw, path, self.card)
        for head, seen in self.probabilities(texts).items():
            off = np.abs(seen - expected[head])
            worst = int(off.max(axis=1).argmax())
            if not off.max() <= tolerance:
                raise GoldenMismatch(
                    f"{path}: head {head}: golden text {worst} is answered {off[worst].max():.2g} away from "
                    f"when the bundle was made, expected at most {tolerance:g}; the graph, the labels or the "
                    "tokenizer are not those that were judged"
                )


def session_options(threads: int) -> ort.SessionOptions:
    """How graphs are run here: so many threads, no spinning while idle (idle endpoints and interleaved
    timing must not burn each other's cores; measured: no slower), no memory kept per shape."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _session(model: Path, threads: int) -> ort.InferenceSession:
    try:
        # By path: from bytes, the runtime keeps a second copy of all weights.
        return ort.InferenceSession(model, session_options(threads), providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has no common base class
        raise GraphError(f"{model}: cannot be loaded as an ONNX graph: {str(error)[:300]}") from error


def _tokenizer(raw: bytes, card: Card, path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_buffer(raw)
    except Exception as error:  # tokenizers raises bare Exception
        raise CardError(f"{path}: cannot be read as a tokenizer: {str(error)[:200]}") from error
    cut = (tokenizer.truncation or {}).get("max_length")
    if cut != card.max_length:
        raise CardError(f"{path}: cuts at {cut} tokens, expected the card's max_length {card.max_length}")
    if tokenizer.padding is None:
        raise CardError(f"{path}: no padding entry, expected one that names the padding token")
    return tokenizer


def _check_graph(model: Path, session: ort.InferenceSession, card: Card) -> None:
    inputs = {value.name: value.type for value in session.get_inputs()}
    if inputs != dict.fromkeys(INPUTS, "tensor(int64)"):
        raise GraphError(f"{model}: seen inputs {inputs}, expected int64 {' and '.join(INPUTS)}")
    outputs = {value.name: value for value in session.get_outputs()}
    for head, described in card.heads.items():
        output = outputs.pop(output_name(head), None)
        if output is None:
            raise GraphError(f"{model}: head {head}: no output {output_name(head)!r} in the graph")
        width, expected = output.shape[-1], len(described.labels)
        if len(output.shape) != 2 or width != expected or output.type != "tensor(float)":
            raise GraphError(
                f"{model}: head {head}: seen an output of shape {output.shape} and {output.type}, expected "
                f"(batch, {expected}) and tensor(float), one column a label of the card"
            )
    if outputs:
        raise GraphError(f"{model}: seen outputs {', '.join(sorted(outputs))} that no head of the card has")
    stored = session.get_modelmeta().custom_metadata_map.get(HEADS_ENTRY, "null")
    labels = parse_json(stored.encode(), model)
    for head, described in card.heads.items():
        if not isinstance(labels, dict) or labels.get(head) != list(described.labels):
            raise GraphError(
                f"{model}: head {head}: the card's labels are not those of the graph's metadata, in its order"
            )
