"""The parts of `/openapi.json` that FastAPI can't see, because bodies are read by `serving.limits`."""

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
