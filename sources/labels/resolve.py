"""The labels of each head: as listed, or inferred from training rows; refused where they cannot be learned.

Does not know rows, only which answers occur in which split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from model.spec import SPLITS, HeadSpec
from sources.errors import BadLabels, DataError, Problem, raise_together, shown
from sources.labels.answers import Answer
from sources.merge.identity import same_label

MAX_LABELS_NAMED = 10
"""Labels named in one message."""


def resolve_labels(
    heads: Mapping[str, HeadSpec], used: Mapping[str, Mapping[str, list[Answer]]]
) -> dict[str, HeadSpec]:
    """The heads with their labels filled in.

    Inferred labels are those that apply in training rows and those that have a 0/1 column, sorted by
    code point. Listed labels are kept in their order (after NFC).

    Args:
        heads: as configured.
        used: head → split → distinct answers of its texts.

    Raises:
        BadLabels: a label listed twice; no labelled training row; only one label in training rows of a
            multiclass head; a label that is not listed and occurs only outside training.
    """
    resolved = {}
    errors: list[DataError] = []
    for name, head in heads.items():
        try:
            resolved[name] = _resolve(name, head, used[name])
        except DataError as error:
            errors.append(error)
    raise_together(errors)
    return resolved


def _resolve(name: str, head: HeadSpec, used: Mapping[str, list[Answer]]) -> HeadSpec:
    seen: dict[str, set[str]] = {
        split: {label for a in used.get(split, []) for label in a.positives} for split in SPLITS
    }
    if not used.get("train"):
        raise BadLabels(
            Problem(
                head=name,
                seen="no training row is labelled for it",
                expected="labelled rows in every split",
                advice="Name this head under a source's `heads`, and check the column.",
            )
        )
    labels = tuple(map(same_label, head.labels))
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise BadLabels(Problem(head=name, seen=f"the label {shown(twice[0])} is listed twice"))
    if head.kind == "multiclass" and len(seen["train"]) < 2:
        only = next(iter(seen["train"]), None)
        raise BadLabels(
            Problem(
                head=name,
                seen=f"every training row has the same label{'' if only is None else ' ' + shown(only)}",
                expected="at least two labels in training rows",
                advice="A head with a single class has nothing to learn: remove it, or add rows.",
            )
        )
    if not labels:
        asked = {
            label for answers in used.values() for a in answers for label in (*a.missing, *(a.asked or ()))
        }
        labels = tuple(sorted(seen["train"] | asked))
        _refuse_unseen(name, labels, seen)
    if not labels:
        raise BadLabels(
            Problem(head=name, seen="no label applies to any training row", expected="at least one label")
        )
    return replace(head, labels=labels)


def _refuse_unseen(name: str, labels: tuple[str, ...], seen: Mapping[str, set[str]]) -> None:
    problems = []
    for split in ("test", "validation"):
        unseen = sorted(seen[split] - set(labels))
        if not unseen:
            continue
        listed = ", ".join(map(shown, unseen[:MAX_LABELS_NAMED]))
        more = f" and {len(unseen) - MAX_LABELS_NAMED} more" if len(unseen) > MAX_LABELS_NAMED else ""
        problems.append(
            Problem(
                head=name,
                seen=f"label seen only in {split}: {listed}{more}",
                expected="every label in training rows, where labels are inferred from",
                advice="List the head's `labels`, `map` or `drop` the label, or add training rows.",
            )
        )
    if problems:
        raise BadLabels(*problems)
