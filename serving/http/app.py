"""The routes: models check what came in, the batcher answers, answers become JSON.

Does not know files, pointers or signals.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from serving.http.batching import Batcher, Closed
from serving.http.body import Limits, Refused, bounded_route
from serving.http.docs_page import add_docs_page
from serving.http.engine import Engine
from serving.http.heads import heads_of
from serving.http.loading import Served
from serving.http.metrics import Metrics
from serving.http.middleware import (
    FAILED,
    HEALTH_NAMES,
    READY_NAMES,
    VERSION_HEADER,
    Access,
    App,
    Envelope,
)
from serving.http.queueing import Probabilities, QueueFull
from serving.http.replies import (
    ErrorReply,
    InvocationsReply,
    PredictReply,
    ReadyReply,
    VersionReply,
    error_reply,
    invocations_reply,
    predict_reply,
    to_json,
    version_reply,
)
from serving.http.requests import InvocationsRequest, Params, PredictRequest, refusal_of, texts_of
from serving.http.v2.routes import Answer, add_v2
from serving.store.board import WorkerState

_JSON = "application/json"
_REFUSALS = {
    400: "The body is not JSON",
    401: "No valid token",
    408: "The body did not arrive in time",
    413: "The body is too large",
    415: "The body is not declared as JSON",
    422: "The body is not what is expected",
    503: "Busy, ending, or nothing serves yet; see Retry-After",
}


_METHODS = (["HEAD"], ["HEAD", "GET"])
"""Of a route whose GET there is already, and of another name of it."""

_Described = dict[int | str, dict[str, Any]]


def _replies(reply: Any, *refusals: int) -> _Described:
    """For `/openapi.json`: the reply of a route with status 200, and its refusals."""
    described: _Described = {200: {"model": reply, "description": "The reply"}}
    return described | {n: {"model": ErrorReply, "description": _REFUSALS[n]} for n in refusals}


def make_app(
    engine: Engine,
    batcher: Batcher,
    metrics: Metrics,
    *,
    limits: Limits,
    access: Access,
    draining: Callable[[], bool] = lambda: False,
    workers: Callable[[], Sequence[WorkerState]] | None = None,
) -> App:
    """The ASGI application of an endpoint.

    Args:
        engine: holds the version that serves.
        batcher: answers texts.
        metrics: counts.
        limits: how much one request may hold.
        access: who may ask, and under which prefix.
        draining: whether the endpoint is ending.
        workers: what each of several workers serves; None where this one is alone.
    """
    # FastAPI's own pages would load scripts from a CDN; `serving.http.docs_page` needs none.
    app = FastAPI(
        title="Headgate endpoint",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        root_path=access.root_path,
        strict_content_type=False,
        # Nothing of a request may leave by OpenTelemetry, whatever the environment configures.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.router.route_class = bounded_route(limits)
    _answer_refusals(app)
    answer = _answer_texts(app, engine, batcher, metrics, limits)
    _describe(app, engine, metrics, draining, workers)
    add_v2(app, engine, limits, answer, draining)
    add_docs_page(app)
    return Envelope(
        app,
        access=access,
        version=lambda: engine.served.version if engine.served else None,
        draining=draining,
        on_reply=metrics.reply,
    )


def _answer_texts(app: FastAPI, engine: Engine, batcher: Batcher, metrics: Metrics, limits: Limits) -> Answer:
    """Add the routes that texts are sent to; returns what answers them."""

    async def answer(
        texts: list[str],
        asked: PredictRequest | Params,
        render: Callable[[Served, Probabilities, bool], bytes],
    ) -> Response:
        begin = time.perf_counter()
        served = engine.served  # taken once: the whole reply comes from this version
        if served is None:
            raise Refused(503, "not_ready", engine.reason, {"Retry-After": "1"})
        heads = heads_of(asked.heads, served)
        try:
            probabilities = await batcher.answer(served, texts)
            answered = {head: probabilities[head] for head in heads}
            body = render(served, answered, asked.all)
            metrics.answered(served, answered, time.perf_counter() - begin)
        except QueueFull as full:
            wait = {"Retry-After": str(full.retry_after_s)}
            raise Refused(503, "busy", "too many texts wait for the model; ask again later", wait) from None
        except Closed:
            raise Refused(503, "ending", "the endpoint is ending", {"Retry-After": "1"}) from None
        except Exception:
            metrics.failed(served)
            raise
        return Response(body, media_type=_JSON, headers={VERSION_HEADER: str(served.version)})

    @app.post("/predict", responses=_replies(PredictReply, *_REFUSALS), response_model=None)
    async def predict(body: PredictRequest) -> Response:
        """For every text and head: labels with probabilities."""
        return await answer(texts_of(body, limits), body, predict_reply)

    @app.post("/invocations", responses=_replies(InvocationsReply, *_REFUSALS), response_model=None)
    async def invocations(body: InvocationsRequest) -> Response:
        """The answers of `POST /predict` in MLflow's scoring format."""
        asked = body.root
        return await answer(texts_of(asked, limits), asked.params or Params(), invocations_reply)

    return answer


