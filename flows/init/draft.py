"""From files to a draft: look, ask, merge on trial, and count the rows of each split."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.cli import exit_codes
from flows.cli.options import fail
from flows.init.asking import Asker, refuse_unknown
from flows.init.margins import Margin, decidable_margins
from flows.init.recipe import foreign_share, recipe_for
from flows.init.written import Draft
from model.errors import HeadgateError
from model.spec import HeadSpec
from serving.spec import DeploySpec
from sources.dataset import DatasetRef, build_dataset
from sources.errors import DataError, raise_together
from sources.formats.locate import locate
from sources.look.file import LookedAt, look_at
from sources.look.heads import Found, combined
from sources.look.peek import Peeked, peek
from sources.spec import SplitSpec

LEAST_ROWS = 20
"""Labelled rows of a head that every split must have (`expectations.min_rows_per_split`)."""
SPARE = 1.4
"""How many times that are aimed at: a hash does not share out exactly."""
MOST_VALIDATION = 0.3
"""Largest share of validation rows that is written."""
FOREIGN = 0.1
"""Share of letters that English does not have, from which the encoder is pointed out."""


def drafted(files: Sequence[Path], name: str, target: Path, asker: Asker) -> tuple[Draft, str]:
    """(What to write; what keeps the data from being used, empty if nothing).

    Args:
        target: file of the configuration.

    Raises:
        DataError: files that cannot be read; all of them at once.
    """
    peeked = _peeked(files)
    refuse_unknown(asker, peeked)
    looked = _with_known_heads([asker.looked_at(one) for one in peeked])
    found = combined([one for one in looked if _is_labelled(one)], target.resolve().parent)
    asker.guesses += [
        f"{one.peeked.file.name} labels nothing and is left out" for one in looked if not _is_labelled(one)
    ]
    if not found.heads:
        seen = "; ".join(f"{c.name} ({c.why})" for one in looked for c in one.columns) or "no other column"
        fail(f"no column looks like labels: {seen}. Name it with --head COLUMN", exit_codes.USAGE)
    texts = [text for one in looked for text in one.texts]
    if foreign_share(texts) > FOREIGN:
        asker.guesses.append("many letters are not English: choose a `backbone` of the texts' language")
    _point_out_twins(found, asker)
    data, profile, validation, problem = _merged(found, target.resolve().parent)
    heads = data.heads if data is not None else {}
    rows = data.rows["train"] if data is not None else sum(one.rows for one in looked)
    margins = decidable_margins(profile, heads)
    draft = Draft(
        name=name,
        file=target,
        found=found,
        margins={head: margins.get(head, Margin(margin=0.05, rows=0, needed=None)) for head in found.heads},
        recipe=recipe_for(texts, rows),
        validation=validation,
        port=_free_port(),
    )
    return draft, problem


def _peeked(files: Sequence[Path]) -> list[Peeked]:
    found: list[Peeked] = []
    errors: list[DataError] = []
    for file in files:
        inside = (
            [one.path for one in locate(str(file.resolve()), "auto", file.parent)]
            if file.is_dir()
            else [file]
        )
        for one in inside:
            try:
                found.append(peek(one))
            except DataError as error:
                errors.append(error)
    raise_together(errors)
    return found


def _with_known_heads(looked: Sequence[LookedAt]) -> list[LookedAt]:
    """The files, with what another one shows to be a head: a few rows alone do not."""
    known = {column.name for one in looked for column in one.columns if column.role == "head"}
    found = []
    for one in looked:
        own = [column.name for column in one.columns if column.role == "head"]
        more = [c.name for c in one.columns if c.role == "unused" and c.name in known and not c.labels]
        found.append(look_at(one.peeked, one.text, [*own, *more]) if more else one)
    return found


def _is_labelled(looked: LookedAt) -> bool:
    return any(column.role == "head" for column in looked.columns)


def _point_out_twins(found: Found, asker: Asker) -> None:
    """Heads of different sources with the same labels may be one question."""
    heads = list(found.heads.items())
    for at, (name, head) in enumerate(heads):
        for other, its in heads[at + 1 :]:
            if not set(head.sources) & set(its.sources) and set(head.labels) == set(its.labels):
                asker.guesses.append(
                    f"heads `{name}` and `{other}` have the same labels: if they ask one question, give both "
                    "columns one head's name under `sources`"
                )


def _merged(found: Found, base: Path) -> tuple[DatasetRef | None, dict[str, Any], float | None, str]:
    """(The data merged on trial, their profile, the share of validation rows that they need or None, and what
    keeps them from being merged)."""
    heads = {name: HeadSpec(kind=head.kind) for name, head in found.heads.items()}
    split = SplitSpec(conflicts="union" if found.union else "drop", near_duplicates="off")
    with tempfile.TemporaryDirectory(prefix="headgate-") as folder:
        try:
            data = build_dataset(found.sources, heads, split, base, Path(folder))
            validation = _validation_share(data, split)
            if validation is not None:
                split = replace(split, validation=validation)
                data = build_dataset(found.sources, heads, split, base, Path(folder))
            profile: dict[str, Any] = json.loads((data.path / "profile.json").read_text(encoding="utf-8"))
        except HeadgateError as error:
            return None, {}, None, str(error)
        return data, profile, validation, _too_few(profile)


def _validation_share(data: DatasetRef, split: SplitSpec) -> float | None:
    """A larger share than the default, where that leaves a head with too few rows to validate on."""
    heads = json.loads((data.path / "profile.json").read_text(encoding="utf-8"))["heads"]
    needed = split.validation
    for head in heads.values():
        labelled = {name: part["labelled"] for name, part in head["splits"].items()}
        if 0 < labelled["validation"] < LEAST_ROWS * SPARE:
            needed = max(needed, LEAST_ROWS * SPARE / max(1, sum(labelled.values())))
    return None if needed <= split.validation else round(min(MOST_VALIDATION, needed + 0.005), 2)


def _too_few(profile: dict[str, Any]) -> str:
    """Heads with fewer rows in a split than are demanded."""
    few = [
        f"head {name} has {part['labelled']} labelled rows in {split}; at least {LEAST_ROWS} are needed"
        for name, head in profile["heads"].items()
        for split, part in head["splits"].items()
        if part["labelled"] < LEAST_ROWS
    ]
    return "; ".join(few)


def _free_port() -> int:
    """The default port of endpoints, or the next that is free."""
    usual = DeploySpec()
    for port in range(usual.port, usual.port + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((usual.host, port))
                return port
            except OSError:
                continue
    return 0
