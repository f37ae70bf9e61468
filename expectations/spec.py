"""What is expected of data and models: plain dataclasses, part of the YAML schema (stdlib only).

Does not know how an expectation is evaluated (`expectations.data_gate`, `expectations.accuracy_gate`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from model.spec import SCHEMA_CONFIG, Range, Share

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How much of a defect is tolerated, and what happens beyond that."""

    __pydantic_config__ = SCHEMA_CONFIG

    severity: Severity = "critical"
    """`critical` stops the run before training; `warning` is reported; `info` is listed only."""
    tolerance: Share = 0.0
    """Share of rows that may break the rule before it counts as broken. Defects within the tolerance
    are still named, as warnings."""


# `_rule` returns a dataclass field with a factory, so RUF009 (one default shared by all) does not apply.
# ruff: noqa: RUF009


def _rule(severity: Severity, tolerance: float = 0.0) -> Any:
    return field(default_factory=lambda: Rule(severity=severity, tolerance=tolerance))


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRules:
    """What is expected of the data before anything is trained. The defaults let real data with a few
    known defects through, as warnings that name them."""

    __pydantic_config__ = SCHEMA_CONFIG

    text_present: Rule = _rule("critical", 0.01)
    """Every row has a text. Rows without are left out of training."""
    text_not_blank: Rule = _rule("critical", 0.01)
    """No text is empty after white space is trimmed. Blank rows are left out of training."""
    text_length: Rule = _rule("warning", 0.01)
    """Texts have between `min_chars` and `max_chars` characters."""
    min_chars: Annotated[int, Range(ge=0)] = 1
    """Shortest text, in characters."""
    max_chars: Annotated[int, Range(ge=1)] = 20_000
    """Longest text, in characters."""
    labels_known: Rule = _rule("critical")
    """Every label is one of the head's. An unknown one is usually a typo or a renamed label."""
    multiclass_exactly_one: Rule = _rule("critical")
    """A labelled multiclass cell holds exactly one label."""
    coverage: Rule = _rule("critical")
    """Every head has labelled rows in every split: at least `min_rows_per_split`."""
    min_rows_per_split: Annotated[int, Range(ge=1)] = 20
    """Fewest labelled rows of a head in a split. Below 20 no metric says anything."""
    rows_per_label: Rule = _rule("warning")
    """Every label of every head has at least `min_rows_per_label` training rows."""
    min_rows_per_label: Annotated[int, Range(ge=1)] = 10
    """Fewest training rows a label."""
    single_split: Rule = _rule("warning", 0.02)
    """No text stands in two splits as given. Such texts stay in test before validation before train."""
    one_answer: Rule = _rule("critical", 0.02)
    """No text has two different answers for one head. Tolerated ones follow `split.conflicts`."""
    informative_labels: Rule = _rule("warning")
    """No label applies to every row or to no row of the training split: it could not be learned."""
    unseen_labels: Rule = _rule("critical")
    """Every label of the validation and test rows also stands in training rows."""
    two_answers: Rule = _rule("critical")
    """The training rows of a head hold at least two different answers: one alone is no question."""
    near_duplicates: Rule = _rule("warning", 0.05)
    """Few texts are almost equal to one of another split."""
    text_quality: Rule = _rule("warning", 0.01)
    """Few texts hold replacement or control characters, or UTF-8 that was read as Latin-1 (`Ã©`)."""
    truncation: Rule = _rule("warning", 0.1)
    """Few texts are longer than the model reads."""
    drift: Rule = _rule("warning")
    """Labels and text lengths are distributed as in the data that the champion was trained on. A first
    run has nothing to compare with. `tolerance` is not used: the levels below are."""
    drift_psi_warn: Annotated[float, Range(gt=0)] = 0.1
    """Population stability index (nats) from which a change is named. 0.1 and 0.25 are the levels that
    credit scoring uses; a change within sampling noise never counts."""
    drift_psi_fail: Annotated[float, Range(gt=0)] = 0.25
    """Population stability index (nats) from which the rule is broken."""
    drift_js_warn: Annotated[float, Range(gt=0, le=1)] = 0.02
    """Jensen–Shannon divergence (bits) from which a change is named. For small changes it is about a
    fifth to a sixth of the index above, so the levels agree."""
    drift_js_fail: Annotated[float, Range(gt=0, le=1)] = 0.05
    """Jensen–Shannon divergence (bits) from which the rule is broken."""
    drift_min_rows: Annotated[int, Range(ge=1)] = 200
    """Fewest labelled rows on either side; below it a distribution is not compared, and that is said."""
    extra: tuple[dict[str, Any], ...] = ()
    """Further Great Expectations expectations by name:
    `{type: expect_column_values_to_match_regex, kwargs: {column: text, regex: …}, severity: warning}`.
    Also `tolerance` and `table`: `dataset` (the default: one row a text; columns `text`, `split`,
    `weight`, `group`, `head:NAME`, and for multilabel heads `count:NAME` and `label:NAME:LABEL`) or
    `observations` (one row an input row)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """When a trained model may ship."""

    __pydantic_config__ = SCHEMA_CONFIG

    margin: Annotated[float, Range(gt=0, lt=1)] = 0.015
    """How much worse than its baseline a head may be, in units of its metric. 0.015: the gap that the
    literature on shared encoders calls "almost as good"."""
    margins: dict[str, Annotated[float, Range(gt=0, lt=1)]] = field(default_factory=dict)
    """Head → its own margin."""
    confidence: Annotated[float, Range(gt=0.5, lt=1)] = 0.95
    """Confidence of the one-sided bounds."""
    power: Annotated[float, Range(gt=0.5, lt=1)] = 0.8
    """Chance of passing that an equally good model should have; used only to say which margin the test
    rows can certify, and how many rows the margin asked for needs."""
    resamples: Annotated[int, Range(ge=200)] = 2000
    """Bootstrap resamples for F1 metrics and for latency ratios."""
    floors: dict[str, Share] = field(default_factory=dict)
    """Head → lowest acceptable value of its metric on the test rows (point estimate)."""
    label_floors: dict[str, dict[str, Share]] = field(default_factory=dict)
    """Head → label → lowest acceptable F1 of that label on the test rows (point estimate)."""
    max_calibration_error: dict[str, Share] = field(default_factory=dict)
    """Head → largest expected calibration error on the test rows (15 bins)."""
    champion_margin: Annotated[float, Range(gt=0, lt=1)] = 0.015
    """How much worse than the champion a head may be on the same rows."""
    allow_dropped_heads: bool = False
    """Let a model ship that no longer answers a head which the champion answers: its callers would
    find the head gone, so it takes a word."""
    budget_p95_ms: Annotated[float, Range(gt=0)] = 1000.0
    """Longest p95 latency for all heads of one text, in milliseconds. A second to answer everything."""
    max_latency_ratio: Annotated[float, Range(gt=0)] = 0.8
    """Largest latency of the shared model against the sum of its baselines. Sharing must pay. With one
    head there is nothing to share: then `max_single_head_ratio` holds instead."""
    max_single_head_ratio: Annotated[float, Range(gt=0)] = 1.1
    """Largest latency, resident set and size of a one-head model against its one baseline, which has the
    same architecture: the true ratio is 1, and 1.1 leaves room for noise and padding of the graph."""
    max_champion_latency_ratio: Annotated[float, Range(gt=0)] = 1.25
    """Largest latency against the champion's. Above 1, so that a head may be added."""
    control_tolerance: Annotated[float, Range(ge=0, lt=1)] = 0.05
    """How far the A/A control (the shared bundle timed against a second process of itself) may be off 1.0
    for certain before the machine counts as too noisy. Two processes of one program differ by a few
    percent through memory layout alone, and no number of requests averages that away."""
    latency_requests: Annotated[int, Range(ge=20)] = 200
    """Timed requests a bundle. At least 59 are needed for a 95% bound on p95 (0.95^59 < 0.05)."""
    latency_threads: Annotated[int, Range(ge=1)] = 2
    """CPU threads of the bundle while it is timed; serve with the same number."""
    max_memory_mb: Annotated[float, Range(gt=0)] = 2048.0
    """Largest resident set of a process that serves the bundle, in MiB."""
    max_bundle_mb: Annotated[float, Range(gt=0)] = 2048.0
    """Largest bundle on disk, in MiB."""
    max_memory_ratio: Annotated[float, Range(gt=0)] = 0.8
    """Largest resident set and bundle of the shared model against the sums of its baselines."""
    seed: int = 17
    """Seed of resampling and of the order of timed requests."""
