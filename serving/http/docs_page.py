"""`GET /docs`: the endpoint's own schema as a page that fetches nothing and runs nothing.

The usual pages load a script from elsewhere; this one is drawn here. Does not know what the routes do.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy of the page."""


def add_docs_page(app: FastAPI) -> None:
    """Add `GET /docs`."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(
            docs_page(app.openapi(), app.root_path),
            media_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"},
        )


@functools.cache
def _style() -> str:
    return Path(__file__).with_suffix(".css").read_text(encoding="utf-8")


def docs_page(schema: Mapping[str, Any], root_path: str = "") -> str:
    """The page of an OpenAPI schema, as text.

    Args:
        schema: the whole schema.
        root_path: prefix of the routes where a proxy shows them.
    """
    routes = [
        (method.upper(), path, about)
        for path, methods in schema["paths"].items()
        for method, about in methods.items()
    ]
    links = " ".join(f'<a href="#{number}">{escape(path)}</a>' for number, (_, path, _) in enumerate(routes))
    parts = "\n".join(
        "\n".join(_route(number, route, schema, root_path)) for number, route in enumerate(routes)
    )
    title = escape(schema["info"]["title"])
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_style()}</style></head>\n<body><header><h1>{title}</h1>\n"
        "<p>Each route with what it takes and gives, from "
        f'<a href="{escape(root_path)}/openapi.json">openapi.json</a>, which programs read. '
        "Where the endpoint asks for a token, send <code>Authorization: Bearer TOKEN</code>.</p>\n"
        f'<nav aria-label="Routes">{links}</nav></header>\n<main>\n{parts}\n</main></body></html>\n'
    )


def _route(
    number: int, route: tuple[str, str, Mapping[str, Any]], schema: Mapping[str, Any], root_path: str
) -> Iterator[str]:
    method, path, about = route
    yield f'<section id="{number}"><h2><b>{method}</b> {escape(path)}</h2>'
    yield f"<p>{escape(about.get('description') or about.get('summary', ''))}</p>"
    yield f"<h3>Try it</h3><pre>{escape(_command(method, root_path + path, about, schema))}</pre>"
    if "requestBody" in about:
        body = about["requestBody"]["content"]["application/json"]["schema"]
        yield f"<h3>Body</h3><pre>{escape(_shape(body, schema))}</pre>"
    yield "<h3>Replies</h3><table><thead>"
    yield "<tr><th scope='col'>Status</th><th scope='col'>Says</th></tr></thead><tbody>"
    for status, reply in about.get("responses", {}).items():
        shape = reply.get("content", {}).get("application/json", {}).get("schema")
        shown = f"<pre>{escape(_shape(shape, schema))}</pre>" if shape and status == "200" else ""
        yield f"<tr><td>{escape(status)}</td><td>{escape(reply.get('description', ''))}{shown}</td></tr>"
    yield "</tbody></table></section>"


def _command(method: str, path: str, about: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    command = f"curl http://127.0.0.1:PORT{path.replace('{name}', 'NAME')}"
    if "requestBody" not in about:
        return command
    body = about["requestBody"]["content"]["application/json"]["schema"]
    example = body.get("example") or {"texts": ["some text"]}
    if path.endswith("/invocations"):
        example = {"inputs": ["some text"]}
    return f"{command} -H 'Content-Type: application/json' \\\n  -d '{json.dumps(example)}'"


def _shape(part: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """A schema as JSON with types for values, references followed."""
    return json.dumps(_drawn(part, schema, 0), indent=1, ensure_ascii=False)


def _drawn(part: Mapping[str, Any], schema: Mapping[str, Any], depth: int) -> Any:
    if "$ref" in part:
        found: Any = schema
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return _drawn(found, schema, depth)
    if depth > 6:
        return "…"
    if "const" in part:
        return part["const"]
    for several in ("anyOf", "oneOf"):
        if several in part:
            kinds = [_drawn(one, schema, depth + 1) for one in part[several]]
            return " or ".join(kinds) if all(isinstance(one, str) for one in kinds) else {"one of": kinds}
    if "properties" in part:
        return {name: _drawn(one, schema, depth + 1) for name, one in part["properties"].items()}
    if part.get("type") == "array":
        return [_drawn(part.get("items", {}), schema, depth + 1)]
    if part.get("type") == "object" and isinstance(part.get("additionalProperties"), Mapping):
        return {"NAME": _drawn(part["additionalProperties"], schema, depth + 1)}
    return str(part.get("type", "any"))
