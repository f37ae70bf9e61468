"""The defects that each corpus' SOURCE.md states, beside those that Headgate finds.

A `Defect` names the figure that SOURCE.md states and the one found. Where Headgate's definitions give
another figure, that figure (counted by hand in the file) and the reason are here too. Stated figures count
rows of the file; Headgate joins rows with equal texts, outer white space and line ends left aside.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from expectations.data.check import CheckResult
from expectations.data.gate import DataVerdict, judge_data
from expectations.spec import DataRules
from sources.dataset import build_dataset
from sources.merge.near_duplicates import find_near_duplicates
from tests.support.known_corpora import MODERATION, PLANTED, Corpus


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One statement of SOURCE.md, and what Headgate found."""

    statement: str
    stated: int
    found: int
    where: str
    """The rule with its severity and outcome, or the figure of the report that shows it."""
    right: int | None = None
    """The right figure by Headgate's definitions, where it is not the stated one."""
    why: str = ""
    """Why the two differ, if they do."""

    @property
    def explained(self) -> bool:
        """Whether the figure is the one stated, or the one that is right for the reason given."""
        if self.right is None:
            return self.stated == self.found
        return self.right == self.found and bool(self.why)


@dataclass(frozen=True)
class Seen:
    """One corpus as Headgate merged and judged it."""

    dataset: Path
    judged: DataVerdict

    @cached_property
    def profile(self) -> dict[str, Any]:
        """The figures of the dataset's profile."""
        found: dict[str, Any] = json.loads((self.dataset / "profile.json").read_text(encoding="utf-8"))
        return found

    @cached_property
    def texts(self) -> pl.DataFrame:
        """The merged texts, one row each."""
        return pl.read_parquet(self.dataset / "dataset.parquet")

    @cached_property
    def rows(self) -> pl.DataFrame:
        """All input rows."""
        return pl.read_parquet(self.dataset / "observations.parquet")

    def rule(self, rule: str, head: str | None = None) -> CheckResult:
        """The result of a rule.

        Raises:
            LookupError: it was not looked at.
        """
        for result in self.judged.results:
            if result.check.rule == rule and result.check.head == head:
                return result
        raise LookupError(f"no result of {rule} for {head}")

    def outcome(self, rule: str, head: str | None = None) -> str:
        """`one_answer: critical, met with defects`."""
        result = self.rule(rule, head)
        return f"{rule}: {result.check.severity}, {result.outcome}"

    def labelled(self, head: str, split: str, label: str) -> int:
        """Texts of a split to which the label applies."""
        return int(self.profile["heads"][head]["splits"][split]["counts"][label])

    def shared(self, one: str, other: str) -> int:
        """Texts that both splits hold as given."""
        given = self.rows.drop_nulls("text_id").group_by("text_id").agg(pl.col("split_given").unique())
        both = pl.col("split_given").list.contains(one) & pl.col("split_given").list.contains(other)
        return given.filter(both).height

    def surplus(self, split: str) -> int:
        """Rows of a split as given whose text another row of that split has already."""
        part = self.rows.filter(pl.col("split_given") == split)["text_id"].drop_nulls()
        return part.len() - part.n_unique()

    def _given(self, one: str, other: str) -> pl.DataFrame:
        given = self.rows.drop_nulls("text_id").filter(pl.col("split_given").is_in([one, other]))
        return given.select("text_id", "text", split="split_given").unique()

    def almost_equal(self, one: str, other: str) -> int:
        """Texts of the later split `other` that some text of `one` is most like, from similarity 0.9."""
        return find_near_duplicates(self._given(one, other), 0.9)["other_id"].n_unique()

    def equal_but_for_case(self, one: str, other: str) -> int:
        """Texts of two splits as given that are the same but for case and punctuation, each counted once:
        near-duplicates of similarity 1."""
        pair = self._given(one, other)
        found = find_near_duplicates(pair, 1.0).select("text_id").join(pair.unique("text_id"), on="text_id")
        folded = (
            pl.col("text").str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars(" ")
        )
        return found.select(folded)["text"].n_unique()


def defects(corpus: str, seen: Seen) -> Iterator[Defect]:
    """What SOURCE.md of `corpus` states, beside what was found."""
    return _DEFECTS[corpus](seen)


def judged_corpus(corpus: Corpus, folder: Path) -> Seen:
    """Merge and judge one corpus below `folder`, with the default rules."""
    dataset = build_dataset(corpus.sources, corpus.heads, corpus.split, folder, folder / "data")
    return Seen(dataset.path, judge_data(dataset.path, DataRules(), dataset.heads, folder / "report"))


