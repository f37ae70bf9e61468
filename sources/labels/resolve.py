"""The labels of each head: as listed, or inferred from training rows; refused where they cannot be learned.

Does not know rows, only which targets occur in which split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from model.spec import HeadSpec
from sources.errors import BadLabels, DataError, Problem, quoted, raise_together
from sources.labels.target_codes import Target
from sources.merge.identity import same_label


def resolve_labels(
    heads: Mapping[str, HeadSpec],
    used: Mapping[str, Mapping[str, list[Target]]],
    absent: Mapping[str, Sequence[str]],
) -> dict[str, HeadSpec]:
    """The heads with their labels filled in.

    Inferred labels are those that apply in training rows and those that have a 0/1 column, sorted by
    code point: one that occurs only outside training is none of them. Listed labels are kept in their order
    (after NFC).

    Args:
        heads: as configured.
        used: head → split → distinct targets of its texts.
        absent: head → its sources that are optional and absent.

    Raises:
        BadLabels: a label listed twice; no labelled training row; only one label in training rows of a
            multiclass head.
    """
    resolved = {}
    errors: list[DataError] = []
    for name, head in heads.items():
        try:
            resolved[name] = replace(head, labels=_labels(name, head, used[name], absent.get(name, ())))
        except DataError as error:
            errors.append(error)
    raise_together(errors)
    return resolved


def _labels(
    name: str, head: HeadSpec, used: Mapping[str, list[Target]], absent: Sequence[str]
) -> tuple[str, ...]:
    in_training = {label for target in used.get("train", []) for label in target.positives}
    if not used.get("train") and absent:
        listed = " and ".join(f"`{source}`" for source in absent)
        seen = f"no training row is labelled for it, and of its sources {listed} is optional and absent"
        advice = "Take the head out until its source is there, or give the source its path."
        raise BadLabels(Problem(seen, "labelled rows in every split", advice, head=name))
    if not used.get("train"):
        advice = "Name this head under a source's `heads`, and check the column."
        raise BadLabels(
            Problem("no training row is labelled for it", "labelled rows in every split", advice, head=name)
        )
    labels = tuple(map(same_label, head.labels))
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise BadLabels(Problem(f"the label {quoted(twice[0])} is listed twice", head=name))
    if head.kind == "multiclass" and len(in_training) < 2:
        only = "".join(f" {quoted(label)}" for label in in_training)
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
        labels = tuple(sorted(in_training | columns))
    if not labels:
        raise BadLabels(Problem("no label applies to any training row", "at least one label", head=name))
    return labels
