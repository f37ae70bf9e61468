"""The card of a bundle, `card.json`: what it answers, how, and where it comes from; and its schema.

Needs the standard library only. Does not know the graph or the tokenizer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast, get_args

from .errors import CardError
from .texts import PREPARATION, PREPARATIONS, TextPreparation

SCHEMA_VERSION = 1

# Each closed set is declared once; every dispatch over one is exhaustive (`match` with `assert_never`).
HeadKind = Literal["multiclass", "multilabel"]
MetricName = Literal["accuracy", "macro_f1", "micro_f1", "subset_accuracy"]
Engine = Literal["onnxruntime", "openvino"]
Compute = Literal["float32", "bfloat16"]
Weights = Literal["float32", "blocks", "rows", "columns"]
Precision = Literal["float32", "int8", "int8_rows", "openvino_float32", "openvino_bfloat16", "openvino_int8"]
KINDS: tuple[HeadKind, ...] = get_args(HeadKind)
METRICS: tuple[MetricName, ...] = get_args(MetricName)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a precision means for whoever answers in it."""

    engine: Engine
    """What runs the graph."""
    weights: Weights
    """How `model.onnx` holds the weights of its products: `float32`; 8-bit in `blocks` with a scale each, the
    activations by blocks too; 8-bit with a scale a column, the activations 8-bit with a scale a row (`rows`);
    8-bit with a scale a column and nothing said of the activations (`columns`)."""
    compute: Compute = "float32"
    """Precision of sums, and of products that are not 8-bit."""


PROFILES: Mapping[Precision, Profile] = {
    "float32": Profile("onnxruntime", "float32"),
    "int8": Profile("onnxruntime", "blocks"),
    "int8_rows": Profile("onnxruntime", "rows"),
    "openvino_float32": Profile("openvino", "float32"),
    "openvino_bfloat16": Profile("openvino", "float32", "bfloat16"),
    "openvino_int8": Profile("openvino", "columns"),
}
HEAD_NAME = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadCard:
    """One head of a bundle: how its logits become an answer."""

    kind: HeadKind
    """`multiclass` (softmax) or `multilabel` (sigmoid)."""
    labels: tuple[str, ...]
    """Names in the order of the graph's output for this head."""
    temperature: float
    """Logits are divided by it before softmax or sigmoid."""
    thresholds: tuple[float, ...] | None
    """Multilabel: a label applies from this probability on, one a label. Multiclass: none."""
    metric: MetricName
    """Primary metric, which the gate compares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The content of `card.json`."""

    name: str
    """Name of the registered model, or `baseline-HEAD`."""
    heads: dict[str, HeadCard]
    """Name → head, in the order in which they are listed everywhere."""
    max_length: int
    """Longest text in tokens; the rest is cut."""
    precision: Precision
    """Which engine answers, by which weights and in which precision (`PROFILES`): as it was judged."""
    precision_reason: str
    """Why this precision, with figures."""
    text_preparation: TextPreparation = PREPARATION
    """How texts become those that are tokenised (`texts`)."""
    threads: int | None = None
    """CPU threads at which the precision was chosen; None in a card that is older than the field."""
    metrics: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """Where measured (`validation`, …) → head → name → figure, finite."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Where it comes from: dataset fingerprint, code digest, backbone, recipe, versions."""
    data_profile: dict[str, Any] | None = None
    """Profile of the training data, for drift checks."""

    def to_json(self) -> dict[str, Any]:
        """The card as JSON; fields that are `None` are left out."""
        raw = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        raw["heads"] = {
            name: {k: v for k, v in head.items() if v is not None} for name, head in raw["heads"].items()
        }
        return {k: v for k, v in raw.items() if v is not None}


def card_from_json(raw: Any, *, where: str) -> Card:
    """A card from what `json.load` gives. `where` names the file in messages.

    Raises:
        CardError: a field is missing, unknown or out of bounds; all such fields are named at once.
    """
    reader = _Reader(where)
    body = reader.mapping(raw, "", required=CARD_FIELDS - OPTIONAL, known=CARD_FIELDS)
    reader.check(body.get("schema_version") == SCHEMA_VERSION, "schema_version", body, f"{SCHEMA_VERSION}")
    reader.check(_text(body.get("name")), "name", body, "a name")
    reader.check(_count(body.get("max_length"), 2), "max_length", body, "a whole number from 2 on")
    reader.check(body.get("precision") in PRECISIONS, "precision", body, " or ".join(PRECISIONS))
    reader.check(_text(body.get("precision_reason")), "precision_reason", body, "a sentence")
    preparation = body.get("text_preparation", "as_given")  # a card that does not say is older than the field
    reader.check(preparation in PREPARATIONS, "text_preparation", body, " or ".join(PREPARATIONS))
    if "threads" in body:
        reader.check(_count(body["threads"], 1), "threads", body, "a whole number from 1 on")
    for part in ("metrics", "provenance", *(["data_profile"] if "data_profile" in body else [])):
        reader.check(isinstance(body.get(part), Mapping), part, body, "an object")
    heads = body.get("heads")
    reader.check(isinstance(heads, Mapping) and bool(heads), "heads", body, "at least one head")
    parsed = {}
    for name, head in (heads if isinstance(heads, Mapping) else {}).items():
        parsed[name] = _head(reader, name, head)
    _finite_figures(reader, body.get("metrics"))
    reader.raise_if_any()
    return Card(
        name=body["name"],
        heads={name: head for name, head in parsed.items() if head is not None},
        max_length=body["max_length"],
        precision=body["precision"],
        precision_reason=body["precision_reason"],
        text_preparation=preparation,
        threads=body.get("threads"),
        metrics=body["metrics"],
        provenance=dict(body["provenance"]),
        data_profile=body.get("data_profile"),
    )


