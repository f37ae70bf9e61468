"""What a model answers beside another one: what clients of the other lose, and what they gain.

Names decide, and consents say which names are two names of one thing. Knows heads and labels; does not know
rows or answers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from expectations.contract.consent import RENAMINGS, Change
from model.spec import HeadSpec

Heads = Mapping[str, HeadSpec]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A model beside the one whose clients it is to answer."""

    lost: tuple[Change, ...] = ()
    """What needs consent, in the order of the other model's heads and labels."""
    new_heads: tuple[str, ...] = ()
    """Heads that the other model does not answer."""
    new_labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Head of both → labels that the other model does not answer."""
    consents: tuple[Change, ...] = ()
    """What is allowed."""
    former: Mapping[str, str] = field(default_factory=dict)
    """Head → what the other model calls it; heads that it does not answer are left out."""
    counterparts: Mapping[str, HeadSpec] = field(default_factory=dict)
    """Head → the same head of the other model, whose renamed labels have their present names."""

    @property
    def allowed(self) -> tuple[Change, ...]:
        """Of what is lost, what is consented to."""
        return tuple(change for change in self.lost if change in self.consents)

    @property
    def missing(self) -> tuple[Change, ...]:
        """Of what is lost, what nobody consented to."""
        return tuple(change for change in self.lost if change not in self.consents)

    @property
    def unused(self) -> tuple[Change, ...]:
        """Consents that name nothing that happens."""
        return tuple(dict.fromkeys(change for change in self.consents if change not in self.lost))

    @property
    def gained(self) -> tuple[str, ...]:
        """What clients gain, one clause each."""
        labels = ((head, label) for head, names in self.new_labels.items() for label in names)
        return (
            *(f"head `{head}` is new" for head in self.new_heads),
            *(f"label `{label}` of `{head}` is new" for head, label in labels),
        )

    @property
    def kept_lines(self) -> tuple[str, ...]:
        """The whole list of consents that lets this model ship: those that are used, and those that are
        missing."""
        return tuple(dict.fromkeys(change.line for change in self.lost))

    def same_kind(self, heads: Heads) -> list[str]:
        """Heads that both models answer as one kind, so that they can be compared."""
        other = self.counterparts
        return [name for name, head in heads.items() if name in other and other[name].kind == head.kind]


def compare_answers(
    before: Heads,
    now: Heads,
    consents: Sequence[Change] = (),
    *,
    suspected: Iterable[Change] = (),
) -> Contract:
    """What clients of a model that answers `before` lose and gain with one that answers `now`.

    Args:
        before: heads of the other model, with labels.
        now: heads of this one, with labels.
        consents: what is allowed. A renaming also says that two names are one thing.
        suspected: renamings that the data speak for. Each counts unless a consent drops the old name.
    """
    doubtful = [change for change in suspected if not _dropped(change, consents)]
    renamed = [change for change in (*consents, *doubtful) if change.kind in RENAMINGS]
    names = _head_names(before, now, renamed)
    lost: list[Change] = []
    counterparts: dict[str, HeadSpec] = {}
    new_labels: dict[str, tuple[str, ...]] = {}
    for name, head in before.items():
        if name not in names:
            lost.append(Change("head gone", name))
            continue
        new = names[name]
        if new != name:
            lost.append(Change("head renamed", name, after=new))
        if head.kind != now[new].kind:
            lost.append(Change("kind", new, head.kind, now[new].kind))
        labels = _label_names(new, head.labels, now[new].labels, renamed)
        lost += _label_changes(new, head.labels, now[new].labels, labels)
        known = set(labels.values())
        if come := tuple(label for label in now[new].labels if label not in known):
            new_labels[new] = come
        counterparts[new] = replace(head, labels=tuple(labels.get(label, label) for label in head.labels))
    return Contract(
        lost=tuple(lost),
        new_heads=tuple(name for name in now if name not in names.values()),
        new_labels=new_labels,
        consents=tuple(consents),
        former={new: name for name, new in names.items()},
        counterparts=counterparts,
    )


def _dropped(change: Change, consents: Collection[Change]) -> bool:
    gone = (
        Change("head gone", change.head)
        if change.kind == "head renamed"
        else Change("label gone", change.head, change.before)
    )
    return gone in consents


def _head_names(before: Heads, now: Heads, renamed: Sequence[Change]) -> dict[str, str]:
    """Head of before → what it is called now; those that are gone are left out."""
    names = {name: name for name in before if name in now}
    for change in renamed:
        if change.kind != "head renamed" or change.head not in before or change.after not in now:
            continue
        if change.head not in names and change.after not in names.values():
            names[change.head] = change.after
    return names


def _label_names(
    head: str, before: Sequence[str], now: Sequence[str], renamed: Sequence[Change]
) -> dict[str, str]:
    """Label of before → what it is called now; those that are gone are left out."""
    had, has = set(before), set(now)
    names = {label: label for label in before if label in has}
    for change in renamed:
        if change.kind != "label renamed" or change.head != head or change.after not in has:
            continue
        if change.before in had and change.before not in names:
            names[change.before] = change.after
    return names


def _label_changes(
    head: str, before: Sequence[str], now: Sequence[str], names: Mapping[str, str]
) -> list[Change]:
    lost: list[Change] = []
    for label in before:
        if label not in names:
            lost.append(Change("label gone", head, label))
        elif names[label] != label:
            lost.append(Change("label renamed", head, label, names[label]))
    # A renamed label stands where its new name does (labels that are found in the data are sorted): what
    # counts is the order of those that keep their name.
    kept = [label for label in before if names.get(label) == label]
    stays = set(kept)
    if kept != [label for label in now if label in stays]:
        lost.append(Change("order", head))
    return lost


def told(contract: Contract) -> list[str]:
    """What clients lose and gain, one sentence each; none where that is nothing."""
    return [
        *(f"clients lose: {change.said}" for change in contract.lost if change.kind.endswith("gone")),
        *(
            f"clients must follow: {change.said}"
            for change in contract.lost
            if not change.kind.endswith("gone")
        ),
        *(f"clients gain: {what}" for what in contract.gained),
    ]