def _describe(
    app: FastAPI,
    engine: Engine,
    metrics: Metrics,
    draining: Callable[[], bool],
    workers: Callable[[], Sequence[WorkerState]] | None,
) -> None:
    """Add the routes that describe the endpoint."""

    # HEAD is what some load balancers ask with; the schema has the routes once.
    @app.get("/health", responses=_replies(dict[str, str]), response_model=None)
    async def health() -> Response:
        """Whether the process is alive, whatever it serves."""
        return Response(to_json({"status": "alive"}), media_type=_JSON)

    not_ready: _Described = {
        503: {"model": ReadyReply, "description": "Nothing serves, or the endpoint is ending"}
    }

    @app.get("/ready", responses=_replies(ReadyReply) | not_ready, response_model=None)
    async def ready() -> Response:
        """Whether a version serves, and why what the pointer asks for does not."""
        served, refusal = engine.served, engine.refusal
        is_ready = served is not None and not draining()
        body: ReadyReply = {
            "ready": is_ready,
            "name": engine.folder.name,
            "version": served.version if served else None,
            "draining": draining(),
            "refused": dataclasses.asdict(refusal) if refusal is not None else None,
        }
        if workers is not None:
            states = workers()
            body["workers"] = [
                {"worker": w.worker, "version": w.version, "refused": w.refused} for w in states
            ]
            body["refused"] = next((w.refused for w in states if w.refused is not None), None)
        if not is_ready:
            body["reason"] = "the endpoint is ending" if draining() else engine.reason
        return Response(to_json(body), 200 if is_ready else 503, media_type=_JSON)

    for path in ("/health", *HEALTH_NAMES):
        app.add_api_route(path, health, methods=_METHODS[path != "/health"], include_in_schema=False)
    for path in ("/ready", *READY_NAMES):
        app.add_api_route(path, ready, methods=_METHODS[path != "/ready"], include_in_schema=False)

    @app.get("/version", responses=_replies(VersionReply, 401, 503), response_model=None)
    async def version() -> Response:
        """What serves and on what grounds."""
        served = engine.served
        if served is None:
            raise Refused(503, "not_ready", engine.reason, {"Retry-After": "1"})
        return Response(version_reply(served), media_type=_JSON)

    unauthorized: _Described = {401: {"model": ErrorReply, "description": _REFUSALS[401]}}

    @app.get("/metrics", response_class=PlainTextResponse, responses=unauthorized, response_model=None)
    async def prometheus() -> Response:
        """Counters and gauges in Prometheus' text format."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _answer_refusals(app: FastAPI) -> None:
    """Every refusal and failure is one small reply of the same shape."""

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        body = error_reply(error.code, error.message)
        return Response(body, error.status_code, media_type=_JSON, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        # FastAPI's own handler echoes the body, and fails on NaN and lone surrogates in it.
        return await refused(request, refusal_of(error.errors()))

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        # Unknown routes and methods. The default replies are harmless, but of another shape.
        body = error_reply("no_such_route" if error.status_code == 404 else "refused", "see /openapi.json")
        return Response(body, error.status_code, media_type=_JSON, headers=error.headers)

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        # Raised again after this reply, so that the envelope logs it.
        return Response(FAILED, 500, media_type=_JSON)
