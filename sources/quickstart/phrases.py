"""The phrases from which `sources.quickstart.messages` composes customer messages, written for this project.

They stand in `phrases.json`. A phrase is a small grammar of its own: `[a|b|]` picks one alternative (an empty
one is allowed) and `{name}` is replaced by a phrase of the slot of that name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Phrases = Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseBook:
    """All phrases, by what they are for."""

    slots: Mapping[str, Phrases]
    """What `{name}` is replaced by."""
    events: Mapping[str, Mapping[str, Phrases]]
    """Topic → outcome → clauses."""
    vague: Phrases
    evaluations: Mapping[int, Phrases]
    """Rating → judgements."""
    cues: Mapping[str, Phrases]
    """Emotion → clauses that show it."""
    shared_cues: Mapping[tuple[str, str], Phrases]
    """Two emotions → clauses that may show either."""
    false_cues: Mapping[str, Phrases]
    """Emotion → clauses that sound like it and are not."""
    openers: Phrases
    opener_links: Phrases
    closers: Phrases
    hedges: Phrases
    links: Phrases
    contrasts: Phrases
    slang: Mapping[str, str]
    """Word → how some writers write it."""


@cache
def phrase_book() -> PhraseBook:
    """The phrases of `phrases.json`."""
    raw = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    raw["evaluations"] = {int(rating): phrases for rating, phrases in raw["evaluations"].items()}
    raw["shared_cues"] = {tuple(one["emotions"]): one["phrases"] for one in raw["shared_cues"]}
    return PhraseBook(**raw)
