"""Requests that an endpoint must survive: by hand, by Hypothesis, by Schemathesis.

A real endpoint with a toy model on loopback gets every request written by hand (over 200), JSON and bytes
that Hypothesis makes up, and what Schemathesis makes of the schema that the endpoint itself serves, valid
and not. No reply may be a 5xx, echo what was sent, or hold a traceback, a path or an exception; replies
to Schemathesis must also be as the schema says.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st

from serving.spec import DeploySpec
from tests.support.contract import Report, Size, run
from tests.support.hostile_requests import LEAKS, LIMITS, RAW, by_hand, flaws, send, send_raw
from tests.support.measures import Measure, at_least, at_most
from tests.support.open_endpoint import open_endpoint

GOAL = "no 5xx, no echo, no leak"
QUICK_S, WHOLE_S = 8, 200
SIZES = {
    "hypothesis": Size(10_000, 300, "requests by Hypothesis"),
    "schemathesis": Size(2_000, 100, "requests by Schemathesis"),
}
FIELDS = ("texts", "all", "heads", "inputs", "instances", "dataframe_split", "dataframe_records", "params")
INNER_FIELDS = ("texts", "all", "heads", "inputs", "text", "columns", "data", "index", "x")


@dataclass(slots=True)
class Replies:
    """What a number of requests came to."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    flaws: Counter[str] = field(default_factory=Counter)
    """What was wrong → how often."""

    def count(self, status: int, found: list[str]) -> None:
        """Count one reply."""
        self.sent += 1
        self.statuses[status] += 1
        self.flaws.update(found)


Count = Callable[[int, list[str]], None]
"""Called with the status and the flaws of each reply."""


def counted(send_all: Callable[[Count], None]) -> Replies:
    """What the requests of `send_all` came to."""
    replies = Replies()
    send_all(replies.count)
    return replies


def bodies() -> st.SearchStrategy[tuple[str, bytes]]:
    """A route and a body: mostly JSON that is nearly right, now and then any bytes."""
    inner = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda deeper: (
            st.lists(deeper, max_size=4)
            | st.dictionaries(st.sampled_from(INNER_FIELDS) | st.text(max_size=3), deeper, max_size=4)
        ),
        max_leaves=12,
    )
    words = st.text(max_size=40)
    texts = words | st.lists(words, min_size=1, max_size=9)
    rows = st.lists(st.fixed_dictionaries({"text": words}), min_size=1, max_size=9)
    split = st.lists(words.map(lambda text: [text]), max_size=9).map(
        lambda data: {"columns": ["text"], "data": data}
    )
    good = (
        st.fixed_dictionaries({"texts": texts}, optional={"all": st.booleans()})
        | st.fixed_dictionaries({"inputs": texts | rows})
        | st.fixed_dictionaries({"instances": texts | rows}, optional={"params": st.just({"all": True})})
        | st.fixed_dictionaries({"dataframe_split": split})
    )
    odd = st.dictionaries(st.sampled_from(FIELDS), inner | texts, max_size=3)
    # Half of them as they should be, but for their texts; the others are wrong somewhere.
    payloads = good | good | odd | st.builds(lambda one, other: {**one, **other}, good, odd)
    written = payloads.map(lambda payload: json.dumps(payload).encode())
    raw = st.binary(max_size=60)
    return st.tuples(st.sampled_from(["/predict", "/invocations"]), written | written | written | raw)


def hand_cases(url: str, count_reply: Count) -> None:
    """Send everything that was written by hand."""
    for asked in by_hand():
        status, headers, body = send(url, asked.body, asked.route, asked.method, asked.headers)
        count_reply(status, flaws(status, headers, body, wanted=asked.status))
    for raw in RAW:
        reply = send_raw(url, raw)
        status = int(reply.split(b" ", 2)[1]) if reply.startswith(b"HTTP/1.1 ") else 0
        count_reply(
            status, ["not refused"] * (status not in (400, 413)) + ["leaks"] * bool(LEAKS.search(reply))
        )


