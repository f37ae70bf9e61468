"""Where and how the shipped model answers: the `deploy` section of the YAML schema (stdlib only).

Does not know how the endpoint is started (`serving.process`) or what it loads (`serving.http.engine`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from model.spec import SCHEMA_CONFIG, Pattern, Range

ENDPOINT = "endpoint"
"""The target that is this project's own endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeSpec:
    """How long a version that was just deployed is watched, and what takes it back. A bound counts as broken
    only beyond doubt, at 99% for all of them and all looks together."""

    __pydantic_config__ = SCHEMA_CONFIG

    minutes: Annotated[float, Range(gt=0, le=1440)] = 30.0
    """How long it is watched after the swap, in minutes. The run goes on for so long."""
    max_error_share: Annotated[float, Range(ge=0, lt=1)] = 0.01
    """Largest share of requests at which the version fails (status 500). What the endpoint refuses (503 when
    it is busy, 4xx for what a client got wrong) counts neither way."""
    max_p95_ratio: Annotated[float, Range(ge=1)] = 1.5
    """Largest p95 of the time from a request's texts to its answer, over that of the former version at the
    same endpoint; not judged where that had answered fewer than `min_requests`."""
    max_label_shift: Annotated[float, Range(gt=0, lt=1)] = 0.1
    """Largest distance of a label's share among a head's answers from its share among the answers to the test
    rows: 0.1 allows 30% where 20% were seen."""
    min_requests: Annotated[int, Range(ge=1)] = 200
    """Requests without which time and labels are not judged, and the run says that traffic was too little to
    tell. Failures beyond doubt count at any number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploySpec:
    """Where the endpoint listens and how much it takes on at once."""

    __pydantic_config__ = SCHEMA_CONFIG

    target: str = ENDPOINT
    """`endpoint`: the HTTP endpoint of this project, started on this machine. Anything else: the target of an
    installed `mlflow.deployments` plugin, which gets the registered version once it is approved."""
    target_config: Mapping[str, str] = field(default_factory=dict)
    """What a plugin's target is given as its config; `${VARIABLE}` is replaced from the environment when it
    is deployed, which is how a token gets there. Not used by `endpoint`."""
    verify_target: bool = True
    """Whether a plugin's target must answer the golden texts as the bundle does, or the former version
    returns. Turn it off for targets that cannot be asked."""
    host: str = "127.0.0.1"
    """Address to listen on. Loopback, because whoever reaches the port may ask; set `token_file` before
    you open it to a network."""
    port: Annotated[int, Range(ge=0, le=65535)] = 8808
    """Port to listen on. Fixed, so that clients find it again; 0 takes any free one. A port that is
    taken is an error: the endpoint does not move to another."""
    threads: Annotated[int, Range(ge=1)] = 2
    """CPU threads of the model. Keep it equal to `gates.latency_threads`: that is what was measured."""
    workers: Annotated[int, Range(ge=1, le=64)] = 1
    """Processes that share the port, for more cores than `threads` uses well. Each loads the model and
    follows the release folder by itself: memory grows with them, and during a swap two replies in a row
    may come from different versions. A deployment waits until all of them serve the new one."""
    worker_timeout_s: Annotated[float, Range(ge=2)] = 10.0
    """A worker beside others whose loop has not turned for so long, in seconds, is ended and started again:
    it is stopped, or hangs, and the connections that it was given wait. What it had accepted is lost."""
    max_batch: Annotated[int, Range(ge=1)] = 32
    """Most texts in one forward pass. On CPU larger batches gain little and delay whoever waits."""
    batch_wait_ms: Annotated[float, Range(ge=0, le=1000)] = 1.0
    """How long a batch waits for further requests, in milliseconds, and only while others are under way: a
    lone request never waits."""
    queue_limit: Annotated[int, Range(ge=1)] = 256
    """Most texts that wait for the model. Beyond it requests get 503 and `Retry-After`: a queue that is
    longer than a client's patience only produces answers that nobody reads. One request may take at most
    half of the room that is left, so that small ones find some while large ones fill the queue."""
    max_body_bytes: Annotated[int, Range(ge=1)] = 1_048_576
    """Largest request body, in bytes; beyond it 413. One MiB is some 250 pages of text."""
    max_texts: Annotated[int, Range(ge=1)] = 256
    """Most texts in one request; beyond it 422."""
    max_chars: Annotated[int, Range(ge=1)] = 20_000
    """Longest text, in characters; beyond it 422. The model reads only its first `max_length` tokens."""
    keep_alive_s: Annotated[float, Range(gt=0)] = 75.0
    """How long a connection may stay idle between two requests, in seconds. Longer than proxies keep theirs
    (nginx and most others: 60), or they send a request on a connection that is being closed."""
    request_timeout_s: Annotated[float, Range(gt=0)] = 20.0
    """How long a client may take to send the header of a request, from the opening of the connection on; then
    its body; then to take the reply, in seconds each. The connection is closed after it."""
    max_connections: Annotated[int, Range(ge=8)] = 1000
    """Most open connections of each worker; fewer where the limit of open files (`ulimit -n`) is lower. One
    more closes the connection that has waited longest without a whole request."""
    root_path: Annotated[str, Pattern(r"(/[A-Za-z0-9._~-]+)*")] = ""
    """Prefix under which a proxy shows the endpoint, such as `/models/support`; in `servers` of
    `/openapi.json`. Requests are answered whether the proxy takes it off or not."""
    log_max_bytes: Annotated[int, Range(ge=65_536)] = 16_777_216
    """Size beyond which the log is begun anew, in bytes; the former one is kept beside it as `.1`."""
    token_file: str | None = None
    """File (mode 0600) with the bearer token that requests must carry; a relative path starts from the
    configuration's folder. None: no token is asked for."""
    traces_url: Annotated[str, Pattern(r"https?://[^@\s]+")] | None = None
    """Where OpenTelemetry spans go, one a request: a collector's address for OTLP over HTTP, such as
    `http://collector:4318/v1/traces`. They hold method, route, status and version, no text and no answer.
    Needs the extra `traces`; headers with credentials come from `OTEL_EXPORTER_OTLP_HEADERS`. None: no
    traces."""
    traces_share: Annotated[float, Range(ge=0, le=1)] = 1.0
    """Share of the requests without a trace of their caller's that become spans."""
    max_answer_ms: Annotated[float, Range(gt=0)] = 1000.0
    """Longest that one text may take when a new version is tried before it serves, in milliseconds
    (median of five); a slower version is refused."""
    keep_versions: Annotated[int, Range(ge=2)] = 5
    """The older name of `keep.versions`, which it is equal to."""
    poll_s: Annotated[float, Range(gt=0, le=60)] = 0.5
    """Pause between two looks of the endpoint for a new version, in seconds. One look is one `stat`."""
    bake: BakeSpec | None = None
    """Whether a version that was just deployed is watched, and taken back where its answers to real requests
    break a bound; `bake: {}` watches with the defaults. Not of a first version, which has none to go back
    to. None: it is not watched."""
    start_timeout_s: Annotated[float, Range(gt=0)] = 60.0
    """How long a start, and also a swap, may take before it counts as failed, in seconds: until the endpoint
    serves the wanted version."""
    wait_poll_s: Annotated[float, Range(gt=0, le=10)] = 0.05
    """Pause between two looks at an endpoint whose start, swap or end is waited for, in seconds."""
    drain_timeout_s: Annotated[float, Range(gt=0)] = 30.0
    """How long a stopping endpoint may take to answer what it has accepted, in seconds."""
