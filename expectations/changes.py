"""What changed in the data since a version was trained: rows, labels, heads and test rows, then and now.

A label that goes and one that comes are a rename where most of the texts of the one now bear the other. Of
the version's texts a sample a label is kept (`expectations.contents`), of those of now all are known.

Pure: knows counts and ids of texts; does not know files, texts, nor what a change means for clients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.bundle.card import HeadKind
from model.spec import SPLITS

Ids = NDArray[np.uint64]
"""First 64 bits of the ids of texts, rising."""

MOSTLY = 0.5
"""Share of a label's texts above which they count as another label's: no two can have it."""

LEAST_SHARED = 10
"""Texts of a label that must still be there before it is said to be called otherwise, or all where it had
fewer: from a single one of many nothing follows."""
FAIR_SHARE = 0.25
"""Share of its known texts that must be: the rest may have become anything."""

Part = Literal["rows by source", "test rows", "renamed labels"]
"""What may not be known of a version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadContents:
    """One head of a dataset."""

    kind: HeadKind
    labels: tuple[str, ...]
    """In the order in which they are answered."""
    labelled: Mapping[str, int]
    """Split → texts that are labelled for the head."""
    counts: Mapping[str, Mapping[str, int]]
    """Label → split → texts to which it applies."""
    texts: Mapping[str, Ids] | None = None
    """Label → its texts, all of them or those with the lowest ids; none where that is not known."""
    by_source: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    """Source → label → split → texts that it gave; empty where that is not known."""

    def rows(self, label: str) -> int:
        """Texts to which a label applies, in all splits."""
        return sum(self.counts.get(label, {}).values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A dataset, as far as another one is compared with it."""

    heads: Mapping[str, HeadContents]
    rows: Mapping[str, int]
    """Split → texts."""
    fingerprint: str = ""
    """Of the dataset; empty where it is not known."""
    sources: Mapping[str, Mapping[str, int]] | None = None
    """Source → split → texts that it gave; none where that is not known."""
    seen: Ids | None = None
    """Training and validation texts; none where they are not known."""
    test: Ids | None = None
    """Test texts; none where they are not known."""

    @property
    def texts(self) -> Ids | None:
        """All texts; none where they are not known."""
        if self.seen is None or self.test is None:
            return None
        return np.union1d(self.seen, self.test)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """A number of rows that is another one now."""

    about: Literal["split", "source", "head"]
    """`split`: all texts. `source`: those that it gave. `head`: those that are labelled for it."""
    name: str
    """Of the source or head; empty for all texts."""
    split: str
    then: int
    now: int

    @property
    def difference(self) -> int:
        """Rows more than then; below zero: fewer."""
        return self.now - self.then


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLabel:
    """A label that the version does not answer."""

    head: str
    label: str
    rows: int
    """Texts that bear it now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneLabel:
    """A label that the version answers, and that the data do not have any more."""

    head: str
    label: str
    rows: int
    """Texts that bore it then."""
    now: str = ""
    """Label that most of its texts bear now, one that there was before, too; empty where there is none."""
    share: float = 0.0
    """Share of its texts, as far as they are still there, that bear `now`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """A label that is called otherwise now."""

    head: str
    old: str
    new: str
    share: float
    """Share of the old label's texts, as far as they are still there, that bear the new one."""
    compared: int
    """Texts that the share was counted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindChange:
    """A head that is of another kind now."""

    head: str
    then: HeadKind
    now: HeadKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRows:
    """Test rows of now beside those of then."""

    __test__ = False  # not a test, whatever its name

    kept: int
    """Were test rows then, too."""
    seen: int
    """Are test rows now, and were training or validation rows then."""
    new: int
    """Are test rows now, and were not there then."""
    gone: int
    """Were test rows then, and are not now."""

    @property
    def added(self) -> int:
        """Test rows now that were none then."""
        return self.seen + self.new

    @property
    def now(self) -> int:
        """All test rows of now."""
        return self.kept + self.added


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What changed; what is as it was is left out."""

    splits: tuple[RowChange, ...] = ()
    """Texts by split."""
    sources: tuple[RowChange, ...] = ()
    """Texts by source and split."""
    heads: tuple[RowChange, ...] = ()
    """Labelled texts by head and split, of heads that there are then and now."""
    new_heads: tuple[str, ...] = ()
    gone_heads: tuple[str, ...] = ()
    kinds: tuple[KindChange, ...] = ()
    """Heads that changed in kind."""
    reordered: tuple[str, ...] = ()
    """Heads whose labels, those of then and now, stand in another order."""
    new_labels: tuple[NewLabel, ...] = ()
    """Labels that came, without those that only have a new name."""
    gone_labels: tuple[GoneLabel, ...] = ()
    """Labels that went, without those that only have a new name."""
    renamed: tuple[Renamed, ...] = ()
    """Labels with a new name."""
    test_rows: TestRows | None = None
    """None where no test row changed, or the version's are not known."""
    unknown: tuple[Part, ...] = ()
    """What could not be compared, because it is not known of the version."""

    @property
    def nothing(self) -> bool:
        """Whether all that could be compared is as it was."""
        return self == Changes(unknown=self.unknown)


def changes(before: Contents, now: Contents) -> Changes:
    """What is other in the data of now than in those of before.

    Args:
        before: what a version was trained on, as far as it is known.
        now: all of it known: sources, texts of every label, test and other texts.
    """
    both = [name for name in now.heads if name in before.heads]
    labels = _Labels(before, now)
    for name in both:
        labels.compare(name)
    unknown: list[Part] = ["rows by source"] if before.sources is None else []
    unknown += ["test rows"] if before.test is None else []
    unknown += ["renamed labels"] if labels.undecided else []
    return Changes(
        splits=tuple(_rows("split", {"": before.rows}, {"": now.rows})),
        sources=() if before.sources is None else tuple(_rows("source", before.sources, now.sources or {})),
        heads=tuple(
            _rows(
                "head",
                {name: before.heads[name].labelled for name in both},
                {name: now.heads[name].labelled for name in both},
            )
        ),
        new_heads=tuple(name for name in now.heads if name not in before.heads),
        gone_heads=tuple(name for name in before.heads if name not in now.heads),
        kinds=tuple(
            KindChange(head=name, then=before.heads[name].kind, now=now.heads[name].kind)
            for name in both
            if before.heads[name].kind != now.heads[name].kind
        ),
        reordered=tuple(name for name in both if _reordered(before.heads[name], now.heads[name])),
        new_labels=tuple(labels.new),
        gone_labels=tuple(labels.gone),
        renamed=tuple(labels.renamed),
        test_rows=_test_rows(before, now),
        unknown=tuple(unknown),
    )


def _rows(
    about: Literal["split", "source", "head"],
    then: Mapping[str, Mapping[str, int]],
    now: Mapping[str, Mapping[str, int]],
) -> Iterator[RowChange]:
    for name in dict.fromkeys([*now, *then]):
        for split in SPLITS:
            one, other = then.get(name, {}).get(split, 0), now.get(name, {}).get(split, 0)
            if one != other:
                yield RowChange(about=about, name=name, split=split, then=one, now=other)


def _reordered(then: HeadContents, now: HeadContents) -> bool:
    had, has = set(then.labels), set(now.labels)
    return [one for one in then.labels if one in has] != [one for one in now.labels if one in had]


def _test_rows(before: Contents, now: Contents) -> TestRows | None:
    if before.test is None or now.test is None:
        return None
    kept = _shared(now.test, before.test)
    seen = 0 if before.seen is None else _shared(now.test, before.seen)
    gone = int(before.test.size) - kept
    new = int(now.test.size) - kept - seen
    return TestRows(kept=kept, seen=seen, new=new, gone=gone) if seen or new or gone else None


def _shared(ids: Ids, others: Ids) -> int:
    return int(np.intersect1d(ids, others, assume_unique=True).size)


class _Labels:
    """Gathers what became of the labels of one head after the other."""

    def __init__(self, before: Contents, now: Contents) -> None:
        self._before, self._now = before, now
        self._texts_then, self._texts_now = before.texts, now.texts
        self.new: list[NewLabel] = []
        self.gone: list[GoneLabel] = []
        self.renamed: list[Renamed] = []
        self.undecided = False
        """Whether a label may have been renamed, and that can't be known."""

    def compare(self, name: str) -> None:
        """Find out about one head, which is there then and now."""
        then, now = self._before.heads[name], self._now.heads[name]
        had, has = set(then.labels), set(now.labels)
        gone = [label for label in then.labels if label not in has]
        new = [label for label in now.labels if label not in had]
        fates: dict[str, _Fate] = {}
        if then.texts is None:
            self.undecided |= bool(gone and new)
        elif gone:
            among = [*new, *(label for label in now.labels if label in had)]
            both = "multilabel" in (then.kind, now.kind)
            fates = self._fates(then, now, gone, new if both else among, exclusive=not both)
        for label in gone:
            fate = fates.get(label)
            if fate is not None and fate.now in new:
                self.renamed.append(
                    Renamed(head=name, old=label, new=fate.now, share=fate.share, compared=fate.compared)
                )
            else:
                label_now, share = ("", 0.0) if fate is None else (fate.now, fate.share)
                rows = then.rows(label)
                self.gone.append(GoneLabel(head=name, label=label, rows=rows, now=label_now, share=share))
        renamed = {one.new for one in self.renamed if one.head == name}
        self.new += [
            NewLabel(head=name, label=label, rows=now.rows(label)) for label in new if label not in renamed
        ]

    def _fates(
        self,
        then: HeadContents,
        now: HeadContents,
        gone: Sequence[str],
        among: Sequence[str],
        *,
        exclusive: bool,
    ) -> dict[str, _Fate]:
        """Label that went → the one that most of its texts bear now, if there is such a one.

        Where a text may bear several labels (not `exclusive`) most of the other label's texts must have been
        the label's, too: one that applies to nearly every text is nobody's new name.
        """
        here = self._texts_now
        if here is None or now.texts is None:
            return {}
        samples = [_within(then.texts or {}, label, here) for label in gone]
        kept = [(then.texts or {}).get(label, _NONE).size for label in gone]
        known, which = _positions(samples)
        fates: dict[str, _Fate] = {}
        for label in among:
            bears = np.isin(known, now.texts.get(label, _NONE), assume_unique=True)
            counted = np.bincount(which.of[bears[which.at]], minlength=len(gone))
            for at in np.flatnonzero(counted).tolist():
                compared, shared = int(samples[at].size), int(counted[at])
                if compared < max(min(LEAST_SHARED, kept[at]), FAIR_SHARE * kept[at]):
                    continue
                former = fates.get(gone[at])
                if shared <= MOSTLY * compared or (former and former.share * compared >= shared):
                    continue
                if not exclusive and not self._mostly_its_own(then, gone[at], now.texts[label], shared):
                    continue
                fates[gone[at]] = _Fate(now=label, share=shared / compared, compared=compared)
        return fates

    def _mostly_its_own(self, then: HeadContents, old: str, others: Ids, shared: int) -> bool:
        """Whether most texts of another label, as far as they were there, bore the label `old` then."""
        sample = (then.texts or {}).get(old, _NONE)
        if self._texts_then is not None:
            others = np.intersect1d(others, self._texts_then, assume_unique=True)
        if sample.size and sample.size < then.rows(old):  # those with the lowest ids
            others = others[others <= sample[-1]]
        return shared > MOSTLY * others.size


@dataclass(frozen=True, slots=True)
class _Fate:
    now: str
    share: float
    compared: int


@dataclass(frozen=True, slots=True)
class _Which:
    """Pairs of a text and a label that it is of."""

    at: NDArray[np.intp]
    """(P,) positions of texts."""
    of: NDArray[np.intp]
    """(P,) positions of labels."""


_NONE: Ids = np.empty(0, dtype=np.uint64)


def _within(texts: Mapping[str, Ids], label: str, here: Ids) -> Ids:
    """The known texts of a label that are still there."""
    return np.intersect1d(texts.get(label, _NONE), here, assume_unique=True)


def _positions(samples: Sequence[Ids]) -> tuple[Ids, _Which]:
    """All texts of several samples, each once, and which of them belong to which sample."""
    of = np.repeat(np.arange(len(samples)), [one.size for one in samples])
    known, at = np.unique(np.concatenate([_NONE, *samples]), return_inverse=True)
    return known, _Which(at=at.astype(np.intp), of=of.astype(np.intp))
