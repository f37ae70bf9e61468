"""The bodies of `POST /predict` and `POST /invocations`: pydantic models, checked and documented by FastAPI.

Models hold the shape; `texts_of` holds the limits on what the texts are. Does not know what becomes of
the texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, assert_never

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from model.bundle.texts import WHITE_SPACE
from serving.http.body import Limits, Refused

TEXT_COLUMN = "text"
"""Column that holds the texts in MLflow's formats, unless there is only one."""
FORMATS = ("dataframe_split", "dataframe_records", "inputs", "instances")
"""MLflow's scoring formats: the field of a body of `POST /invocations` that holds the texts."""

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1, "pattern": f"[^{WHITE_SPACE}]"}
_ROW: dict[str, Any] = {"type": "object", "properties": {"text": _TEXT}, "required": ["text"]}
_COLUMN: dict[str, Any] = {"type": "array", "items": _TEXT, "minItems": 1}

Text = Annotated[str, WithJsonSchema(_TEXT)]
Row = Annotated[dict[str, Any], WithJsonSchema(_ROW)]
"""One example by column."""
Texts = Annotated[list[Text], Field(fail_fast=True), WithJsonSchema(_COLUMN)]
Rows = Annotated[
    list[Text | Row], Field(fail_fast=True), WithJsonSchema({**_COLUMN, "items": {"anyOf": [_TEXT, _ROW]}})
]
Heads = Annotated[list[str], Field(fail_fast=True, min_length=1)]