CARD_FIELDS = {
    *("schema_version", "name", "heads", "max_length", "precision", "precision_reason"),
    *("text_preparation", "threads", "metrics", "provenance", "data_profile"),
}
OPTIONAL = {"text_preparation", "threads", "data_profile"}


def _head(reader: _Reader, name: str, raw: Any) -> HeadCard | None:
    at = f"heads.{name}"
    required = {"kind", "labels", "temperature", "metric"}
    head = reader.mapping(raw, at, required=required, known={*required, "thresholds"})
    before = len(reader.problems)
    reader.check(HEAD_NAME.fullmatch(name) is not None, at, {}, "a name of a-z, 0-9 and _")
    kind, labels, thresholds = head.get("kind"), head.get("labels"), head.get("thresholds")
    reader.check(kind in KINDS, f"{at}.kind", head, " or ".join(KINDS))
    least = 2 if kind == "multiclass" else 1
    fine = isinstance(labels, list) and len(labels) >= least and all(isinstance(x, str) for x in labels)
    reader.check(fine, f"{at}.labels", head, f"a list of {least} or more names")
    if fine:
        reader.check(len(set(labels)) == len(labels), f"{at}.labels", {}, "each label once")  # type: ignore[arg-type]
    reader.check(_number(head.get("temperature"), above=0.0), f"{at}.temperature", head, "a number above 0")
    reader.check(head.get("metric") in METRICS, f"{at}.metric", head, " or ".join(METRICS))
    if kind == "multilabel":
        numbers = isinstance(thresholds, list) and all(_number(x, least=0.0, most=1.0) for x in thresholds)
        size = len(labels) if isinstance(labels, list) else 0
        reader.check(
            numbers and len(thresholds or ()) == size, f"{at}.thresholds", {}, f"{size} numbers from 0 to 1"
        )
    else:
        reader.check(thresholds is None, f"{at}.thresholds", {}, "none for a multiclass head")
    if len(reader.problems) > before or not head:
        return None
    return HeadCard(
        kind=cast("HeadKind", kind),
        labels=tuple(cast("list[str]", labels)),
        temperature=float(head["temperature"]),
        thresholds=None if thresholds is None else tuple(float(x) for x in thresholds),
        metric=head["metric"],
    )


def _finite_figures(reader: _Reader, metrics: Any) -> None:
    for where, heads in (metrics if isinstance(metrics, Mapping) else {}).items():
        for head, figures in (heads if isinstance(heads, Mapping) else {}).items():
            fine = isinstance(figures, Mapping) and all(_number(x) for x in figures.values())
            reader.check(fine, f"metrics.{where}.{head}", {}, "finite figures by name")


class _Reader:
    """Collects what is wrong with a JSON file, so that all of it is reported together."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.problems: list[str] = []

    def mapping(self, raw: Any, at: str, *, required: set[str], known: set[str]) -> Mapping[str, Any]:
        """`raw` as an object with all of `required` and nothing beyond `known`."""
        prefix = f"{at}." if at else ""
        if not isinstance(raw, Mapping):
            self.problems.append(f"{at or 'the file'}: seen {type(raw).__name__}, expected an object")
            return {}
        self.problems += [f"{prefix}{key}: missing" for key in sorted(required - raw.keys())]
        self.problems += [f"{prefix}{key}: no such field" for key in sorted(raw.keys() - known)]
        return raw

    def check(self, fine: bool, at: str, holder: Mapping[str, Any], expected: str) -> None:
        """Note a problem at field `at` unless `fine`; a missing field was noted before."""
        key = at.rsplit(".", 1)[-1]
        if fine or (holder and key not in holder):
            return
        seen = f"seen {str(holder[key])[:60]!r}, " if key in holder else ""
        self.problems.append(f"{at}: {seen}expected {expected}")

    def raise_if_any(self) -> None:
        """Raises: CardError: with every problem noted."""
        if self.problems:
            raise CardError(f"{self.where}: {'; '.join(self.problems)}; package the model again")


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _number(
    value: Any, *, above: float | None = None, least: float | None = None, most: float | None = None
) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and (above is None or value > above)
        and (least is None or value >= least)
        and (most is None or value <= most)
    )
