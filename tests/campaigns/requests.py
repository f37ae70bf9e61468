"""Requests that an endpoint must survive: by hand, by Hypothesis, by Schemathesis.

    python -m tests.campaigns.requests [--hypothesis 10000] [--schemathesis 2000]

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
from tests.support.hostile_requests import LEAKS, LIMITS, RAW, by_hand, flaws, send, send_raw
from tests.support.machine import describe_machine
from tests.support.open_endpoint import open_endpoint
from tests.support.result import Measure, at_least, at_most, report

FIELDS = ("texts", "all", "inputs", "instances", "dataframe_split", "dataframe_records", "params")
INNER_FIELDS = ("texts", "all", "inputs", "text", "columns", "data", "index", "x")


@dataclass(slots=True)
class Told:
    """What a number of requests came to."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    flaws: Counter[str] = field(default_factory=Counter)
    """What was wrong → how often."""

    def each(self, status: int, found: list[str]) -> None:
        """Count one reply."""
        self.sent += 1
        self.statuses[status] += 1
        self.flaws.update(found)


def tell(run: Callable[[Callable[[int, list[str]], None]], None]) -> Told:
    """What `run` came to; it calls what it is given with status and flaws of each reply."""
    told = Told()
    run(told.each)
    return told


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
    # Half of them as they should be, but for what stands in their texts; the others bent somewhere.
    payloads = good | good | odd | st.builds(lambda one, other: {**one, **other}, good, odd)
    written = payloads.map(lambda payload: json.dumps(payload).encode())
    raw = st.binary(max_size=60)
    return st.tuples(st.sampled_from(["/predict", "/invocations"]), written | written | written | raw)


def hand_cases(url: str, each: Callable[[int, list[str]], None]) -> None:
    """Send everything that was written by hand."""
    for asked in by_hand():
        status, headers, body = send(url, asked.body, asked.route, asked.method, asked.headers)
        each(status, flaws(status, headers, body, wanted=asked.status))
    for raw in RAW:
        reply = send_raw(url, raw)
        status = int(reply.split(b" ", 2)[1]) if reply.startswith(b"HTTP/1.1 ") else 0
        each(status, ["not refused"] * (status not in (400, 413)) + ["leaks"] * bool(LEAKS.search(reply)))


def hypothesis_cases(url: str, count: int, each: Callable[[int, list[str]], None]) -> None:
    """Send `count` requests that Hypothesis makes up; the same ones every time."""

    @_quietly(count)
    @given(asked=bodies())
    def run(asked: tuple[str, bytes]) -> None:
        status, headers, body = send(url, asked[1], asked[0])
        each(status, flaws(status, headers, body))

    run()


def schema_cases(url: str, count: int, each: Callable[[int, list[str]], None]) -> None:
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
                _schema_part(url, operation.as_strategy(generation_mode=mode), part, wanted, each)
        else:  # there is next to nothing to vary
            _schema_part(url, operation.as_strategy(), 5, wanted, each)


CONFORMANCE = (
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
"""Checks of Schemathesis that a reply has to pass besides our own."""


def _schema_part(url: str, cases: st.SearchStrategy, count: int, wanted: list, each: Callable) -> None:
    from schemathesis.core.failures import FailureGroup

    @_quietly(count)
    @given(case=cases)
    def run(case) -> None:
        reply = case.call(base_url=url, timeout=10)
        headers = {key.lower(): ", ".join(values) for key, values in reply.headers.items()}
        found = flaws(reply.status_code, headers, reply.content)
        try:
            case.validate_response(reply, checks=wanted)
        except FailureGroup as group:
            found += [f"{case.method} {case.path}: {failure.title}" for failure in group.exceptions]
        each(reply.status_code, found)

    run()


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


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaigns.requests", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--hypothesis", type=int, default=10_000, help="requests by Hypothesis")
    parser.add_argument("--schemathesis", type=int, default=2_000, help="requests by Schemathesis")
    options = parser.parse_args(arguments)
    machine, measures = describe_machine(), []
    with open_endpoint(DeploySpec(port=0, threads=1, **LIMITS)) as endpoint:
        url = endpoint.state.url
        runs = {
            "by hand": (200, lambda each: hand_cases(url, each)),
            "by Hypothesis": (
                options.hypothesis,
                lambda each: hypothesis_cases(url, options.hypothesis, each),
            ),
            "by Schemathesis": (
                options.schemathesis,
                lambda each: schema_cases(url, options.schemathesis, each),
            ),
        }
        for name, (least, run) in runs.items():
            told = tell(run)
            for flaw, times in told.flaws.most_common(20):
                print(f"{name}: {flaw}: {times} times", file=sys.stderr)
            measures += [
                Measure(f"{name}: requests", told.sent, "", at_least(least)),
                Measure(f"{name}: answered 200", told.statuses[200], ""),
                Measure(
                    f"{name}: replies 5xx",
                    sum(n for status, n in told.statuses.items() if status >= 500),
                    "",
                    at_most(0),
                ),
                Measure(f"{name}: replies with any other flaw", sum(told.flaws.values()), "", at_most(0)),
            ]
        alive = send(url, b'{"texts": "rain"}')[0]
        measures.append(Measure("status of a plain request afterwards", alive, "", at_most(200)))
        said = endpoint.log_file.read_text()
        measures.append(Measure("failures in the log", said.count("request failed"), "", at_most(0)))
    return report("requests", measures, machine)


if __name__ == "__main__":
    sys.exit(main())
