"""Made-up projects whose truth is known: texts of invented words, in which the first words decide.

The words at the front of a text say which labels apply; those at its end say nothing. So an encoder, which
reads order, can find the labels, and a bag of words can only half guess. `planted` makes a project useless in
one known way. Does not know gates.
"""

from __future__ import annotations

import csv
import random
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from tests.support.rough_timing import ROUGH_TIMING
from tests.support.tiny_encoder import make_tiny_backbone

FILLERS, OWN_WORDS, LONGEST = 30, 5, 24
"""Words that mean nothing; words a label has; tokens that the encoder reads."""
SPLITS = ("train",) * 5 + ("validation",) * 2 + ("test",) * 3
NOISE = 0.04
"""Share of the cells whose label is another one than the words say."""

Cell = tuple[str, ...]
"""Labels of one head on one row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeHead:
    """One question."""

    kind: str
    chances: tuple[float, ...]
    """Of each label: multiclass, how frequent it is; multilabel, how often it applies."""
    metric: str | None = None

    def labels(self, name: str) -> list[str]:
        """Names of the labels."""
        return [f"{name}{number}" for number in range(len(self.chances))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One text with its labels."""

    text: str
    split: str
    cells: Mapping[str, Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One project."""

    name: str
    heads: Mapping[str, MadeHead]
    count: int
    """Rows of all splits."""
    epochs: int = 6
    seed: int = 1
    gates: Mapping[str, Any] = field(default_factory=dict)
    """Settings beside those of `LENIENT`."""


LENIENT = {
    **ROUGH_TIMING,
    "http_rate_per_s": 60,
    "max_memory_ratio": 20,
    "margin": 0.15,
}
"""Gates that look at time only roughly, and at the baselines with a margin that few rows can decide: here the
rules against useless models are tried."""


def vocabulary(count: int) -> list[str]:
    """So many invented words, all different."""
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    most = len(syllables)
    return [syllables[n % most] + syllables[(n * 37 + n // most * 11) % most] for n in range(count)]


def words_of(world: World) -> tuple[list[str], dict[str, list[list[str]]]]:
    """Words that mean nothing, and head → label → its words."""
    wanted = sum(len(head.chances) for head in world.heads.values()) * OWN_WORDS
    every = vocabulary(FILLERS + wanted)
    rest = iter(every[FILLERS:])
    own = {
        name: [[next(rest) for _ in range(OWN_WORDS)] for _ in head.chances]
        for name, head in world.heads.items()
    }
    return every[:FILLERS], own


def made_rows(world: World) -> list[Row]:
    """The rows of a sound project."""
    dice = random.Random(world.seed)
    fillers, own = words_of(world)
    rows: dict[str, Row] = {}
    while len(rows) < world.count:
        front: list[str] = []
        back: list[str] = []
        cells: dict[str, Cell] = {}
        for name, head in world.heads.items():
            true, decoys = _drawn(head, dice), _drawn(head, dice)
            front += [dice.choice(own[name][label]) for label in true]
            back += [dice.choice(own[name][label]) for label in decoys]
            told = _drawn(head, dice) if dice.random() < NOISE else true
            cells[name] = tuple(head.labels(name)[label] for label in told)
        dice.shuffle(front)
        text = " ".join([*front, *(dice.choice(fillers) for _ in range(5)), *back])
        # In the order of drawing, so that the splits hold what the seed says whatever the process.
        rows.setdefault(text, Row(text=text, split=SPLITS[len(rows) % len(SPLITS)], cells=cells))
    return list(rows.values())


def _drawn(head: MadeHead, dice: random.Random) -> list[int]:
    if head.kind == "multiclass":
        return dice.choices(range(len(head.chances)), head.chances)
    return [label for label, chance in enumerate(head.chances) if dice.random() < chance]


def known_words(world: World) -> list[str]:
    """All words of a world, as an encoder that fits it knows them."""
    fillers, own = words_of(world)
    return [*fillers, *(word for head in own.values() for label in head for word in label)]


def write_project(world: World, rows: Sequence[Row], folder: Path, words: Sequence[str]) -> Path:
    """The project on disk with an encoder of its own, which knows `words`; returns its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    make_tiny_backbone(folder / "encoder", words=words, keeps_accents=True)
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "split", *world.heads])
        for row in rows:
            writer.writerow([row.text, row.split, *("|".join(row.cells[head]) for head in world.heads)])
    targets: dict[str, Any] = {
        name: name
        if head.kind == "multiclass"
        else {"column": name, "encoding": "separator", "separator": "|", "empty_means_none": True}
        for name, head in world.heads.items()
    }
    heads = {
        name: {
            "kind": head.kind,
            "labels": head.labels(name),
            **({"metric": head.metric} if head.metric else {}),
        }
        for name, head in world.heads.items()
    }
    project = {
        "name": world.name,
        "backbone": str(folder / "encoder"),
        "heads": heads,
        "sources": {"rows": {"path": "rows.csv", "split_column": "split", "heads": targets}},
        "train": {
            "epochs": world.epochs,
            "learning_rate": 5e-3,
            "head_learning_rate": 1e-2,
            "max_length": LONGEST,
            "threads": 1,
        },
        "package": {"precision": "float32"},
        "gates": {**LENIENT, **world.gates},
        "deploy": {"threads": 1, "port": 0},
    }
    path = folder / "project.yaml"
    path.write_text(yaml.safe_dump(project, sort_keys=False), encoding="utf-8")
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A project with one thing wrong."""

    world: World
    rows: Sequence[Row]
    words: Sequence[str]
    """What its encoder knows."""


def sound(world: World) -> Planted:
    """Nothing is wrong."""
    return Planted(world=world, rows=made_rows(world), words=known_words(world))


def labels_shuffled_in_training(made: Planted) -> Planted:
    """Training and validation rows bear labels of other rows."""
    return replace(made, rows=_dealt(made, lambda row: row.split != "test"))


def labels_shuffled_everywhere(made: Planted) -> Planted:
    """No text says anything of its labels: the baselines are as bad as the shared model."""
    return replace(made, rows=_dealt(made, lambda row: True))


def _dealt(made: Planted, which: Callable[[Row], bool]) -> list[Row]:
    places = [at for at, row in enumerate(made.rows) if which(row)]
    others = places.copy()
    random.Random(made.world.seed + 1).shuffle(others)
    rows = list(made.rows)
    for place, other in zip(places, others, strict=True):
        rows[place] = replace(made.rows[place], cells=made.rows[other].cells)
    return rows


def one_head_permuted_in_training(made: Planted) -> Planted:
    """In training and validation each label of the first head bears the name of its neighbour."""
    name, head = next(iter(made.world.heads.items()))
    labels = head.labels(name)
    after = dict(zip(labels, labels[1:] + labels[:1], strict=True))
    rows = [
        row
        if row.split == "test"
        else replace(row, cells={**row.cells, name: tuple(after[label] for label in row.cells[name])})
        for row in made.rows
    ]
    return replace(made, rows=rows)


def unknown_to_the_encoder(made: Planted) -> Planted:
    """The encoder knows other words than the texts have."""
    return replace(made, words=[word + "x" for word in made.words])


def all_cut_off(made: Planted) -> Planted:
    """What decides stands behind what the encoder reads."""
    dice = random.Random(made.world.seed + 2)
    fillers, _ = words_of(made.world)
    rows = [
        replace(row, text=" ".join([*(dice.choice(fillers) for _ in range(LONGEST)), row.text]))
        for row in made.rows
    ]
    return replace(made, rows=rows)


RARE_CHANCE = 0.04
"""Share of the rows that bear the label which no text tells of."""


def rare_label_never_found(made: Planted) -> Planted:
    """The first head has one more label, which texts say nothing about."""
    name, head = next(iter(made.world.heads.items()))
    world = replace(
        made.world, heads={**made.world.heads, name: replace(head, chances=(*head.chances, RARE_CHANCE))}
    )
    rare = world.heads[name].labels(name)[-1]
    dice = random.Random(made.world.seed + 3)
    rows = []
    for row in made.rows:
        if dice.random() < RARE_CHANCE:
            before = () if head.kind == "multiclass" else row.cells[name]
            row = replace(row, cells={**row.cells, name: (*before, rare)})
        rows.append(row)
    return replace(made, world=world, rows=rows)


def decomposed(made: Planted) -> Planted:
    """Every word has an accent, and the encoder knows the words decomposed (NFD) only, which no text is after
    merging."""

    def accented(word: str) -> str:
        return unicodedata.normalize("NFD", f"{word[0]}é{word[1:]}")

    rows = [replace(row, text=" ".join(map(accented, row.text.split()))) for row in made.rows]
    return replace(made, rows=rows, words=[accented(word) for word in made.words])
