"""The golden texts of a version as questions to an endpoint, and what its answers say of the version.

Only an answer says something. None, one of another version, or a refusal to answer leave it open.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from serving.client import ask
from serving.errors import NoAnswer
from serving.http.replies import DECIMALS

TEXTS_AT_ONCE = 32
"""Golden texts in one request; fewer where the endpoint takes fewer."""
BUSY = frozenset({429, 503})
"""Statuses of an endpoint that has too much to do: a smaller question may find a place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What is known of an endpoint's answers to the golden texts of a version."""

    known: Literal["matches", "differs", "not known"]
    """`differs`: it gave other answers, or looked at the version and refused it. `not known`: no answer, or
    none that says anything of the version; nothing may be destroyed on the strength of it."""
    why: str = ""
    """What was seen; empty where it matches."""


MATCHES = Agreement(known="matches")


class GoldenTrial:
    """The golden texts of one version, asked piece by piece; keeps how far it came.

    Args:
        golden: `golden.json` of the bundle.
        labels: head → its labels, in the order of the golden probabilities.
        version: version that must answer.
        at_once: most texts in one request.
    """

    def __init__(
        self,
        golden: Mapping[str, Any],
        labels: Mapping[str, Sequence[str]],
        version: int,
        at_once: int = TEXTS_AT_ONCE,
    ) -> None:
        self._golden = golden
        self._labels = labels
        self._version = version
        self._at_once = at_once
        self._done = 0

    def ask(self, url: str, token: str | None = None, timeout_s: float = 30.0) -> Agreement:
        """Ask for what was not answered yet and compare every probability of every label.

        Args:
            url: address of the endpoint.
            token: bearer token, where the endpoint asks for one.
            timeout_s: longest wait for one reply.

        Raises:
            NoAnswer: it does not answer, or another version does. Ask again: what was answered is kept, and
                a busy endpoint is asked for less at once.
        """
        texts: Sequence[str] = self._golden["texts"]
        while self._done < len(texts):
            piece = texts[self._done : self._done + self._at_once]
            try:
                reply = ask(url, piece, everything=True, token=token, timeout_s=timeout_s)
            except NoAnswer as error:
                if error.status in BUSY:
                    self._at_once = max(1, len(piece) // 2)
                raise
            if reply.get("version") != self._version:
                raise NoAnswer(
                    f"{url}: version {reply.get('version')} answered, expected version {self._version}",
                    status=200,
                )
            try:
                wrong = self._wrong(reply.get("answers"))
            except (KeyError, TypeError, AttributeError) as error:
                raise NoAnswer(f"{url}: the reply is not one of an endpoint", status=200) from error
            if wrong:
                return Agreement(known="differs", why=wrong)
            self._done += len(piece)
        return MATCHES

    def _wrong(self, answers: Any) -> str:
        """What differs in the answers to the texts that are asked for now; empty if nothing does."""
        begin = self._done
        asked = min(self._at_once, len(self._golden["texts"]) - begin)
        if not isinstance(answers, list) or len(answers) != asked:
            return f"{len(answers) if isinstance(answers, list) else 'no'} answers to {asked} golden texts"
        for row, answer in enumerate(answers, start=begin):
            if set(answer) != set(self._labels):
                return f"heads {sorted(answer)} answered, expected {sorted(self._labels)}"
            for head, answered in answer.items():
                seen = {entry["label"]: entry["probability"] for entry in answered["probabilities"]}
                if problem := self._off(head, row, seen):
                    return problem
        return ""

    def _off(self, head: str, row: int, seen: Mapping[str, float]) -> str:
        tolerance = float(self._golden["tolerance"]) + 10**-DECIMALS
        wanted = dict(zip(self._labels[head], self._golden["probabilities"][head][row], strict=True))
        if seen.keys() != wanted.keys():
            return f"head {head}: labels {sorted(seen)}, expected {sorted(wanted)}"
        for label in wanted:  # one by one: the largest of several is none that is not a number
            if not (off := abs(seen[label] - wanted[label])) <= tolerance:
                return (
                    f"head {head}, golden text {row}: a probability is {off:.2g} off, at most "
                    f"{tolerance:.2g} is allowed"
                )
        return ""


def golden_trial(bundle: Path, version: int, at_once: int = TEXTS_AT_ONCE) -> GoldenTrial:
    """The golden texts of a bundle.

    Raises:
        OSError: a file of the bundle can't be read.
        ValueError: it is not JSON.
        KeyError: it lacks a field.
    """
    golden = json.loads((bundle / "golden.json").read_bytes())
    card = json.loads((bundle / "card.json").read_bytes())
    labels = {head: described["labels"] for head, described in card["heads"].items()}
    return GoldenTrial(golden, labels, version, at_once)
