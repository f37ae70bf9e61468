"""What single fields of the configuration cannot see: names that point at nothing, figures that disagree.

Yields one line a problem, with the field's place first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expectations.contract.consent import consent_problems
from expectations.spec import GateRules
from flows.config.messages import listed, seen
from flows.config.reach import unreachable
from flows.config.schedule import schedule_problems
from flows.notify.spec import notify_problems
from model.bundle.masking import MASK, holds_secret, is_secret_name
from model.spec import HeadSpec
from model.suggestions import did_you_mean
from release.spec import CREDENTIALS
from sources.spec import source_problems, split_problems

if TYPE_CHECKING:
    from flows.config.schema import Project


def disagreements(project: Project) -> Iterator[str]:
    """What single fields cannot see: names that point at nothing, heads that no source labels."""
    heads = set(project.heads)
    for source_name, source in project.sources.items():
        yield from (f"sources.{source_name}.{line}" for line in source_problems(source, heads))
    # A file that says itself what it labels may label any head.
    labelled = {head for source in project.sources.values() for head in source.heads or heads}
    for head in sorted(heads - labelled):
        yield f"heads.{head}: no source labels this head; name its column in one source's `heads`"
    for field in ("margins", "floors", "label_floors", "max_calibration_error", "allow_unanswered"):
        for head in getattr(project.gates, field):
            if head not in heads:
                near = did_you_mean(head, heads)
                yield f"gates.{field}.{head}: no such head{near}; expected one of {listed(heads)}"
    yield from unknown_labels(project.heads, project.gates)
    yield from consent_problems(project.gates.contract.allow)
    yield from _slice_disagreements(project)
    if project.deploy.threads != project.gates.latency_threads:
        yield (
            f"deploy.threads: {project.deploy.threads}, but gates.latency_threads is "
            f"{project.gates.latency_threads}; what is measured must be what serves: give both the same"
        )
    yield from (f"split.{line}" for line in split_problems(project.split, project.sources))
    yield from unreachable(project)
    yield from (f"schedule.{line}" for line in schedule_problems(project.schedule))
    yield from notify_problems(project.notify)
    for head, spec in project.heads.items():
        if len(set(spec.labels)) != len(spec.labels):
            yield f"heads.{head}.labels: a label is listed twice"
        for label in spec.labels:
            if label != label.strip():
                yield f"heads.{head}.labels: {seen(label)} has blanks at its ends; remove them"
        if len(spec.labels) == 1 and spec.kind == "multiclass":
            yield f"heads.{head}.labels: one label only; a multiclass head needs two or more"


def unknown_labels(heads: Mapping[str, HeadSpec], rules: GateRules) -> Iterator[str]:
    """Labels that the gates name and a head does not have; heads without known labels are left out."""
    named: dict[str, Mapping[str, Iterable[str]]] = {
        "label_floors": rules.label_floors,
        "allow_unanswered": rules.allow_unanswered,
    }
    for field, by_head in named.items():
        for head, labels in by_head.items():
            known = set(heads[head].labels) if head in heads else set()
            for label in labels:
                if known and label not in known:
                    near = did_you_mean(label, known)
                    expected = f"expected one of {listed(known)}"
                    yield f"gates.{field}.{head}: no label {seen(label)}{near}; {expected}"


def _slice_disagreements(project: Project) -> Iterator[str]:
    heads = set(project.heads)
    known = {"source", "group", *heads}
    known |= {column for source in project.sources.values() for column in source.keep}
    for number, rule in enumerate(project.gates.slices):
        at, band = f"gates.slices.{number}", (rule.min_chars, rule.max_chars)
        if (rule.column is None) == (band == (None, None)):
            yield f"{at}: give either `column` or a band of `min_chars` and `max_chars`"
        elif rule.column is not None and rule.column not in known:
            near = did_you_mean(rule.column, known)
            yield (
                f"{at}.column: {rule.column!r} is not carried into the dataset{near}; expected one of "
                f"{listed(known)}, or name it in a source's `keep`"
            )
        if rule.column is None and rule.values:
            yield f"{at}.values: a band of lengths has no values; give `column`"
        if None not in band and rule.min_chars > rule.max_chars:  # type: ignore[operator]
            yield f"{at}: min_chars {rule.min_chars} is more than max_chars {rule.max_chars}"
        if rule.margin is None and rule.floor is None:
            yield f"{at}: nothing is judged; give a `margin`, a `floor` or both"
        for head in rule.heads:
            if head not in heads:
                near = did_you_mean(head, heads)
                yield f"{at}.heads: no head {head!r}{near}; expected one of {listed(heads)}"


def absent_modules(modules: Iterable[str], base: Path) -> Iterator[str]:
    """Files of `expectations.modules` that are not there."""
    for at, name in enumerate(modules):
        if not name.endswith(".py") or not (base / name).is_file():
            yield (
                f"expectations.modules[{at}]: saw {seen(name)}, expected a Python file (.py), given from "
                f"{base}"
            )


_INSTEAD = {
    "registry": CREDENTIALS,
    "deploy.target_config": "write `${VARIABLE}` and set that variable where the flow runs",
    "deploy": "give it in the variables that the target's plugin reads",
    "sources": "give a hub's token in HF_TOKEN",
    "backbone": "give a hub's token in HF_TOKEN",
    "notify": "write it into an environment variable that `url_env` names, or a file that `url_file` names",
}
"""Beginning of a field's place → where its secrets go instead."""
_ELSE = "keep it in the environment, or in a file that only you may read"


def secrets_in(raw: Any, at: str = "") -> Iterator[str]:
    """Fields of a configuration, as it was read, that hold a password or token, one line each.

    The file is shown, kept in the state folder and logged to the registry.
    """
    if isinstance(raw, Mapping):
        parts = [(f"{at}.{key}" if at else str(key), value) for key, value in raw.items()]
    elif isinstance(raw, list):
        parts = [(f"{at}.{number}", value) for number, value in enumerate(raw)]
    else:
        parts = []
    for where, value in parts:
        if not isinstance(value, str):
            yield from secrets_in(value, where)
            continue
        named = where.startswith("deploy.target_config.") and is_secret_name(where.rpartition(".")[2])
        named = named or (where.startswith("notify.") and "://" in value)  # an address holds its token
        if holds_secret(value) or (named and value and not value.startswith("${")):
            shown = seen(MASK if named else value)
            instead = next((advice for place, advice in _INSTEAD.items() if where.startswith(place)), _ELSE)
            yield f"{where}: saw {shown}, a password or token, which would be kept and logged; {instead}"
