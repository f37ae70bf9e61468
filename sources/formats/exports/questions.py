"""Which head is answered by which question of a labelling tool's file, and where its answers then stand.

A head's `column` names the question. Left out, it is the question that has the head's name, or the only one.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace

import polars as pl

from model.suggestions import did_you_mean
from sources.errors import BadTable, Problem, one_of
from sources.formats.exports.answers import NOTHING_CHOSEN, flag_column, plain_column
from sources.formats.table import Table
from sources.spec import SourceSpec, TargetSpec


def settle_questions(table: Table, spec: SourceSpec, heads: Collection[str]) -> tuple[Table, SourceSpec]:
    """The table and the declaration with the columns of each head filled in, so that both can be read like
    those of any other source. Where nothing was chosen for a question, the cell is missing or, with the
    head's `empty_means_none`, an empty list.

    Args:
        table: all files of the source.
        heads: the project's, for a source that names none: those that the file answers are taken.

    Raises:
        BadTable: a head without its question, a column that is not there.
    """
    found = _found(table, spec, heads)
    frame = table.frame
    targets: dict[str, TargetSpec] = {}
    lists = set(table.lists)
    notes = dict(table.notes)
    asked: dict[str, bool] = {}
    for head, (target, question) in found.items():
        if question is None:
            targets[head] = target
        elif labels := table.questions[question]:
            columns = {flag_column(question, label): label for label in labels}
            targets[head] = replace(target, column=None, columns=columns)
        else:
            none = target.empty_means_none
            column = question if asked.setdefault(question, none) == none else f"{question} for {head}"
            empty = table.frame[question] == NOTHING_CHOSEN
            meant = pl.lit("[]" if none else None, dtype=pl.String)
            cells = frame.select(pl.when(empty).then(meant).otherwise(table.frame[question]).alias(column))
            alone = _one_label_each(cells.to_series())
            frame = frame.with_columns(cells.to_series() if alone is None else alone)
            lists = lists | {column} if alone is None else lists - {column}
            targets[head] = replace(target, column=column)
            if (count := int(empty.sum())) and not none:
                notes[
                    f"answers without a label for `{head}` are unlabelled (for a multilabel head, "
                    "`empty_means_none: true` makes them texts to which no label applies)"
                ] = count
    used = {question for _, question in found.values()}
    plain = [q for q in table.questions if q not in used and plain_column(q) in frame]
    frame = frame.with_columns(pl.col(plain_column(question)).alias(question) for question in plain)
    read = Table(frame=frame, lists=frozenset(lists), questions=table.questions, notes=notes)
    return read, replace(spec, heads=dict(targets))


def _one_label_each(cells: pl.Series) -> pl.Series | None:
    """The cells as plain labels where no answer holds several: labels `0` and `1` are no flags then. None
    where one does, or says that none applies, or a label could be taken for a list."""
    alone: list[str | None] = []
    for cell in cells:
        labels = [None] if cell is None else json.loads(cell)
        if len(labels) != 1 or (labels[0] or "")[:1] in ("[", "{"):
            return None
        alone += labels
    return pl.Series(cells.name, alone, dtype=pl.String)


def _found(
    table: Table, spec: SourceSpec, heads: Collection[str]
) -> dict[str, tuple[TargetSpec, str | None]]:
    """Head → its target and question, or None where it is read from a column beside the answers."""
    questions = list(table.questions)
    only = questions[0] if len(questions) == 1 else None
    named = spec.targets or {head: TargetSpec() for head in heads}
    found: dict[str, tuple[TargetSpec, str | None]] = {}
    problems: list[Problem] = []
    for head, target in named.items():
        if target.columns is not None:
            absent = [column for column in target.source_columns if column not in table.frame]
            problems += [_no_question(head, column, questions) for column in absent]
            found[head] = (target, None)
        elif target.column is not None:
            if target.column in questions or target.column in table.frame:
                found[head] = (target, target.column if target.column in questions else None)
            else:
                problems.append(_no_question(head, target.column, questions))
        elif head in questions:
            found[head] = (target, head)
        elif only is not None and len(named) == 1:
            found[head] = (target, only)
        elif spec.heads:
            problems.append(_no_question(head, head, questions))
    if not found and not problems:
        seen = f"the file asks {_listed(questions)}, and the project's heads are {_listed(sorted(heads))}"
        advice = "Name each head's question: `heads: {HEAD: QUESTION}`."
        problems.append(Problem(seen, "a question of the name of a head", advice))
    if problems:
        raise BadTable(*problems)
    return found


def _no_question(head: str, column: str, questions: Collection[str]) -> Problem:
    seen = f"the file holds no question {column!r}{did_you_mean(column, questions)}"
    expected = one_of(questions) or "a question that is answered by labels"
    return Problem(seen, expected, f"Name it: `heads: {{{head}: QUESTION}}`.", head=head)


def _listed(names: Collection[str]) -> str:
    return ", ".join(repr(name) for name in names) or "no question that is answered by labels"
