"""Settings of which one keeps the other from ever having an effect: a gate that nothing can pass, a warning
that never comes, a wait that ends before the first look.

Yields one line a pair, with the field's place first: what was seen, what was expected, what to do. What only
the data can tell is no matter of this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from expectations.spec import DataRules, GateRules
from model.spec import SPLITS, HeadSpec, TrainSpec
from serving.spec import ENDPOINT, DeploySpec
from sources.spec import SourceSpec

if TYPE_CHECKING:
    from flows.config.schema import Project

FILES = frozenset(
    (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet", ".pq", ".arrow", ".feather", ".ipc", ".xlsx")
)
"""Endings of files that name no splits themselves; a folder may hold a dataset that does."""
JSON_OVERHEAD = 12
"""Bytes of a request around its texts: `{"texts":[]}`."""
JSON_TEXT = 4
"""Fewest bytes of a text in a request: one character, quotes and a comma."""


def unreachable(project: Project) -> Iterator[str]:
    """All pairs of a project."""
    yield from _timings(project.gates)
    yield from _data_rules(project.expectations)
    yield from _label_figures(project)
    yield from _gates(project.gates)
    yield from _rows(project)
    yield from _training(project.train)
    yield from _serving(project)


def least_requests(rules: GateRules) -> tuple[int, int]:
    """(Fewest `latency_requests` with which some look can pass, fewest `http_requests`)."""
    # Late: it brings scipy, which reading a configuration does not need otherwise.
    from expectations.gates.limits import look_confidence
    from expectations.stats.quantiles import MOST_REQUESTS, requests_needed

    looks = range(1, rules.latency_looks + 1)
    needed = {look: requests_needed(look_confidence(rules, look)) or MOST_REQUESTS for look in looks}
    http = requests_needed(rules.confidence) or MOST_REQUESTS
    return min(-(-needed[look] // look) for look in looks), http


def _timings(rules: GateRules) -> Iterator[str]:
    bundle, http = least_requests(rules)
    because = f"with `gates.confidence: {rules.confidence:g}`"
    if rules.latency_requests < bundle:
        looks = "look" if rules.latency_looks == 1 else "looks"
        yield (
            f"gates.latency_requests: saw {rules.latency_requests}, expected at least {bundle}: {because} "
            f"no bound on the p95 holds from so few in {rules.latency_looks} {looks}; raise it"
        )
    if rules.http_requests < http:
        yield (
            f"gates.http_requests: saw {rules.http_requests}, expected at least {http}: {because} no bound "
            "on the p95 holds from so few; raise it"
        )


def _data_rules(rules: DataRules) -> Iterator[str]:
    if rules.min_chars > rules.max_chars:
        yield (
            f"expectations.min_chars: saw {rules.min_chars}, expected at most `expectations.max_chars` "
            f"({rules.max_chars}), or no text has an allowed length; lower it"
        )
    for name in ("drift_psi", "drift_js", "drift_unseen"):
        warn, fail = getattr(rules, f"{name}_warn"), getattr(rules, f"{name}_fail")
        if warn > fail:
            yield (
                f"expectations.{name}_warn: saw {warn:g}, expected at most `expectations.{name}_fail` "
                f"({fail:g}), or it never warns; lower it"
            )
    for name in ("truncation", "unknown_tokens"):
        warn, fail = getattr(rules, f"{name}_warn"), getattr(rules, name).tolerance
        if warn > fail and warn != getattr(DataRules(), f"{name}_warn"):
            yield (
                f"expectations.{name}_warn: saw {warn:g}, expected at most `expectations.{name}.tolerance` "
                f"({fail:g}), or it never warns; lower it"
            )


def _label_figures(project: Project) -> Iterator[str]:
    rules = project.expectations
    for head, spec in project.heads.items():
        most = rules.max_density * len(spec.labels)
        if _several(spec) and rules.min_cardinality > most:
            yield (
                f"expectations.min_cardinality: saw {rules.min_cardinality:g}, expected at most {most:g}, "
                f"since `heads.{head}` lists {len(spec.labels)} labels and `expectations.max_density` is "
                f"{rules.max_density:g}; lower it"
            )


def _several(spec: HeadSpec) -> bool:
    """Whether several listed labels may apply to a row."""
    return spec.kind == "multilabel" and bool(spec.labels)


def _gates(rules: GateRules) -> Iterator[str]:
    for head, floors in rules.label_floors.items():
        for label in rules.allow_unanswered.get(head, ()):
            if floors.get(label, 0) > 0:
                yield (
                    f"gates.allow_unanswered.{head}: saw {label!r}, which `gates.label_floors.{head}` holds "
                    f"to an F1 of {floors[label]:g}, so that it can't stay unanswered; remove one of the two"
                )


def _rows(project: Project) -> Iterator[str]:
    split, rules, sources = project.split, project.expectations, project.sources.values()
    shares = {"validation": split.validation, "test": split.test}
    hashed = [name for name, source in project.sources.items() if not _gives_all(source)]
    if sum(shares.values()) >= 1 and not any(_may_give(source, "train") for source in sources):
        yield (
            f"split.test: saw {split.test:g}, expected less than 1 less `split.validation` "
            f"({split.validation:g}), or no row of {_names(hashed)} is left for training; lower one of the "
            "two"
        )
    if rules.coverage.severity == "critical":
        for name, share in shares.items():
            if share == 0 and not any(_may_give(source, name) for source in sources):
                yield (
                    f"split.{name}: saw 0, expected more, since no source gives {name} rows and "
                    f"`expectations.min_rows_per_split` asks for {rules.min_rows_per_split}; raise it"
                )
        yield from _limits(project)


def _limits(project: Project) -> Iterator[str]:
    """Sources that may not give as many rows as are asked for."""
    sources = project.sources.values()
    # Of a dataset with splits the limit holds for each.
    if not all(source.limit and (isinstance(source.path, dict) or _is_file(source)) for source in sources):
        return
    paths = [len(source.path) if isinstance(source.path, dict) else 1 for source in sources]
    most = sum((source.limit or 0) * count for source, count in zip(sources, paths, strict=True))
    least = len(SPLITS) * project.expectations.min_rows_per_split
    if most < least:
        yield (
            f"expectations.min_rows_per_split: saw {project.expectations.min_rows_per_split}, expected at "
            f"most {most // len(SPLITS)}, a third of the rows that `limit` lets all sources give; raise "
            "`limit`"
        )
    for number, rule in enumerate(project.gates.slices):
        if rule.min_rows > most:
            yield (
                f"gates.slices.{number}.min_rows: saw {rule.min_rows}, expected at most {most}, the rows "
                "that `limit` lets all sources give; raise `limit`"
            )


def _may_give(source: SourceSpec, split: str) -> bool:
    """Whether rows of a source may say that they belong to a split."""
    if source.split is not None:
        return source.split == split
    if isinstance(source.path, dict):
        return split in source.path
    if isinstance(source.records, dict):
        return split in source.records.values()
    return source.split_column is not None or not _is_file(source)


def _is_file(source: SourceSpec) -> bool:
    """Whether a source certainly names no splits itself: one table of rows."""
    if source.sql is not None:
        return True
    return isinstance(source.path, str) and PurePosixPath(source.path).suffix.lower() in FILES


def _gives_all(source: SourceSpec) -> bool:
    return source.split is not None or isinstance(source.path, dict)


def _names(sources: list[str]) -> str:
    return ", ".join(f"`sources.{name}`" for name in sources[:3]) or "any source"


def _training(train: TrainSpec) -> Iterator[str]:
    ends = train.early_stopping or train.schedule == "plateau"
    if ends and train.patience > train.epochs - 2:
        what = "schedule: plateau" if train.schedule == "plateau" else "early_stopping"
        nothing = f"or `train.{what}` changes nothing before the end"
        if train.epochs > 2:
            yield (
                f"train.patience: saw {train.patience}, expected at most {train.epochs - 2}, 2 less than "
                f"`train.epochs`, {nothing}; lower it, or raise `train.epochs`"
            )
        else:
            least = train.patience + 2
            yield f"train.epochs: saw {train.epochs}, expected at least {least}, {nothing}; raise it"
    if train.batch_tokens < train.max_length:
        yield (
            f"train.batch_tokens: saw {train.batch_tokens}, expected at least `train.max_length` "
            f"({train.max_length}), the tokens of one text; raise it"
        )


def _serving(project: Project) -> Iterator[str]:
    deploy, budget = project.deploy, project.gates.budget_p95_ms
    if deploy.target != ENDPOINT:
        if deploy.bake is not None:
            yield (
                f"deploy.bake: saw a watch, expected none with `deploy.target: {deploy.target}`, whose "
                "requests are not counted here; remove it, or deploy to the endpoint"
            )
        return
    if deploy.max_answer_ms < budget:
        yield (
            f"deploy.max_answer_ms: saw {deploy.max_answer_ms:g}, expected at least `gates.budget_p95_ms` "
            f"({budget:g}), or a model that passes the gate is refused by the endpoint; raise it"
        )
    yield from _waits(deploy)
    yield from _requests(deploy)


def _waits(deploy: DeploySpec) -> Iterator[str]:
    for name in ("poll_s", "wait_poll_s"):
        pause = getattr(deploy, name)
        if pause >= deploy.start_timeout_s:
            yield (
                f"deploy.{name}: saw {pause:g}, expected less than `deploy.start_timeout_s` "
                f"({deploy.start_timeout_s:g}), or a swap counts as failed before anybody looks; lower it"
            )


def _requests(deploy: DeploySpec) -> Iterator[str]:
    """What one request may hold."""
    of_texts = JSON_OVERHEAD + JSON_TEXT * deploy.max_texts - 1
    for name, needed in (
        ("max_texts", of_texts),
        ("max_chars", JSON_OVERHEAD + JSON_TEXT - 2 + deploy.max_chars),
    ):
        if deploy.max_body_bytes < needed:
            yield (
                f"deploy.max_body_bytes: saw {deploy.max_body_bytes}, expected at least {needed}, which a "
                f"request of `deploy.{name}` ({getattr(deploy, name)}) has; raise it"
            )
    if deploy.max_batch > max(deploy.queue_limit, deploy.max_texts):
        yield (
            f"deploy.max_batch: saw {deploy.max_batch}, expected at most `deploy.queue_limit` "
            f"({deploy.queue_limit}) or `deploy.max_texts` ({deploy.max_texts}), or no batch is ever that "
            "large; lower it"
        )