class _Body(BaseModel):
    """JSON types are taken as they are; unknown fields are refused."""

    model_config = ConfigDict(strict=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _only_known_fields(cls, raw: Any) -> Any:
        # Before pydantic looks: it would describe each of the unknown fields of a large body.
        if isinstance(raw, dict) and not raw.keys() <= cls.model_fields.keys():
            known = ", ".join(sorted(cls.model_fields))
            raise PydanticCustomError("unknown_field", "known fields are {known}", {"known": known})
        return raw


class PredictRequest(_Body):
    """One text or a list of them."""

    texts: Text | Texts
    all: bool = False
    """Give the probability of every label, too."""
    heads: Heads | None = None
    """Which heads to answer; by default all."""


class Params(_Body):
    """MLflow's inference parameters."""

    all: bool = False
    """Give the probability of every label, too."""
    heads: Heads | None = None
    """Which heads to answer; by default all."""


class _Invocation(_Body):
    params: Params | None = None


class Split(_Body):
    """A table: the names of its columns, and its rows."""

    columns: Annotated[
        list[Any],
        WithJsonSchema(
            {"type": "array", "items": {"const": TEXT_COLUMN, "type": "string"}, "minItems": 1, "maxItems": 1}
        ),
    ]
    data: Annotated[
        list[list[Any]],
        Field(fail_fast=True),
        WithJsonSchema({"type": "array", "items": {**_COLUMN, "maxItems": 1}, "minItems": 1}),
    ]
    index: Any = None


class SplitInvocation(_Invocation):
    """`{"dataframe_split": {"columns": ["text"], "data": [["…"], …]}}`."""

    dataframe_split: Split


class RecordsInvocation(_Invocation):
    """`{"dataframe_records": [{"text": "…"}, …]}`."""

    dataframe_records: Rows


class InstancesInvocation(_Invocation):
    """`{"instances": ["…", …]}` or `{"instances": [{"text": "…"}, …]}`."""

    instances: Rows


class InputsInvocation(_Invocation):
    """`{"inputs": "…"}`, or a list as in `instances`, or `{"inputs": {"text": ["…", …]}}`."""

    inputs: Text | Rows | Row


Invocation = SplitInvocation | RecordsInvocation | InputsInvocation | InstancesInvocation


def _format(raw: Any) -> str | None:
    given = [name for name in FORMATS if name in raw] if isinstance(raw, dict) else []
    return given[0] if len(given) == 1 else None


class InvocationsRequest(
    RootModel[
        Annotated[
            Annotated[SplitInvocation, Tag("dataframe_split")]
            | Annotated[RecordsInvocation, Tag("dataframe_records")]
            | Annotated[InputsInvocation, Tag("inputs")]
            | Annotated[InstancesInvocation, Tag("instances")],
            Discriminator(
                _format,
                custom_error_type="one_format",
                custom_error_message=f"give exactly one of {', '.join(FORMATS)}",
            ),
        ]
    ]
):
    """Texts to answer, in one of MLflow's scoring formats."""


def texts_of(body: PredictRequest | Invocation, limits: Limits) -> list[str]:
    """The texts of a request, if each of them can be answered.

    Raises:
        Refused: 422, with the index of the text.
    """
    match body:
        case PredictRequest(texts=given) | InputsInvocation(inputs=given):
            texts = _column(given)
        case RecordsInvocation(dataframe_records=given) | InstancesInvocation(instances=given):
            texts = _column(given)
        case SplitInvocation():
            texts = _split_column(body.dataframe_split)
        case _:
            assert_never(body)
    if not texts:
        raise Refused(422, "no_texts", "there is no text to answer")
    if len(texts) > limits.max_texts:
        raise Refused(422, "too_many_texts", f"at most {limits.max_texts} texts a request")
    return [_checked(text, index, limits.max_chars) for index, text in enumerate(texts)]


def _column(given: str | Sequence[str | Mapping[str, Any]] | Mapping[str, Any]) -> list[Any]:
    if isinstance(given, str):
        return [given]
    if isinstance(given, Mapping):
        column = _cell(given, 0)
        return column if isinstance(column, list) else [column]
    return [row if isinstance(row, str) else _cell(row, index) for index, row in enumerate(given)]


def _cell(row: Mapping[str, Any], index: int) -> Any:
    if TEXT_COLUMN in row:
        return row[TEXT_COLUMN]
    if len(row) == 1:
        return next(iter(row.values()))
    raise Refused(422, "no_text_column", f'row {index} needs a field "{TEXT_COLUMN}"')


def _split_column(split: Split) -> list[Any]:
    if TEXT_COLUMN not in split.columns and len(split.columns) != 1:
        raise Refused(422, "no_text_column", f'"dataframe_split" needs a column "{TEXT_COLUMN}"')
    place = split.columns.index(TEXT_COLUMN) if TEXT_COLUMN in split.columns else 0
    for index, row in enumerate(split.data):
        if len(row) != len(split.columns):
            raise Refused(422, "wrong_type", f"row {index} must be a list with one value a column")
    return [row[place] for row in split.data]


def _checked(text: Any, index: int, max_chars: int) -> str:
    if not isinstance(text, str):
        raise Refused(422, "wrong_type", f"text {index} is not a string")
    if len(text) > max_chars:
        raise Refused(422, "text_too_long", f"text {index} has more than {max_chars} characters")
    if not text.strip(WHITE_SPACE):
        raise Refused(422, "text_blank", f"text {index} is blank")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # JSON can spell half of a surrogate pair (\ud800); tokenizers can't read it.
        raise Refused(422, "not_unicode", f"text {index} holds half of a surrogate pair") from None
    return text


_FIELDS = frozenset(
    name
    for model in (PredictRequest, Params, Split, SplitInvocation, RecordsInvocation, InputsInvocation)
    for name in (*model.model_fields, "instances")
)
_EXPECTED = "Input should be "


def refusal_of(errors: Sequence[Mapping[str, Any]]) -> Refused:
    """The refusal for pydantic's errors: names of fields, indices and types, and nothing that was sent."""
    deepest = max(len(error["loc"]) for error in errors)
    errors = [error for error in errors if len(error["loc"]) == deepest]
    first = errors[0]
    if first["type"] in ("unknown_field", "one_format"):
        return Refused(422, first["type"], first["msg"])
    # A place may also hold names of types, and keys that were sent.
    path = [part for part in first["loc"] if isinstance(part, int) or part in _FIELDS]
    kept = [part for at, part in enumerate(path) if isinstance(part, int) or part not in path[:at]]
    place = ".".join(str(part) for part in kept) or "body"
    if first["type"] == "missing":
        return Refused(422, f"{path[-1] if path else 'body'}_missing", f'"{place}" is missing')
    expected = dict.fromkeys(str(e["msg"]).removeprefix(_EXPECTED) for e in errors if _EXPECTED in e["msg"])
    wanted = f"must be {' or '.join(expected)}" if expected else "is not what /openapi.json describes"
    return Refused(422, "wrong_type", f'"{place}" {wanted}')
