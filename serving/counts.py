"""What an endpoint says that its versions answered, read from its `GET /metrics`.

Counts of one version are a flat mapping, so that they can be kept and subtracted: `answered`, `failed`,
`up to SECONDS`, and by head `requests HEAD`, `texts HEAD`, `label HEAD LABEL`. Does not judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from serving.client import request
from serving.errors import NoAnswer
from serving.http.answer_counts import HEAD_REQUESTS, HEAD_TEXTS, LABELS, REQUESTS, SECONDS

VersionCounts: TypeAlias = Mapping[str, float]
"""What one version answered."""

UP_TO = "up to "
"""Answers that took at most so many seconds; `+Inf` for all."""

_NAMES: dict[str, Callable[[Mapping[str, str]], str]] = {
    f"{REQUESTS}_total": lambda labels: labels["outcome"],
    f"{SECONDS}_bucket": lambda labels: UP_TO + labels["le"],
    f"{HEAD_REQUESTS}_total": lambda labels: f"requests {labels['head']}",
    f"{HEAD_TEXTS}_total": lambda labels: f"texts {labels['head']}",
    f"{LABELS}_total": lambda labels: f"label {labels['head']} {labels['label']}",
}
"""Sample → its name here, by its labels."""


def read_counts(url: str, token: str | None = None, timeout_s: float = 5.0) -> dict[int, VersionCounts]:
    """Version → what it answered, of the versions that the endpoint counts.

    Args:
        url: base URL.
        token: bearer token, where the endpoint asks for one.
        timeout_s: longest wait.

    Raises:
        NoAnswer: no reply, or one that is not 200 or no exposition of an endpoint.
    """
    status, _, body = request(url, "GET", "/metrics", token=token, timeout_s=timeout_s)
    if status != 200:
        raise NoAnswer(f"{url}/metrics: status {status}", status=status)
    found: dict[int, dict[str, float]] = {}
    try:
        for family in text_string_to_metric_families(body.decode()):
            for sample in family.samples:
                if (name := _NAMES.get(sample.name)) is not None:
                    version = found.setdefault(int(sample.labels["version"]), {})
                    version[name(sample.labels)] = float(sample.value)
    except (ValueError, KeyError) as error:
        raise NoAnswer(f"{url}/metrics: the reply is not one of an endpoint", status=status) from error
    return dict(found)


def grown(before: VersionCounts, now: VersionCounts) -> dict[str, float]:
    """What was counted between two looks. Counts never fall: where one did, they began anew."""
    if any(value > now.get(name, 0.0) for name, value in before.items()):
        before = {}
    return {name: value - before.get(name, 0.0) for name, value in now.items()}


def added(one: VersionCounts, other: VersionCounts) -> dict[str, float]:
    """Sums of two counts."""
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in {**one, **other}}


def heads_of(counts: VersionCounts) -> list[str]:
    """Heads that were counted."""
    return [name.removeprefix("requests ") for name in counts if name.startswith("requests ")]
