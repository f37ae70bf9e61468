"""The labels of each head: as listed, or inferred from training rows; refused where they cannot be learned.

Does not know rows, only which targets occur in which split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from model.spec import SPLITS, HeadSpec, SplitName
from sources.errors import BadLabels, DataError, Problem, quoted, raise_together
from sources.labels.target_codes import Target
from sources.merge.identity import same_label

MAX_LABELS_NAMED = 10
"""Labels named in one message."""


def resolve_labels(
    heads: Mapping[str, HeadSpec], used: Mapping[str, Mapping[str, list[Target]]]
) -> dict[str, HeadSpec]:
    """The heads with their labels filled in.

    Inferred labels are those that apply in training rows and those that have a 0/1 column, sorted by
    code point. Listed labels are kept in their order (after NFC).

    Args:
        heads: as configured.
        used: head → split → distinct targets of its texts.

    Raises:
        BadLabels: a label listed twice; no labelled training row; only one label in training rows of a
            multiclass head; a label that is not listed and occurs only outside training.
    """
    resolved = {}
    errors: list[DataError] = []
    for name, head in heads.items():
        try:
            resolved[name] = replace(head, labels=_labels(name, head, used[name]))
        except DataError as error:
            errors.append(error)
    raise_together(errors)
    return resolved


def _labels(name: str, head: HeadSpec, used: Mapping[str, list[Target]]) -> tuple[str, ...]:
    seen = {split: {label for t in used.get(split, []) for label in t.positives} for split in SPLITS}
    if not used.get("train"):
        advice = "Name this head under a source's `heads`, and check the column."
        raise BadLabels(
            Problem("no training row is labelled for it", "labelled rows in every split", advice, head=name)
        )
    labels = tuple(map(same_label, head.labels))
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise BadLabels(Problem(f"the label {quoted(twice[0])} is listed twice", head=name))
    if head.kind == "multiclass" and len(seen["train"]) < 2:
        only = "".join(f" {quoted(label)}" for label in seen["train"])
        advice = "A head with a single class has nothing to learn: remove it, or add rows."
        raise BadLabels(
            Problem(
                f"every training row has the same label{only}",
                "at least two labels in training rows",
                advice,
                head=name,
            )
        )
    if not labels:
        targets = [target for of_split in used.values() for target in of_split]
        columns = {label for target in targets for label in (*target.missing, *(target.covered or ()))}
        labels = tuple(sorted(seen["train"] | columns))
        _refuse_unseen(name, labels, seen)
    if not labels:
        raise BadLabels(Problem("no label applies to any training row", "at least one label", head=name))
    return labels


def _refuse_unseen(name: str, labels: tuple[str, ...], seen: Mapping[SplitName, set[str]]) -> None:
    problems = []
    splits: tuple[SplitName, ...] = ("test", "validation")
    for split in splits:
        if not (unseen := sorted(seen[split] - set(labels))):
            continue
        listed = ", ".join(map(quoted, unseen[:MAX_LABELS_NAMED]))
        more = f" and {len(unseen) - MAX_LABELS_NAMED} more" if len(unseen) > MAX_LABELS_NAMED else ""
        expected = "every label in training rows, where labels are inferred from"
        advice = "List the head's `labels`, `map` or `drop` the label, or add training rows."
        problems.append(Problem(f"label seen only in {split}: {listed}{more}", expected, advice, head=name))
    if problems:
        raise BadLabels(*problems)
