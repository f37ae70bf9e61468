"""What a request may look like, and the small refusals for all others.

Every refusal is a fixed sentence with figures of our own: nothing that was sent is ever sent back.
Does not know what is done with the texts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

TEXT_COLUMN = "text"
"""Column that holds the texts in MLflow's formats, unless there is only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one request may hold."""

    max_body_bytes: int = 1_048_576
    """Largest body, in bytes."""
    max_texts: int = 256
    """Most texts."""
    max_chars: int = 20_000
    """Longest text, in characters."""
    body_timeout_s: float = 20.0
    """How long a client may take to send the body, in seconds."""


class Refused(Exception):
    """A request that is not answered: status, code and sentence of the reply."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status, 4xx or 503."""
        self.code = code
        """One word for programs."""
        self.message = message
        """One sentence for people."""
        self.headers = dict(headers or {})
        """Further reply headers."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for."""

    texts: list[str]
    everything: bool
    """Give the probability of every label, too."""


async def read_json(request: Request, limits: Limits) -> dict[str, Any]:
    """The JSON object in a request's body.

    Raises:
        Refused: 400, 408, 413, 415 or 422.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "unsupported_media_type", "send the body as application/json")
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            body = await _read_body(request, limits.max_body_bytes)
    except TimeoutError:
        raise Refused(408, "body_too_slow", "the body did not arrive in time") from None
    except ClientDisconnect:
        raise Refused(400, "body_incomplete", "the body is incomplete") from None
    try:
        payload = json.loads(body.decode("utf-8"), parse_constant=_not_finite)
    except UnicodeDecodeError:
        raise Refused(400, "not_utf8", "the body is not UTF-8") from None
    except (ValueError, RecursionError):
        raise Refused(
            400, "not_json", "the body is not JSON (NaN and infinity are not JSON either)"
        ) from None
    if not isinstance(payload, dict):
        raise Refused(422, "not_an_object", "the body must be a JSON object")
    return payload


async def _read_body(request: Request, limit: int) -> bytes:
    too_large = Refused(
        413, "body_too_large", f"the body may hold at most {limit} bytes", {"Connection": "close"}
    )
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large
    return bytes(body)


def _not_finite(literal: str) -> NoReturn:
    raise ValueError(literal)


def predict_request(payload: Mapping[str, Any], limits: Limits) -> Asked:
    """`{"texts": "…" | ["…", …], "all": false}`.

    Raises:
        Refused: 422, naming the field.
    """
    _only(payload, {"texts", "all"})
    if "texts" not in payload:
        raise Refused(422, "texts_missing", '"texts" is missing: a string or a list of strings')
    texts = payload["texts"]
    return Asked(
        _checked([texts] if isinstance(texts, str) else texts, limits), _flag(payload.get("all", False))
    )


def invocations_request(payload: Mapping[str, Any], limits: Limits) -> Asked:
    """MLflow's scoring formats: exactly one of `dataframe_split`, `dataframe_records`, `inputs` and
    `instances`, and `params` with at most `all`.

    Raises:
        Refused: 422, naming the field.
    """
    formats = {
        "dataframe_split": _split_texts,
        "dataframe_records": _record_texts,
        "inputs": _column_texts,
        "instances": _record_texts,
    }
    _only(payload, {*formats, "params"})
    given = [name for name in formats if name in payload]
    if len(given) != 1:
        raise Refused(422, "one_format", f"give exactly one of {', '.join(formats)}")
    params = payload.get("params")
    params = {} if params is None else params
    if not isinstance(params, dict):
        raise Refused(422, "wrong_type", '"params" must be an object')
    _only(params, {"all"})
    texts = formats[given[0]](payload[given[0]], given[0])
    return Asked(_checked(texts, limits), _flag(params.get("all", False)))


def _split_texts(value: Any, name: str) -> Any:
    """`{"columns": ["text"], "data": [["…"], …]}`."""
    if not isinstance(value, dict) or not {"columns", "data"} <= set(value) <= {"columns", "data", "index"}:
        raise Refused(422, "wrong_type", f'"{name}" must hold "columns" and "data" (and may hold "index")')
    columns, data = value["columns"], value["data"]
    if not isinstance(columns, list) or not isinstance(data, list):
        raise Refused(422, "wrong_type", f'"columns" and "data" of "{name}" must be lists')
    if TEXT_COLUMN in columns:
        place = columns.index(TEXT_COLUMN)
    elif len(columns) == 1:
        place = 0
    else:
        raise Refused(422, "no_text_column", f'"{name}" needs a column "{TEXT_COLUMN}"')
    for index, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            raise Refused(422, "wrong_type", f"row {index} must be a list with one value a column")
    return [row[place] for row in data]


def _record_texts(value: Any, name: str) -> Any:
    """`["…", …]` or `[{"text": "…"}, …]`."""
    if not isinstance(value, list):
        raise Refused(422, "wrong_type", f'"{name}" must be a list')
    return [_of_record(row, index) if isinstance(row, dict) else row for index, row in enumerate(value)]


def _column_texts(value: Any, name: str) -> Any:
    """`"…"`, `["…", …]`, `[{"text": "…"}, …]` or `{"text": ["…", …]}`."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        column = _of_record(value, 0)
        return [column] if isinstance(column, str) else column
    return _record_texts(value, name)


def _of_record(record: Mapping[str, Any], index: int) -> Any:
    if TEXT_COLUMN in record:
        return record[TEXT_COLUMN]
    if len(record) == 1:
        return next(iter(record.values()))
    raise Refused(422, "no_text_column", f'row {index} needs a field "{TEXT_COLUMN}"')


def _checked(texts: Any, limits: Limits) -> list[str]:
    if not isinstance(texts, list):
        raise Refused(422, "wrong_type", "texts must be a string or a list of strings")
    if not texts:
        raise Refused(422, "no_texts", "there is no text to answer")
    if len(texts) > limits.max_texts:
        raise Refused(422, "too_many_texts", f"at most {limits.max_texts} texts a request")
    for index, text in enumerate(texts):
        _check_text(text, index, limits.max_chars)
    return texts


def _check_text(text: Any, index: int, max_chars: int) -> None:
    if not isinstance(text, str):
        raise Refused(422, "wrong_type", f"text {index} is not a string")
    if len(text) > max_chars:
        raise Refused(422, "text_too_long", f"text {index} has more than {max_chars} characters")
    if not text.strip():
        raise Refused(422, "text_blank", f"text {index} is blank")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # JSON can spell half of a surrogate pair (\ud800); tokenizers can't read it.
        raise Refused(422, "not_unicode", f"text {index} holds half of a surrogate pair") from None


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Refused(422, "wrong_type", '"all" must be true or false')
    return value


def _only(payload: Mapping[str, Any], known: Sequence[str] | set[str]) -> None:
    if not set(payload) <= set(known):
        raise Refused(422, "unknown_field", f"known fields are {', '.join(sorted(known))}")
