"""Help that ends no sentence early: the list of commands shows the first sentence of each, wrapped."""

from __future__ import annotations

import click


class WholeSentences(click.Group):
    """A group of commands whose list is not cut at the edge of the terminal."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with the first sentence of its help."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, first_sentence(command.help or "")))
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def first_sentence(help_text: str) -> str:
    """Up to the first full stop before a blank or the end, on one line."""
    first = " ".join(help_text.split("\n\n")[0].replace("\b", "").split())
    end = first.find(". ")
    return first if end < 0 else first[: end + 1]
