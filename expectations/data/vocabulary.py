"""How many words of the data the champion has not seen: pure functions of counts and profiles.

The share of tokens outside of the champion's vocabulary is never zero: texts that it was not trained on
always hold new words. So it is compared with the share that the champion's own validation texts had
(`unseen_then`), and what counts is the excess over that. Words of one text hang together, so texts, not
words, are taken as what was drawn when the noise is estimated (`share_noise`): that is cautious, because the
words of one text are not all alike.

Does not know how words are found or hashed (`sources.profile.vocabulary`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from expectations.data.drift import VOCABULARY, Drift, DriftState, Levels
from expectations.stats.divergence import share_noise
from model.spec import SPLITS

WORDS_FILE = "words.parquet"
"""`split`, `word` (its hash, uint32), `tokens`: how often it occurs."""

Words = Mapping[str, tuple[NDArray[np.uint32], NDArray[np.int64]]]
"""Split → (hashes (W,), how often each occurs (W,))."""


def load_words(dataset: Path) -> Words | None:
    """The counted words of a dataset folder; none where they were not counted."""
    path = dataset / WORDS_FILE
    if not path.is_file():
        return None
    table = pq.read_table(path, columns=["split", "word", "tokens"])
    split = np.asarray(table["split"].to_pylist(), dtype=object)
    word = table["word"].to_numpy().astype(np.uint32)
    tokens = table["tokens"].to_numpy().astype(np.int64)
    return {name: (word[split == name], tokens[split == name]) for name in SPLITS}


def known_words(profile: Mapping[str, Any]) -> NDArray[np.uint32]:
    """The sorted hashes of the vocabulary in a profile.

    Raises:
        ValueError: it is not base64 of 32-bit numbers.
    """
    try:
        raw = base64.b64decode(profile["vocabulary"]["words"], validate=True)
        return np.sort(np.frombuffer(raw, dtype="<u4").astype(np.uint32))
    except (binascii.Error, TypeError) as error:
        raise ValueError(
            f"the champion's data profile: `vocabulary.words`: {error}; expected base64 of 32-bit numbers"
        ) from error


def unseen_share(words: ArrayLike, tokens: ArrayLike, known: ArrayLike) -> float:
    """Share of tokens whose word is not known: words (W,), tokens (W,) how often each occurs, known (K,)."""
    counts = np.asarray(tokens, dtype=np.float64)
    new = ~np.isin(np.asarray(words), np.asarray(known))
    return float(counts[new].sum() / counts.sum())


def compare_words(
    words: Words | None, profile: Mapping[str, Any], champion: Mapping[str, Any] | None, levels: Levels
) -> tuple[Drift, ...]:
    """The words of every split against the champion's vocabulary.

    The share then is that of the champion's validation texts, or of its test texts where those hold too
    few words.
    """
    now, then = profile.get("vocabulary"), (champion or {}).get("vocabulary")
    found = []
    for split in SPLITS:
        state: DriftState | None = None
        if champion is None:
            state = "nothing to compare with"
        elif then is None:
            state = "the champion's words are not known"
        elif now is None or words is None:
            state = "words were not counted"
        if state is not None or now is None or then is None or words is None:
            found.append(_nothing(split, state or "nothing to compare with"))
            continue
        texts, tokens = int(now["texts"][split]), int(now["tokens"][split])
        if not texts:
            continue
        aside = max(("validation", "test"), key=lambda name: int(then["tokens"][name]) >= levels.min_tokens)
        texts_then, tokens_then = int(then["texts"][aside]), int(then["tokens"][aside])
        about: dict[str, Any] = {"subject": VOCABULARY, "head": None, "split": split}
        about |= {"rows": texts, "rows_then": texts_then}
        if min(tokens, tokens_then) < levels.min_tokens:
            found.append(Drift(**about, state="too few words"))
            continue
        share, share_then = unseen_share(*words[split], known_words(champion or {})), then["unseen"][aside]
        found.append(
            Drift(
                **about,
                state="compared",
                unseen=share,
                unseen_then=share_then,
                noise_unseen=share_noise(share, share_then, texts, texts_then),
                moved=(("words that the champion's training texts do not hold", share_then, share),),
            )
        )
    return tuple(found)


def _nothing(split: str, state: DriftState) -> Drift:
    return Drift(subject=VOCABULARY, head=None, split=split, state=state, rows=0, rows_then=0)