def hypothesis_cases(url: str, count: int, count_reply: Count) -> None:
    """Send `count` requests that Hypothesis makes up; equal ones in every run."""

    @_quietly(count)
    @given(asked=bodies())
    def send_one(asked: tuple[str, bytes]) -> None:
        status, headers, body = send(url, asked[1], asked[0])
        count_reply(status, flaws(status, headers, body))

    send_one()


def schema_cases(url: str, count: int, count_reply: Count) -> None:
    """Send `count` requests that Schemathesis makes of the endpoint's own schema: half of them by its
    rules, half against them, over all its routes."""
    import schemathesis
    from schemathesis import checks

    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    wanted = [
        checks.not_a_server_error,
        *(getattr(schemathesis.specs.openapi.checks, name) for name in CONFORMANCE),
    ]
    operations = [result.ok() for result in schema.get_all_operations()]
    with_body = sum(bool(operation.body) for operation in operations)
    modes = schemathesis.GenerationMode
    for operation in operations:
        if operation.body:
            for mode in (modes.POSITIVE, modes.NEGATIVE):
                part = math.ceil(count / with_body / 2)
                _schema_part(url, operation.as_strategy(generation_mode=mode), part, wanted, count_reply)
        else:  # there is next to nothing to vary
            _schema_part(url, operation.as_strategy(), 5, wanted, count_reply)


CONFORMANCE = (
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
"""Checks of Schemathesis that a reply has to pass besides our own."""


def _schema_part(url: str, cases: st.SearchStrategy, count: int, wanted: list, count_reply: Count) -> None:
    from schemathesis.core.failures import FailureGroup

    @_quietly(count)
    @given(case=cases)
    def send_one(case) -> None:
        reply = case.call(base_url=url, timeout=10)
        headers = {key.lower(): ", ".join(values) for key, values in reply.headers.items()}
        found = flaws(reply.status_code, headers, reply.content)
        try:
            case.validate_response(reply, checks=wanted)
        except FailureGroup as group:
            found += [f"{case.method} {case.path}: {failure.title}" for failure in group.exceptions]
        count_reply(reply.status_code, found)

    send_one()


def _quietly(count: int) -> settings:
    """`count` examples, none kept, none shrunk: what is wrong is counted, not raised."""
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )


def measure(options: argparse.Namespace) -> Report:
    """All three kinds of requests against one endpoint."""
    measures: list[Measure] = []
    with open_endpoint(DeploySpec(port=0, threads=1, **LIMITS)) as endpoint:
        url = endpoint.state.url
        runs: dict[str, tuple[int, Callable[[Count], None]]] = {
            "by hand": (200, lambda count: hand_cases(url, count)),
            "by Hypothesis": (
                options.hypothesis,
                lambda count: hypothesis_cases(url, options.hypothesis, count),
            ),
            "by Schemathesis": (
                options.schemathesis,
                lambda count: schema_cases(url, options.schemathesis, count),
            ),
        }
        for name, (least, send_all) in runs.items():
            replies = counted(send_all)
            for flaw, times in replies.flaws.most_common(20):
                print(f"{name}: {flaw}: {times} times")
            failures = sum(n for status, n in replies.statuses.items() if status >= 500)
            measures += [
                Measure(f"{name}: requests", replies.sent, "", at_least(least)),
                Measure(f"{name}: answered 200", replies.statuses[200]),
                Measure(f"{name}: replies 5xx", failures, "", at_most(0)),
                Measure(f"{name}: replies with any other flaw", sum(replies.flaws.values()), "", at_most(0)),
            ]
        alive = send(url, b'{"texts": "rain"}')[0]
        measures.append(Measure("status of a plain request afterwards", alive, "", at_most(200)))
        failures = endpoint.log_file.read_text().count("request failed")
        measures.append(Measure("failures in the log", failures, "", at_most(0)))
    return Report(measures)


if __name__ == "__main__":
    sys.exit(run(measure))
