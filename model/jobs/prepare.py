"""Prepare a run: find the encoder, and measure with its tokenizer how much of the texts it reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..bundle.tokens import TokenReader
from ..cache import Cache
from ..code import code_digest
from ..digest import digest
from ..errors import BackboneError
from ..files import read_json
from ..measure.known_tokens import TokenCounts, count_tokens, unknown_token_id
from ..rows import open_rows
from ..spec import SPLITS, BackboneSpec, SplitName, TrainSpec
from .process import ModelProcessError, run_model

if TYPE_CHECKING:
    from ..train.backbone import ResolvedBackbone

Masks = Mapping[str, Mapping[SplitName, NDArray[np.bool_]]]
"""Source → split → (N,) which of the split's rows it gave."""

LONGEST_MEASURED = 8192
"""Texts longer than this count as this long, in tokens."""

HISTOGRAM_BINS = 48
"""Bins of the histogram of lengths in tokens."""

MOST_TEXTS_MEASURED = 50_000
"""Texts a split whose token length is counted: enough for any percentile that is reported."""


def measure_tokens(
    backbone: BackboneSpec,
    train: TrainSpec,
    rows: Path,
    sources: Masks | None = None,
    *,
    cache: Path | None = None,
) -> tuple[Any, dict[str, Any]]:
    """(The encoder on local disk, how much of the texts it reads).

    The second is `{"max_length", "unknown_token", "splits": {split: …}, "heads": {head: {split: …}},
    "sources": {source: {split: …}}}`, with the figures of `TokenCounts.figures` in each place, and of splits
    also percentiles and a histogram of lengths. `unknown_token` is false where the encoder knows every byte.

    Args:
        rows: rows folder.
        sources: which rows each source gave; none: not known.
        cache: where it is kept that a model on the encoder can be exported; none: that is not tried.

    Raises:
        model.errors.BackboneError: there is no such encoder, the hub cannot be reached, or no model on it can
            be exported.
        model.errors.BadInput: it takes fewer tokens than `train.max_length`.
    """
    from ..train.backbone import load_tokenizer, refuse_longer, resolve

    encoder = resolve(backbone)
    refuse_longer(read_json(encoder.folder / "config.json"), train.max_length, encoder.name)
    if cache is not None:
        refuse_unexportable(encoder, train, cache)
    tokenizer = load_tokenizer(encoder, max_length=LONGEST_MEASURED)
    reader, folder = TokenReader(tokenizer, LONGEST_MEASURED), open_rows(rows)
    splits: dict[str, Any] = {}
    heads: dict[str, dict[str, Any]] = {head: {} for head in folder.heads}
    given: dict[str, dict[str, Any]] = {source: {} for source in sources or {}}
    for split in SPLITS:
        counts = count_tokens(tokenizer, reader.ids(first_texts(rows / f"{split}.texts.jsonl")))
        splits[split] = token_lengths(counts, train.max_length)
        if not folder.counts[split]:
            continue
        part, measured = folder.split(split, folder.heads), len(counts.lengths)
        for head, found in heads.items():
            found[split] = counts.figures(train.max_length, part.labelled(head)[:measured])
        for source, found in given.items():
            found[split] = counts.figures(train.max_length, (sources or {})[source][split][:measured])
    known = {"max_length": train.max_length, "unknown_token": unknown_token_id(tokenizer) is not None}
    return encoder, {**known, "splits": splits, "heads": heads, "sources": given}


def refuse_unexportable(encoder: ResolvedBackbone, train: TrainSpec, cache: Path) -> None:
    """Return if a model on the encoder can be packaged: its kind is one that tests export, or it was tried,
    once for each encoder and code.

    Raises:
        model.errors.BackboneError: it can't.
    """
    from ..train.backbone import PROVEN

    if read_json(encoder.folder / "config.json").get("model_type") in PROVEN:
        return
    key = digest(
        "encoder", encoder.files_sha256, encoder.layers, train.max_length, train.pooling, code_digest()
    )
    with Cache(cache).entry("encoders", key).making() as made:
        if made is None:
            return
        asked = ["try", str(encoder.folder), "--name", encoder.name, "--max-length", str(train.max_length)]
        asked += ["--pooling", train.pooling]
        asked += [] if encoder.layers is None else ["--layers", str(encoder.layers)]
        log = made / "trial.log"
        try:
            run_model(asked, log=log)
        except ModelProcessError as error:
            said = [
                line for line in log.read_text("utf-8").splitlines() if line.startswith("BackboneError: ")
            ]
            raise BackboneError(said[-1].partition(": ")[2] if said else str(error)) from error


def first_texts(texts: Path) -> list[str]:
    """The first texts of a split, `MOST_TEXTS_MEASURED` at most. They are in the order of digests, so that
    the first ones are a fair sample."""
    with texts.open(encoding="utf-8") as lines:
        return [json.loads(line) for line, _ in zip(lines, range(MOST_TEXTS_MEASURED), strict=False)]


def token_lengths(counts: TokenCounts, max_length: int) -> dict[str, Any]:
    """Sums, percentiles and a histogram of text lengths in tokens, before anything is cut."""
    lengths = counts.lengths if counts.lengths.size else np.zeros(1, np.int64)
    # Evenly spaced on a logarithmic axis, equal for all splits and runs.
    edges = np.unique(np.geomspace(1, LONGEST_MEASURED + 1, HISTOGRAM_BINS + 1).round().astype(int))
    histogram, _ = np.histogram(np.maximum(lengths, 1), bins=edges)
    return {
        **counts.figures(max_length),
        "median": float(np.median(lengths)),
        "p95": float(np.percentile(lengths, 95)),
        "max": int(lengths.max()),
        "histogram": {"edges": edges.tolist(), "counts": histogram.tolist()},
    }
