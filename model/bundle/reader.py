"""The bundle: loads what ships, checks it strictly, answers texts.

The package `model.bundle` runs alone with numpy, tokenizers and the engine that its card names
(onnxruntime, or OpenVINO beside it). A bundle is a folder of data:

    model.onnx      int64 inputs `input_ids`, `attention_mask` (B, T); one float32 output `head_NAME` (B, L) a
                    head, its logits; the metadata entry `headgate.heads` repeats the labels in order
    tokenizer.json  cuts at the card's `max_length`; its padding entry names the padding token
    card.json       heads, labels, thresholds, how texts are prepared, metrics, provenance (`card`)
    golden.json     {"texts": […], "probabilities": {head: [[…]]}, "tolerance": x}
    manifest.json   {"schema_version": 1, "files": {name: {"sha256": hex, "bytes": n}}}

Does not know who signed it, how it was made, or HTTP. Axes: B texts, T tokens, L labels of one head.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answers import Answer, Floats, answers, probabilities
from .batches import Batch, sorted_batches
from .card import Card, card_from_json
from .engines import Runner, Serving, load_runner
from .errors import BundleError, GoldenMismatch, NonFiniteOutput, TextError
from .files import CARD, GOLDEN, MANIFEST, MODEL, TOKENIZER, check_files, parse_golden, parse_json, read_bytes
from .tokens import Encoding, TokenReader, load_tokenizer

__all__ = ["Answer", "Bundle", "BundleError", "Encoding", "TextError"]

BATCH_ROWS = 32
"""Most texts in one run of the graph."""
BATCH_TOKENS = 256
"""Most tokens in one run, padding included: what its sums need then stays near the processor. Of MiniLM in 8
bits, 512 took 1.1 times and 2,048 took 1.4 times as long a text."""


class Bundle:
    """A loaded bundle. Safe to use from several threads at once."""

    def __init__(self, card: Card, tokens: TokenReader, runner: Runner, digest: str) -> None:
        """Use `Bundle.load`; this takes parts that were checked."""
        self.card = card
        """The content of `card.json`."""
        self.digest = digest
        """sha256 (hex) of the bytes of `manifest.json`: the bundle's identity. Empty while it is made."""
        self._tokens = tokens
        self._runner = runner

    @property
    def serving(self) -> Serving:
        """How it answers on this machine."""
        return self._runner.serving

    @classmethod
    def load(
        cls, path: Path | str, *, threads: int | None = None, at_once: int = 1, verify: bool = True
    ) -> Bundle:
        """The bundle in a folder, checked.

        Args:
            path: the folder.
            threads: CPU threads of one run of the graph; default: the cores that this process may use.
            at_once: runs of the graph side by side where many texts are asked for.
            verify: answer the golden texts and compare. Everything else is always checked.

        Raises:
            BundleError: a file is missing, extra or not the one of the manifest; the card, the tokenizer
                and the graph do not fit each other; the golden texts are answered differently, or with
                figures that are not finite. The message says which file or head, what was seen and what
                was expected.
        """
        folder = Path(path)
        manifest = read_bytes(folder / MANIFEST)
        files = check_files(folder, manifest)
        card = card_from_json(parse_json(files[CARD], folder / CARD), where=str(folder / CARD))
        bundle = cls.from_parts(folder / MODEL, files[TOKENIZER], card, threads=threads, at_once=at_once)
        bundle.digest = hashlib.sha256(manifest).hexdigest()
        if verify:
            bundle._check_golden(parse_json(files[GOLDEN], folder / GOLDEN), folder / GOLDEN)
        return bundle

    @classmethod
    def from_parts(
        cls, model: Path, tokenizer: bytes, card: Card, *, threads: int | None = None, at_once: int = 1
    ) -> Bundle:
        """A bundle that is being made: the graph and the tokenizer are checked against the card.

        Raises:
            BundleError: they do not fit.
        """
        loaded = load_tokenizer(tokenizer, card.max_length, model.with_name(TOKENIZER))
        runner = load_runner(model, card, threads or len(os.sched_getaffinity(0)), at_once)
        tokens = TokenReader(loaded, card.max_length, card.text_preparation)
        return cls(card, tokens, runner, "")

    def encode(self, texts: Sequence[str]) -> Encoding:
        """Prepare and tokenise texts as one batch, (B, T).

        Raises:
            TextError: one is not a string or holds a lone surrogate; the message gives its index.
        """
        return self._tokens.pad(self._tokens.ids(texts))

    def run(self, encoding: Encoding) -> dict[str, Floats]:
        """Run the graph once: head → logits (B, L), float32.

        Raises:
            NonFiniteOutput: a logit is infinite or not a number.
        """
        found = self._runner.run(encoding.input_ids, encoding.attention_mask)
        logits = dict(zip(self.card.heads, found, strict=True))
        for head, values in logits.items():
            if not np.isfinite(values).all():
                raise NonFiniteOutput(f"head {head}: seen logits that are not finite, expected finite ones")
        return logits

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, prepared and cut: what `logits_of` takes.

        Raises:
            TextError: as `encode`.
        """
        return self._tokens.ids(texts)

    def logits_of(self, ids: Sequence[Sequence[int]]) -> dict[str, Floats]:
        """Head → logits (B, L), float32, of any number of texts' token ids, in batches of similar length.

        Raises:
            NonFiniteOutput: as `run`.
        """
        found = {h: np.empty((len(ids), len(c.labels)), np.float32) for h, c in self.card.heads.items()}
        lengths = np.asarray([len(row) for row in ids], np.int64)
        batches = sorted_batches(lengths, batch_rows=BATCH_ROWS, batch_tokens=BATCH_TOKENS)

        def answer(rows: Batch) -> None:
            for head, values in self.run(self._tokens.pad([ids[row] for row in rows])).items():
                found[head][rows] = values

        if self.serving.at_once == 1 or len(batches) < 2:
            for rows in batches:
                answer(rows)
        else:
            with ThreadPoolExecutor(self.serving.at_once) as pool:
                list(pool.map(answer, batches))  # raises what one of them raised
        return found

    def logits(self, texts: Sequence[str]) -> dict[str, Floats]:
        """Head → logits (B, L), float32, of any number of texts, in batches of similar length.

        Raises:
            TextError: as `encode`.
            NonFiniteOutput: as `run`.
        """
        return self.logits_of(self.token_ids(texts))

    def probabilities_of(self, ids: Sequence[Sequence[int]]) -> dict[str, Floats]:
        """Head → calibrated probabilities (B, L), float32, of texts' token ids.

        Raises:
            NonFiniteOutput: as `run`.
        """
        return {h: probabilities(self.card.heads[h], values) for h, values in self.logits_of(ids).items()}

    def probabilities(self, texts: Sequence[str]) -> dict[str, Floats]:
        """Head → calibrated probabilities (B, L), float32.

        Raises:
            TextError: as `encode`.
            NonFiniteOutput: as `run`.
        """
        return self.probabilities_of(self.token_ids(texts))

    def predict(self, texts: Sequence[str]) -> list[dict[str, Answer]]:
        """For every text: head → the labels chosen and all probabilities.

        Raises:
            TextError: as `encode`.
            NonFiniteOutput: as `run`.
        """
        return self.answers(self.logits(texts))

    def answers(self, logits: Mapping[str, NDArray[Any]]) -> list[dict[str, Answer]]:
        """What `run` or `logits` gave, head → (B, L), as answers, one mapping a text."""
        by_head = {
            head: answers(card, probabilities(card, logits[head])) for head, card in self.card.heads.items()
        }
        return [dict(zip(by_head, row, strict=True)) for row in zip(*by_head.values(), strict=True)]

    def _check_golden(self, raw: Any, path: Path) -> None:
        texts, expected, tolerance = parse_golden(raw, path, self.card)
        for head, seen in self.probabilities(texts).items():
            distance = np.abs(seen - expected[head])
            worst = int(distance.max(axis=1).argmax())
            if not distance.max() <= tolerance:
                raise GoldenMismatch(
                    f"{path}: head {head}: golden text {worst}: a probability differs by "
                    f"{distance[worst].max():.2g} from the stored one, expected at most {tolerance:g}; the "
                    "graph, the labels or the tokenizer are not those that were judged"
                )
