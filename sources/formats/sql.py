"""Read the rows of an SQL query, by SQLAlchemy. The address of the database comes from the environment and
is a secret: neither it nor any part of it ever stands in a message.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import sqlalchemy as sa

from sources.errors import BadTable, Problem, UnreadableSource, one_of
from sources.formats.columnar import from_arrow
from sources.formats.locate import AbsentPath
from sources.formats.table import CHUNK_ROWS, Table, Wanted

WRITTEN = (Decimal, date, time, UUID)
"""Types of cells that are read as they are written."""


def read_sql(
    query: str, variable: str, name: str, wanted: Wanted, environment: Mapping[str, str] | None = None
) -> Table:
    """The wanted columns of a query's rows; a line is a row's number, from 1. Nothing is ever committed.

    Args:
        variable: name of the environment variable that holds the database's address.
        name: as messages call the source.

    Raises:
        AbsentPath: the variable is not set, or the SQLite file that it names is not there.
        UnreadableSource: the address or driver is unusable, or the database cannot be reached.
        BadTable: the query cannot be run, gives a column twice, or no rows; columns as
        `sources.formats.columnar`.
    """
    engine = _engine(variable, name, os.environ if environment is None else environment)
    try:
        try:
            connection = engine.connect()
        except Exception as error:
            # Drivers raise types of their own, and put hosts, users and addresses into their messages.
            seen = f"the database cannot be reached ({type(error).__name__})"
            advice = f"Check the address in {variable}, the network, and that the server runs."
            raise UnreadableSource(Problem(seen, advice=advice, file=name)) from None
        with connection:
            columns, rows = _rows(connection, query, name, wanted)
    finally:
        engine.dispose()
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        advice = "Give each column a name of its own with AS."
        raise BadTable(Problem("the query gives the column twice", "", advice, file=name, column=twice[0]))
    if not rows:
        raise BadTable(Problem("the query gives no rows", "at least one", file=name))
    cells = list(zip(*rows, strict=True))
    table = {
        column: _array(cells[at], column, name, wanted)
        for at, column in enumerate(columns)
        if column in wanted.columns or (wanted.all_columns and not any(map(_is_bytes, cells[at])))
    }
    if not table:
        raise BadTable(Problem("the query gives none of the columns", one_of(wanted.columns), file=name))
    return from_arrow(pa.table(table), name, wanted)


def _engine(variable: str, name: str, environment: Mapping[str, str]) -> sa.Engine:
    address = environment.get(variable)
    if not address:
        seen = f"the environment variable {variable} is not set"
        advice = "Set it to the database's address, such as `sqlite:////data/tickets.db`, before the run."
        raise AbsentPath(Problem(seen, advice=advice, file=name))
    try:
        url = sa.make_url(address)
        file = url.database if url.get_backend_name() == "sqlite" else None
        engine = sa.create_engine(url, poolclass=sa.NullPool)
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        missing = f" ({error.name})" if isinstance(error, ImportError) and error.name else ""
        seen = f"the database's driver is not installed{missing}"
        advice = "Install it beside Headgate, for instance `pip install psycopg` for PostgreSQL."
        raise UnreadableSource(Problem(seen, advice=advice, file=name)) from None
    except Exception as error:
        # What is wrong with an address may be told by quoting it.
        seen = f"{variable} holds no address that SQLAlchemy understands ({type(error).__name__})"
        expected = "DIALECT+DRIVER://USER:PASSWORD@HOST/DATABASE"
        raise UnreadableSource(Problem(seen, expected, file=name)) from None
    if file and file != ":memory:" and not file.startswith("file:") and not Path(file).is_file():
        # SQLite would make an empty database there.
        seen = f"the SQLite file that {variable} names is not there"
        raise AbsentPath(Problem(seen, "a database file", file=name))
    return engine


def _rows(
    connection: sa.Connection, query: str, name: str, wanted: Wanted
) -> tuple[list[str], Sequence[Sequence[Any]]]:
    """(Names of the columns, the rows) of the query, at most `wanted.limit`."""
    try:
        # Neither a colon nor a percent sign in a query is a parameter.
        options = {"stream_results": True, "max_row_buffer": CHUNK_ROWS, "no_parameters": True}
        result = connection.execution_options(**options).exec_driver_sql(query)
        if not result.returns_rows:
            raise BadTable(Problem("the query gives no table", "a SELECT", file=name))
        limit = wanted.limit
        return list(result.keys()), result.fetchall() if limit is None else result.fetchmany(limit)
    except sa.exc.SQLAlchemyError as error:
        # The driver's words may hold cells and the address; only what kind of error it is, is told.
        cause = getattr(error, "orig", None) or error
        seen = f"the query cannot be run ({type(cause).__name__})"
        advice = (
            "Run it by hand against the same database: names of tables and columns, and the right to read."
        )
        raise BadTable(Problem(seen, "a SELECT that the database accepts", advice, file=name)) from None


def _array(cells: Sequence[Any], column: str, name: str, wanted: Wanted) -> pa.Array:
    """One column; cells of several types, which SQLite allows, are read as they are written."""
    if any(map(_is_bytes, cells)):
        raise BadTable(
            Problem("the column holds bytes", "text or labels", "CAST it.", file=name, column=column)
        )
    plain = [str(cell) if isinstance(cell, WRITTEN) else cell for cell in cells]
    if len({type(cell) for cell in plain if cell is not None}) > 1 and column != wanted.text:
        plain = [None if cell is None else str(cell) for cell in plain]
    try:
        return pa.array(plain)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        expected = "strings, numbers, booleans or lists of them"
        raise BadTable(
            Problem("the column holds cells of several types", expected, "CAST it.", file=name, column=column)
        ) from None


def _is_bytes(cell: object) -> bool:
    return isinstance(cell, bytes | bytearray | memoryview)
