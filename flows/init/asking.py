"""What is asked on a terminal where a guess is not sure; without one the guess is taken and said."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import click

from flows.cli import exit_codes
from flows.cli.options import fail
from model.suggestions import did_you_mean
from serving.shown import one_line
from sources.look.columns import Column
from sources.look.file import LookedAt, look_at
from sources.look.peek import Peeked
from sources.look.texts import guess_text


@dataclass(slots=True)
class Asker:
    """Asks, or takes the guess."""

    asks: bool
    """Whether somebody is there to answer."""
    text: str | None = None
    """Column of the texts, as given on the command line."""
    heads: tuple[str, ...] = ()
    """Columns of labels, as given on the command line."""
    guesses: list[str] = field(default_factory=list)
    """What was guessed and is worth a look, in words."""

    def looked_at(self, peeked: Peeked) -> LookedAt:
        """A file with its text column and its heads settled."""
        text = "text" if peeked.is_export else self._text(peeked)
        self.guesses += peeked.said
        found = look_at(peeked, text, [head for head in self.heads if head in peeked.columns])
        columns = tuple(self._head(column, peeked) if column.unsure else column for column in found.columns)
        return replace(found, columns=columns)

    def _text(self, peeked: Peeked) -> str:
        if self.text is not None and self.text in peeked.columns:
            return self.text
        guess = guess_text(peeked)
        if not guess.candidates:
            names = ", ".join(map(str, peeked.columns))
            fail(
                f"{peeked.file}: no column holds texts (columns: {names}); name it with --text COLUMN",
                exit_codes.USAGE,
            )
        first, *others = guess.candidates
        if not guess.unsure:
            return first
        if self.asks:
            choice = click.Choice(list(guess.candidates[:5]))
            answer: str = click.prompt(
                f"{peeked.file.name}: which column is the text?", type=choice, default=first
            )
            return answer
        self.guesses.append(
            f"{peeked.file.name}: the text is taken from `{first}`, not from {_named(others)} (--text)"
        )
        return first

    def _head(self, column: Column, peeked: Peeked) -> Column:
        """The column as a head, or as nothing to learn from."""
        if column.role not in ("head", "unused"):
            self.guesses.append(
                f"{peeked.file.name}: `{column.name}` is read as split: {dict(column.split_map)}"
            )
            return column
        labels = ", ".join(list(column.labels)[:4])
        if self.asks:
            question = (
                f"{peeked.file.name}: shall the model learn `{column.name}` ({column.why}: {labels} …)?"
            )
            learn = click.confirm(one_line(question), default=column.role == "head")
            return replace(column, role="head" if learn else "unused", unsure=False)
        taken = "is learned" if column.role == "head" else "is not learned"
        self.guesses.append(f"{peeked.file.name}: `{column.name}` {taken} ({column.why}); --head says it")
        return column


def refuse_unknown(asker: Asker, files: Collection[Peeked]) -> None:
    """Return if every column that the command line names is in a file; else end with the nearest name."""
    known = {column for file in files for column in file.columns}
    if any(file.is_export for file in files):
        return
    for column in (*asker.heads, *([asker.text] if asker.text is not None else [])):
        if column not in known:
            listed = ", ".join(sorted(known))
            near = did_you_mean(column, known)
            fail(f"no file has a column {column!r}{near}; expected one of {listed}", exit_codes.USAGE)


def _named(columns: Collection[str]) -> str:
    return " or ".join(f"`{column}`" for column in list(columns)[:3])
