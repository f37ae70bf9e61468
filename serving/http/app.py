"""The routes. Thin: limits check what came in, the batcher answers, answers become JSON.

Does not know files, pointers or signals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from serving.http.batching import Batcher, Closed, Probabilities, QueueFull
from serving.http.engine import Engine
from serving.http.loading import Served
from serving.http.metrics import Metrics
from serving.http.middleware import FAILED, VERSION_HEADER, App, Envelope, error_body
from serving.http.openapi import INVOCATIONS, METRICS, PREDICT, READY, VERSION
from serving.http.replies import invocations_reply, predict_reply, to_json
from serving.http.requests import Asked, Limits, Refused, invocations_request, predict_request, read_json
from serving.store.board import WorkerState

_JSON = "application/json"


def make_app(
    engine: Engine,
    batcher: Batcher,
    metrics: Metrics,
    *,
    limits: Limits,
    token: str | None = None,
    draining: Callable[[], bool] = lambda: False,
    workers: Callable[[], Sequence[WorkerState]] | None = None,
) -> App:
    """The ASGI application of an endpoint.

    Args:
        engine: says which version serves.
        batcher: answers texts.
        metrics: counts.
        limits: how much one request may hold.
        token: bearer token that clients must send, or None.
        draining: whether the endpoint is ending.
        workers: what each of several workers serves; None where this one is alone.
    """
    # The pages under /docs would load scripts from a CDN; the schema itself stays at /openapi.json.
    app = FastAPI(title="Headgate endpoint", docs_url=None, redoc_url=None, redirect_slashes=False)

    async def answered(
        request: Request,
        parse: Callable[[Mapping[str, Any], Limits], Asked],
        render: Callable[[Served, Probabilities, bool], bytes],
    ) -> Response:
        asked = parse(await read_json(request, limits), limits)
        served = engine.served  # taken once: the whole reply comes from this version
        if served is None:
            raise Refused(503, "not_ready", engine.reason, {"Retry-After": "1"})
        try:
            probabilities = await batcher.answer(served, asked.texts)
        except QueueFull as full:
            wait = {"Retry-After": str(full.retry_after_s)}
            raise Refused(503, "busy", "too many texts wait for the model; ask again later", wait) from None
        except Closed:
            raise Refused(503, "ending", "the endpoint is ending", {"Retry-After": "1"}) from None
        version = {VERSION_HEADER: str(served.version)}
        return Response(render(served, probabilities, asked.everything), media_type=_JSON, headers=version)

    @app.post("/predict", openapi_extra=PREDICT)
    async def predict(request: Request) -> Response:
        """For every text and head: labels with probabilities."""
        return await answered(request, predict_request, predict_reply)

    @app.post("/invocations", openapi_extra=INVOCATIONS)
    async def invocations(request: Request) -> Response:
        """The same in MLflow's scoring format."""
        return await answered(request, invocations_request, invocations_reply)

    @app.get("/health")
    @app.get("/ping", include_in_schema=False)
    async def health() -> Response:
        """Whether the process is alive; says nothing about what it serves."""
        return Response(to_json({"status": "alive"}), media_type=_JSON)

    @app.get("/ready", openapi_extra=READY)
    async def ready() -> Response:
        """Whether a version serves, and why what the pointer asks for does not, if so."""
        served, refusal = engine.served, engine.refusal
        is_ready = served is not None and not draining()
        body = {
            "ready": is_ready,
            "name": engine.folder.name,
            "version": served.version if served else None,
            "draining": draining(),
            "refused": None
            if refusal is None
            else {"version": refusal.version, "reason": refusal.reason, "since": refusal.since},
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

    @app.get("/version", openapi_extra=VERSION)
    async def version() -> Response:
        """What serves and on what grounds."""
        served = engine.served
        if served is None:
            raise Refused(503, "not_ready", engine.reason, {"Retry-After": "1"})
        return Response(to_json(describe(served)), media_type=_JSON)

    @app.get("/metrics", response_class=PlainTextResponse, openapi_extra=METRICS)
    async def prometheus() -> Response:
        """Counters and gauges in Prometheus' text format."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        body = error_body(error.code, error.message)
        return Response(body, error.status, media_type=_JSON, headers=error.headers)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        # Unknown routes and methods. The default replies are harmless, but of another shape.
        body = error_body("no_such_route" if error.status_code == 404 else "refused", "see /openapi.json")
        return Response(body, error.status_code, media_type=_JSON, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        # FastAPI's own handler echoes the body, and fails on NaN and lone surrogates in it.
        return Response(error_body("invalid", "the request is not valid"), 422, media_type=_JSON)

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        # Raised again after this reply, so that the envelope logs it.
        return Response(FAILED, 500, media_type=_JSON)

    return Envelope(
        app,
        token=token,
        version=lambda: engine.served.version if engine.served else None,
        draining=draining,
        on_reply=metrics.reply,
    )


def describe(served: Served) -> dict[str, Any]:
    """What `GET /version` says of a version."""
    manifest, override = served.manifest, served.manifest.override
    return {
        "name": manifest.name,
        "version": manifest.version,
        "sequence": served.sequence,
        "bundle_sha256": manifest.bundle_sha256,
        "outcome": manifest.outcome,
        "override": None
        if override is None
        else {
            "reason": override.reason,
            "by": override.by,
            "expires": override.expires,
            "expired": override.expired,
        },
        "dataset_fingerprint": manifest.dataset_fingerprint,
        "code_digest": manifest.code_digest,
        "created": manifest.created,
        "since": served.since,
        "heads": {name: list(head.labels) for name, head in served.bundle.card.heads.items()},
    }
