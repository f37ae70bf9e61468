"""The messages of `sources.quickstart.generate`: what a writer means, the text, the labels of annotators.

Knows the grammar and the shares of everything drawn; does not know files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from sources.quickstart.phrases import phrase_book

Item = TypeVar("Item")

RATINGS = (1, 2, 3, 4, 5)
TOPICS = (
    "delivery",
    "billing",
    "refund",
    "quality",
    "account",
    "app",
    "service",
    "subscription",
)
EMOTIONS = ("anger", "disappointment", "worry", "confusion", "surprise", "relief", "gratitude", "joy")

TOPIC_SHARES = (0.20, 0.15, 0.13, 0.17, 0.10, 0.09, 0.09, 0.07)
"""Of `TOPICS`, in order: the commonest is 0.20 and the rarest 0.07."""
TONE_SHARES = (0.22, 0.17, 0.16, 0.21, 0.24)
"""Of `RATINGS`, in order."""
EMOTION_SHARES: Mapping[int, Mapping[str, float]] = {
    1: {"anger": 0.55, "disappointment": 0.40, "worry": 0.18, "confusion": 0.15, "surprise": 0.10},
    2: {"disappointment": 0.50, "anger": 0.22, "confusion": 0.25, "worry": 0.25, "relief": 0.05},
    3: {"confusion": 0.32, "worry": 0.20, "surprise": 0.20, "relief": 0.20, "disappointment": 0.15},
    4: {"relief": 0.28, "gratitude": 0.32, "joy": 0.28, "surprise": 0.18, "confusion": 0.06},
    5: {"joy": 0.50, "gratitude": 0.42, "surprise": 0.22, "relief": 0.15},
}
"""Tone → emotion → how often it is felt. At most `MAX_EMOTIONS` are expressed."""
MAX_EMOTIONS = 2

IN_BOTH, IN_REVIEWS = 0.12, 0.44
"""Shares of texts in both sources and in reviews alone; the others are in tickets alone."""
SPLIT_SHARES = {"train": 0.31, "validation": 0.10, "test": 0.59}
"""Shares of texts a split."""

OPENER_SHARE, HEDGE_SHARE, CLOSER_SHARE = 0.2, 0.15, 0.15
VAGUE_SHARE = 0.03
TWO_TOPICS_SHARE = 0.15
SECOND_MEANT_SHARE = 0.25
TOPIC_NOISE = 0.03
TONE_NOISE = 0.12
RATING_NOISE = 0.12
SHARED_CUE_SHARE = 0.15
FALSE_CUE_SHARE = 0.06
EMOTION_MISSED = 0.06
EMOTION_ADDED = 0.01


@dataclass(frozen=True, slots=True)
class Message:
    """One text with the labels of its annotators."""

    text: str
    topic: str
    rating: int
    emotions: tuple[str, ...]
    """In the order of `EMOTIONS`."""
    split: str
    source: str
    """`reviews`, `tickets` or `both`."""


def pick(rng: Random, items: Sequence[Item], shares: Sequence[float] | None = None) -> Item:
    """One of the items, evenly or by shares that sum to 1.

    Written out because only the sequence of `Random.random` is the same in every version of Python.
    """
    draw = rng.random()
    if shares is None:
        return items[int(draw * len(items))]
    for item, share in zip(items, shares, strict=True):
        draw -= share
        if draw < 0:
            return item
    return items[-1]


_INNERMOST = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")


def expand(rng: Random, phrase: str) -> str:
    """A phrase with each `[a|b]` and `{slot}` replaced by one of its alternatives, spaces tidied."""
    while match := _INNERMOST.search(phrase) or _SLOT.search(phrase):
        named = match.re is _SLOT
        options = phrase_book().slots[match[1]] if named else match[1].split("|")
        phrase = phrase[: match.start()] + pick(rng, options) + phrase[match.end() :]
    return " ".join(phrase.split())


def event_clause(rng: Random, topic: str, tone: int) -> str:
    """What happened: bad for a low tone, good for a high one, in 0.15 a question."""
    bad = {1: 0.95, 2: 0.85, 3: 0.5, 4: 0.2, 5: 0.06}[tone]
    outcome = "ask" if rng.random() < 0.15 else ("bad" if rng.random() < bad else "good")
    return expand(rng, pick(rng, phrase_book().events[topic][outcome]))


def emotions_felt(rng: Random, tone: int) -> tuple[str, ...]:
    """Emotions at this tone, in the order in which they are expressed."""
    felt = [name for name, share in EMOTION_SHARES[tone].items() if rng.random() < share]
    while len(felt) > MAX_EMOTIONS:
        felt.remove(pick(rng, felt))
    return tuple(felt)


def emotion_clause(rng: Random, emotion: str) -> str:
    """Words for an emotion, some of which another emotion shares."""
    shared = [pair for pair in phrase_book().shared_cues if emotion in pair]
    if shared and rng.random() < SHARED_CUE_SHARE:
        return expand(rng, pick(rng, phrase_book().shared_cues[pick(rng, shared)]))
    return expand(rng, pick(rng, phrase_book().cues[emotion]))


def neighbour(rng: Random, tone: int) -> int:
    """The tone beside this one."""
    return {1: 2, 5: 4}.get(tone) or tone + (1 if rng.random() < 0.5 else -1)


def misspell(rng: Random, text: str, share: float) -> str:
    """The text with about this share of its words swapped, shortened, doubled or in slang."""
    typed = []
    for word in text.split(" "):
        if rng.random() >= share or len(word) < 2:
            typed.append(word)
            continue
        place = 1 + int(rng.random() * (len(word) - 1))
        typed.append(
            phrase_book().slang.get(word.lower())
            or pick(
                rng,
                (
                    word[: place - 1] + word[place] + word[place - 1] + word[place + 1 :],
                    word[:place] + word[place + 1 :],
                    word[:place] + word[place - 1] + word[place:],
                ),
            )
        )
    return " ".join(typed)


def join_clauses(rng: Random, clauses: Sequence[str], contrast_after: int | None) -> str:
    """One text of several clauses, with one person's habits of case, punctuation and spelling."""
    habits = (pick(rng, phrase_book().links), pick(rng, phrase_book().links))
    text = clauses[0]
    for index, clause in enumerate(clauses[1:]):
        link = pick(rng, phrase_book().contrasts if index == contrast_after else habits)
        if index == 0 and clauses[0] in phrase_book().openers:
            link = " " if clauses[0].endswith(":") else pick(rng, phrase_book().opener_links)
        text += link + clause
    text = misspell(rng, text, pick(rng, (0.0, 0.0, 0.0, 0.03, 0.08)))
    habit = rng.random()
    if habit < 0.45:
        text = re.sub(r"(^|[.!?] )([a-z])", lambda m: m[1] + m[2].upper(), text)
        text = re.sub(r"\bi\b", "I", text)
    elif habit < 0.50:
        text = text.upper()
    return text + pick(rng, ("", "", "", ".", ".", ".", "!", "!!", "..."))