def _generated(seen: Seen) -> Iterator[Defect]:
    found = {
        "rows": seen.rows.height,
        "blank texts": seen.rule("text_not_blank").count or 0,
        "repeated rows in train": seen.surplus("train"),
        "texts in train and test": seen.shared("train", "test"),
        "texts with different labels": seen.profile["conflicts"]["topic"],
    }
    for statement, number in found.items():
        yield Defect(
            statement=statement, stated=PLANTED[statement], found=number, where="planted in the rows"
        )


def _moderation(seen: Seen) -> Iterator[Defect]:
    yield Defect(
        statement="rows", stated=1680, found=seen.rows.height, where="profile: input rows of the source"
    )
    once = "a cell counts as missing if it is missing in all rows of its prompt, which are joined"
    unknown = dict.fromkeys(MODERATION, 0)
    for split in seen.profile["heads"]["flags"]["splits"].values():
        for label, number in split["unknown"].items():
            unknown[label] += number
    stated = {"S": 696, "H": 909, "V": 230, "HR": 236, "SH": 233, "S3": 686, "H2": 919, "V2": 233}
    right = {"S": 694, "H": 896, "V": 218, "HR": 224, "SH": 221, "S3": 685, "H2": 906, "V2": 221}
    for label, number in stated.items():
        yield Defect(
            statement=f"cells missing for label {label}",
            stated=number,
            found=unknown[label],
            where="profile: `unknown` of the label; such cells train and test nothing",
            right=right[label],
            why=once,
        )
    yield Defect(
        statement="prompts with HTML entities",
        stated=46,
        found=seen.rule("markup").count or 0,
        where=seen.outcome("markup"),
        right=834,
        why="tags count too: `<Person>` and other stand-ins for names are in half of the prompts",
    )
    without = seen.rows.filter(pl.col("count:flags") == 0).height
    yield Defect(
        statement="rows without any positive label", stated=1158, found=without, where="profile: cardinality"
    )
    yield Defect(
        statement="duplicate prompts",
        stated=10,
        found=seen.rows.height - seen.texts.height,
        where="profile: rows joined",
        right=15,
        why="five more differ only by outer white space",
    )
    yield Defect(
        statement="prompts with conflicting labels",
        stated=1,
        found=seen.profile["conflicts"]["flags"],
        where=seen.outcome("one_answer", "flags"),
    )


def _jigsaw(seen: Seen) -> Iterator[Defect]:
    origins = pl.col("origins").list.eval(pl.element().struct.field("source")).list.n_unique()
    yield Defect(
        statement="texts in both files",
        stated=38,
        found=seen.texts.filter(origins == 2).height,
        where="origins of each text; joined",
    )
    yield Defect(
        statement="of these with different labels",
        stated=0,
        found=seen.profile["conflicts"]["toxicity"],
        where=seen.outcome("one_answer", "toxicity"),
    )
    rare = sum(seen.labelled("toxicity", split, "threat") for split in ("train", "validation", "test"))
    where = seen.outcome("rows_per_label", "toxicity")
    yield Defect(
        statement="positives of `threat` (14 + 16)",
        stated=30,
        found=rare,
        where=f"profile: label counts ({where})",
        right=29,
        why="one of the texts in both files is a threat, and is joined",
    )
    yield Defect(
        statement="longest comment, characters",
        stated=5000,
        found=max(int(of["max"]) for of in seen.profile["text_chars"].values()),
        where=seen.outcome("text_length"),
    )
    yield Defect(statement="rows in all", stated=5000, found=seen.rows.height, where="profile: input rows")


def _goemotions(seen: Seen) -> Iterator[Defect]:
    trimmed = "one more text differs only by outer white space"
    pairs = (
        ("train", "validation", 41, 98, 99),
        ("train", "test", 32, 90, 91),
        ("validation", "test", 10, 25, None),
    )
    for one, other, exact, folded, right in pairs:
        yield Defect(
            statement=f"texts in {one} and {other}",
            stated=exact,
            found=seen.shared(one, other),
            where=seen.outcome("single_split"),
        )
        yield _case_only(seen, one, other, folded, right)
    yield Defect(
        statement="texts with different label sets",
        stated=74,
        found=seen.profile["conflicts"]["emotion"],
        where=seen.outcome("one_answer", "emotion"),
        right=75,
        why=trimmed,
    )
    for split, stated, right in (("train", 183, 184), ("validation", 3, None), ("test", 6, None)):
        yield Defect(
            statement=f"duplicate rows inside {split}",
            stated=stated,
            found=seen.surplus(split),
            where="profile: rows joined",
            right=right,
            why=trimmed if right else "",
        )
    rare = (("grief", 77, None), ("pride", 111, 110), ("relief", 153, None), ("nervousness", 164, 163))
    for label, stated, right in rare:
        yield Defect(
            statement=f"rare label: `{label}` in train",
            stated=stated,
            found=seen.labelled("emotion", "train", label),
            where=f"profile: label counts ({seen.outcome('rows_per_label', 'emotion')})",
            right=right,
            why="one of them is a repeated text: joined, in conflict or kept in the later split"
            if right
            else "",
        )


