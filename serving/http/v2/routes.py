"""The routes of the Open Inference Protocol V2; refusals have the protocol's shape, one sentence.

Does not know tensors (`serving.http.v2.tensors`) or how texts are answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from typing_extensions import TypedDict

from serving.http.body import Limits, Refused, bounded_route
from serving.http.engine import Engine
from serving.http.loading import Served
from serving.http.queueing import Probabilities
from serving.http.replies import to_json
from serving.http.requests import Params, PredictRequest, texts_of
from serving.http.v2.tensors import (
    REQUEST_SCHEMA,
    InferReply,
    ModelReply,
    about_model,
    heads_asked,
    read_request,
    reply_tensors,
)

_JSON = "application/json"
_JSON_BYTES = b"inference-header-content-length"
"""Request header: how much of a body is JSON, where strings follow as bytes."""

Answer = Callable[
    [list[str], PredictRequest | Params, Callable[[Served, Probabilities, bool], bytes]], Awaitable[Response]
]
"""Answers texts with what is rendered of the probabilities."""


class V2Error(TypedDict):
    """Body of every refusal."""

    error: str


class ServerReply(TypedDict):
    """Reply of `GET /v2`."""

    name: str
    version: str
    extensions: list[str]


def add_v2(
    app: FastAPI,
    engine: Engine,
    limits: Limits,
    answer: Answer,
    draining: Callable[[], bool],
) -> None:
    """Add the protocol's routes.

    Args:
        app: where to.
        engine: holds the version that serves.
        limits: how much one request may hold.
        answer: answers texts.
        draining: whether the endpoint is ending.
    """
    router = APIRouter(prefix="/v2", route_class=_route(limits), tags=["Open Inference Protocol V2"])
    _add_health(router, engine, draining)
    _add_models(router, engine, limits, answer)
    app.include_router(router)


def _add_health(router: APIRouter, engine: Engine, draining: Callable[[], bool]) -> None:
    def ready() -> Response:
        is_ready = engine.served is not None and not draining()
        return Response(status_code=200 if is_ready else 503)

    @router.get("", responses={200: {"model": ServerReply}}, response_model=None)
    async def server() -> Response:
        """What answers here."""
        said: ServerReply = {"name": "headgate", "version": "2", "extensions": ["binary_tensor_data"]}
        return Response(to_json(said), media_type=_JSON)

    @router.get("/health/live", response_class=Response)
    async def live() -> Response:
        """Whether the process is alive."""
        return Response()

    @router.get("/health/ready", response_class=Response, responses={503: {"description": "Not ready"}})
    async def server_ready() -> Response:
        """Whether a version serves."""
        return ready()

    for path in ("/models/{name}/ready", "/models/{name}/versions/{version}/ready"):

        @router.get(path, response_class=Response, include_in_schema=False)
        async def model_ready(name: str, version: str | None = None) -> Response:
            """Whether this model, in this version, serves."""
            if engine.served is not None:
                _served(engine, name, version)
            return ready()


def _add_models(router: APIRouter, engine: Engine, limits: Limits, answer: Answer) -> None:
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": V2Error, "description": what}
        for status, what in {
            400: "Not what the protocol says",
            404: "Another model or version",
            408: "The body did not arrive in time",
            413: "The body is too large",
            422: "A text can't be answered",
            503: "Busy, ending, or nothing serves yet",
        }.items()
    }
    body = {"requestBody": {"content": {_JSON: {"schema": dict(REQUEST_SCHEMA)}}, "required": True}}

    async def infer(request: Request, name: str, version: str | None = None) -> Response:
        """Answer a tensor of texts: labels and probabilities of every head."""
        served = _served(engine, name, version)
        given = dict(request.scope["headers"]).get(_JSON_BYTES)
        if given is not None and not given.isdigit():
            raise Refused(400, "not_v2", "Inference-Header-Content-Length is not a number")
        asked, texts = read_request(await request.body(), None if given is None else int(given[:12]))
        texts = texts_of(PredictRequest.model_construct(texts=texts, all=False, heads=None), limits)
        heads = heads_asked(asked, served.bundle.card.heads)

        def render(now: Served, probabilities: Probabilities, _: bool) -> bytes:
            wanted = {output.name for output in asked.outputs}
            reply: InferReply = {
                "model_name": now.manifest.name,
                "model_version": str(now.version),
                "outputs": reply_tensors(now.bundle, probabilities, wanted),
            }
            if asked.id:
                reply["id"] = asked.id
            return to_json(reply)

        return await answer(texts, Params.model_construct(all=False, heads=heads), render)

    async def about(name: str, version: str | None = None) -> Response:
        """What the model takes and gives: tensors, labels."""
        served = _served(engine, name, version)
        return Response(
            to_json(about_model(served.manifest.name, served.version, served.bundle)), media_type=_JSON
        )

    for path, shown in (("/models/{name}", True), ("/models/{name}/versions/{version}", False)):
        router.get(
            path,
            include_in_schema=shown,
            responses={200: {"model": ModelReply}, **refusals},
            response_model=None,
        )(about)
        router.post(
            path + "/infer",
            include_in_schema=shown,
            responses={200: {"model": InferReply}, **refusals},
            response_model=None,
            openapi_extra=body,
        )(infer)


def _served(engine: Engine, name: str, version: str | None) -> Served:
    """What serves, if it is what was asked for.

    Raises:
        Refused: 404 or 503.
    """
    served = engine.served
    if served is None:
        raise Refused(503, "not_ready", engine.reason, {"Retry-After": "1"})
    if name != served.manifest.name or version not in (None, "", str(served.version)):
        here = f"model {served.manifest.name}, version {served.version}"
        raise Refused(404, "no_such_model", f"here serves {here}")
    return served


def _route(limits: Limits) -> type[APIRoute]:
    """The class of these routes: bodies are bounded, and refusals as the protocol has them."""

    class V2Route(bounded_route(limits)):  # type: ignore[misc]
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handle_v2(request: Request) -> Response:
                # Clients of the protocol name no media type, or that of bytes.
                headers = [pair for pair in request.scope["headers"] if pair[0] != b"content-type"]
                try:
                    return await handle(Request({**request.scope, "headers": headers}, request.receive))  # type: ignore[no-any-return]
                except Refused as refused:
                    said: V2Error = {"error": refused.message}
                    return Response(
                        to_json(said), refused.status_code, media_type=_JSON, headers=refused.headers
                    )

            return handle_v2

    return V2Route