def compose(rng: Random, topic: str, tone: int, felt: Sequence[str], source: str) -> tuple[str, str]:
    """A text, and the topic that it is about (of two topics, either may be meant)."""
    events = [event_clause(rng, topic, tone)]
    meant = topic
    kind = rng.random()
    if kind < VAGUE_SHARE:
        events = [expand(rng, pick(rng, phrase_book().vague))]
    elif kind < VAGUE_SHARE + TWO_TOPICS_SHARE:
        other = pick(rng, [name for name in TOPICS if name != topic])
        events.append(event_clause(rng, other, neighbour(rng, tone)))
        meant = other if rng.random() < SECOND_MEANT_SHARE else topic
    shown = neighbour(rng, tone) if rng.random() < TONE_NOISE else tone
    judgement = [expand(rng, pick(rng, phrase_book().evaluations[shown]))]
    if source == "tickets" and rng.random() < 0.4:
        judgement = []
    feelings = [emotion_clause(rng, emotion) for emotion in felt]
    if rng.random() < FALSE_CUE_SHARE:
        absent = [name for name in phrase_book().false_cues if name not in felt]
        feelings.append(expand(rng, pick(rng, phrase_book().false_cues[pick(rng, absent)])))
    orders = (
        (events, judgement, feelings),
        (events, feelings, judgement),
        (judgement, events, feelings),
        (feelings, events, judgement),
        (judgement, feelings, events),
    )
    blocks = pick(rng, orders)
    clauses = [clause for block in blocks for clause in block]
    if rng.random() < HEDGE_SHARE:
        place = int(rng.random() * len(clauses))
        clauses[place] = f"{pick(rng, phrase_book().hedges)} {clauses[place]}"
    turns = tone == 3 and blocks[0] is events and len(clauses) > len(events)
    contrast_after = len(events) - 1 if turns else None
    if rng.random() < CLOSER_SHARE:
        clauses.append(expand(rng, pick(rng, phrase_book().closers)))
    if rng.random() < OPENER_SHARE:
        clauses.insert(0, expand(rng, pick(rng, phrase_book().openers)))
        contrast_after = None if contrast_after is None else contrast_after + 1
    return join_clauses(rng, clauses, contrast_after), meant


def annotated_emotions(rng: Random, felt: Sequence[str]) -> tuple[str, ...]:
    """The emotions that annotators name: some are missing, a few are added."""
    return tuple(
        name
        for name in EMOTIONS
        if rng.random() < (1 - EMOTION_MISSED if name in felt else EMOTION_ADDED)
    )  # fmt: skip


def draw_message(rng: Random) -> Message:
    """One message with the labels of its annotators."""
    split = pick(rng, tuple(SPLIT_SHARES), tuple(SPLIT_SHARES.values()))
    source = pick(rng, ("both", "reviews", "tickets"), (IN_BOTH, IN_REVIEWS, 1 - IN_BOTH - IN_REVIEWS))
    tone = pick(rng, RATINGS, TONE_SHARES)
    felt = emotions_felt(rng, tone)
    text, topic = compose(rng, pick(rng, TOPICS, TOPIC_SHARES), tone, felt, source)
    if rng.random() < TOPIC_NOISE:
        topic = pick(rng, [name for name in TOPICS if name != topic])
    rating = neighbour(rng, tone) if rng.random() < RATING_NOISE else tone
    return Message(text, topic, rating, annotated_emotions(rng, felt), split, source)


def draw_messages(rows: int, seed: int) -> list[Message]:
    """`rows` messages whose texts differ in more than letter case."""
    rng = Random(seed)
    messages: dict[str, Message] = {}
    while len(messages) < rows:
        message = draw_message(rng)
        messages.setdefault(message.text.lower(), message)
    return list(messages.values())