def _bitext(seen: Seen) -> Iterator[Defect]:
    every = seen.profile["heads"]["tags"]["splits"]["train"]
    yield Defect(
        statement="train rows with tag B: all of them",
        stated=6480,
        found=every["counts"]["B"] if every["labelled"] == every["counts"]["B"] else 0,
        where=seen.outcome("informative_labels", "tags"),
    )
    yield Defect(
        statement="labels that apply to every row",
        stated=1,
        found=seen.rule("informative_labels", "tags").count or 0,
        where=seen.outcome("informative_labels", "tags"),
    )
    yield Defect(
        statement="train rows with tag N, undocumented",
        stated=99,
        found=every["counts"]["N"],
        where="profile: label counts (its meaning is not known)",
    )
    yield Defect(
        statement="tags that occur (README: 11)",
        stated=12,
        found=len(seen.profile["heads"]["tags"]["labels"]),
        where="profile: labels",
    )
    empty = 6480 - seen.profile["heads"]["entity"]["splits"]["train"]["labelled"]
    yield Defect(
        statement="train rows without entity type",
        stated=3937,
        found=empty,
        where=seen.outcome("coverage", "entity"),
    )
    for one, other, stated in (("train", "validation", 33), ("train", "test", 36), ("validation", "test", 2)):
        yield _case_only(seen, one, other, stated)
    for split, stated, right in (("test", 92, 42), ("validation", 83, 42)):
        yield Defect(
            statement=f"{split} texts equal to a train text but for word order and digits",
            stated=stated,
            found=seen.almost_equal("train", split),
            where=seen.outcome("near_duplicates"),
            right=right,
            why="another word order is not looked at: these share 90% of their 5-grams as they stand",
        )


def _banking(seen: Seen) -> Iterator[Defect]:
    yield Defect(
        statement="validation rows given",
        stated=0,
        found=seen.rows.filter(pl.col("split_given") == "validation").height,
        where=f"carved out of train: {seen.profile['rows']['validation']:,} texts",
    )
    merged: dict[str, int] = {}
    for split in ("train", "validation"):
        for label, number in seen.profile["heads"]["intent"]["splits"][split]["counts"].items():
            merged[label] = merged.get(label, 0) + number
    for says, stated, found in (
        ("fewest train rows of a label", 35, min(merged.values())),
        ("most train rows of a label", 187, max(merged.values())),
    ):
        yield Defect(
            statement=says,
            stated=stated,
            found=found,
            where=f"profile: label counts ({seen.outcome('imbalance', 'intent')})",
        )
    yield _case_only(seen, "train", "test", 25)


def _dynasent(seen: Seen) -> Iterator[Defect]:
    for split in ("train", "test"):
        given = seen.rows.filter(pl.col("split_given") == split)
        yield Defect(
            statement=f"rows of {split} (3,600 + 720)",
            stated=4320,
            found=given.height,
            where="profile: input rows",
        )
    for label in ("positive", "neutral", "negative"):
        splits = seen.profile["heads"]["sentiment"]["splits"]
        yield Defect(
            statement=f"balanced: `{label}` in all (1,200 + 240 of each file)",
            stated=2880,
            found=sum(int(of["counts"][label]) for of in splits.values()),
            where=f"profile: label counts ({seen.outcome('rows_per_label', 'sentiment')})",
        )
    yield Defect(
        statement="duplicate texts",
        stated=0,
        found=seen.rows.height - seen.texts.height,
        where="profile: rows joined",
    )
    yield Defect(
        statement="texts with different labels",
        stated=0,
        found=seen.profile["conflicts"]["sentiment"],
        where=seen.outcome("one_answer", "sentiment"),
    )
    yield _case_only(seen, "train", "test", 2)


def _case_only(seen: Seen, one: str, other: str, stated: int, right: int | None = None) -> Defect:
    why = "one more holds the same 5-grams in another number, as laughter of another length does"
    return Defect(
        statement=f"texts in {one} and {other}, case and punctuation aside",
        stated=stated,
        found=seen.equal_but_for_case(one, other),
        where=seen.outcome("near_duplicates"),
        right=right,
        why=why if right else "",
    )


_DEFECTS: dict[str, Callable[[Seen], Iterator[Defect]]] = {
    "generated": _generated,
    "openai_moderation": _moderation,
    "jigsaw": _jigsaw,
    "goemotions": _goemotions,
    "bitext": _bitext,
    "banking77": _banking,
    "dynasent": _dynasent,
}
