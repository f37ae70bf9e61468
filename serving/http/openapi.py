"""The parts of `/openapi.json` that FastAPI can't see, because bodies are read by `serving.http.requests`."""

from __future__ import annotations

from typing import Any

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1, "pattern": r"\S"}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT, "minItems": 1}
_ROW: dict[str, Any] = {"type": "object", "properties": {"text": _TEXT}, "required": ["text"]}
_LABELS: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"label": {"type": "string"}, "probability": {"type": "number"}},
        "required": ["label", "probability"],
    },
}
_ANSWERS: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": {"labels": _LABELS, "probabilities": _LABELS},
            "required": ["labels"],
        },
    },
}
_ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
            "required": ["code", "message"],
        }
    },
    "required": ["error"],
}
_REFUSALS = {
    400: "The body is not JSON",
    401: "No valid token",
    408: "The body did not arrive in time",
    413: "The body is too large",
    415: "The body is not declared as JSON",
    422: "The body is not what is expected",
    503: "Busy, ending, or nothing serves yet; see Retry-After",
}


def _route(body: dict[str, Any], answers: str) -> dict[str, Any]:
    reply = {
        "type": "object",
        "properties": {"version": {"type": "integer"}, "name": {"type": "string"}, answers: _ANSWERS},
        "required": ["version", "name", answers],
    }
    responses = {"200": {"description": "The answers", "content": {"application/json": {"schema": reply}}}}
    for status, description in _REFUSALS.items():
        content = {"application/json": {"schema": _ERROR}}
        responses[str(status)] = {"description": description, "content": content}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": responses,
    }


PREDICT = _route(
    {
        "type": "object",
        "properties": {"texts": {"oneOf": [_TEXT, _TEXTS]}, "all": {"type": "boolean", "default": False}},
        "required": ["texts"],
        "additionalProperties": False,
    },
    "answers",
)
"""Body and replies of `POST /predict`."""

INVOCATIONS = _route(
    {
        "oneOf": [
            {
                "type": "object",
                "properties": {name: schema, "params": {"type": "object"}},
                "required": [name],
                "additionalProperties": False,
            }
            for name, schema in (
                (
                    "dataframe_split",
                    {
                        "type": "object",
                        "properties": {
                            "columns": {
                                "type": "array",
                                "items": {"const": "text"},
                                "minItems": 1,
                                "maxItems": 1,
                            },
                            "data": {"type": "array", "items": {**_TEXTS, "maxItems": 1}, "minItems": 1},
                        },
                        "required": ["columns", "data"],
                    },
                ),
                ("dataframe_records", {"type": "array", "items": _ROW, "minItems": 1}),
                ("inputs", {"oneOf": [_TEXT, _TEXTS]}),
                ("instances", _TEXTS),
            )
        ]
    },
    "predictions",
)
"""Body and replies of `POST /invocations`."""


_READY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "ready": {"type": "boolean"},
        "name": {"type": "string"},
        "version": {"type": ["integer", "null"]},
        "draining": {"type": "boolean"},
        "refused": {"type": ["object", "null"]},
        "reason": {"type": "string"},
        "workers": {"type": "array", "items": {"type": "object", "required": ["worker", "version"]}},
    },
    "required": ["ready", "name", "version", "draining", "refused"],
}


def _told(schema: dict[str, Any], refusals: dict[int, dict[str, Any]]) -> dict[str, Any]:
    responses = {"200": {"description": "What was asked for", "content": _json(schema)}}
    for status, body in refusals.items():
        responses[str(status)] = {"description": _REFUSALS[status], "content": _json(body)}
    return {"responses": responses}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


READY = _told(_READY, {503: _READY})
"""Replies of `GET /ready`; 503 has the body of 200, and says why."""
VERSION = _told({"type": "object", "required": ["name", "version", "override"]}, {401: _ERROR, 503: _ERROR})
"""Replies of `GET /version`."""
METRICS: dict[str, Any] = {
    "responses": {
        "200": {"description": "Prometheus' text format", "content": {"text/plain": {}}},
        "401": {"description": _REFUSALS[401], "content": _json(_ERROR)},
    }
}
"""Replies of `GET /metrics`."""
