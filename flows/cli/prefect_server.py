"""Which Prefect server a command's run talks to, and what to do where there is none.

A server that is named by `PREFECT_API_URL` has to answer within seconds; without one a temporary server is
started on the state folder's own database. Prefect itself would retry a silent server and end in a traceback,
and start a temporary server that can't start for ever. Does not know flows.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib.util
import sqlite3
import threading
from pathlib import Path

from model.errors import HeadgateError
from release.databases import database_problem

ANSWER_S = 5.0
"""Longest wait for a named server, in seconds."""
DATABASE = "prefect.db"
MIGRATIONS = "server/database/_migrations/versions/sqlite"
"""Folder within Prefect with a module for each revision of its database."""


class PrefectProblem(HeadgateError):
    """Prefect's server does not answer, or its database can't be used; nothing was begun."""


def refuse_unusable_server() -> None:
    """Return if runs have a server: the named one answers, or the temporary one's database is sound.

    Raises:
        PrefectProblem: they have none; said within ten seconds.
    """
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    if settings.api.url:
        if failure := _failure_to_answer():
            raise lost_server(failure)
        return
    database = settings.home / DATABASE
    problem = database_problem(database)
    if problem in ("", "empty"):  # Prefect fills an empty one
        problem = _newer_revision(database)
    if problem:
        raise PrefectProblem(
            f"{database}: Prefect's database can't be used: {problem}. It holds the history of runs and "
            "nothing that Headgate needs: restore it from a backup, or begin a new one with "
            f"`mv {database} {database}.damaged`, and run again"
        )


def lost_server(failure: object) -> PrefectProblem:
    """What to say where the server of a run can't be used, for this reason."""
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    reason = (str(failure).strip() or type(failure).__name__).splitlines()[0]
    if url:
        return PrefectProblem(
            f"the Prefect server {url} can't be used: {reason}. It is named by PREFECT_API_URL (or by a "
            "prefect.toml or .env here): start it, correct the address, or unset it, and a temporary server "
            "is used"
        )
    return PrefectProblem(
        f"the temporary Prefect server was lost: {reason}. Run again: the next start puts right what this "
        "one left half done"
    )


def _failure_to_answer() -> str:
    """Why the named server gives no answer that counts; empty where it does."""
    failure = [f"no answer within {ANSWER_S:g} s"]

    def ask() -> None:
        from prefect.client.orchestration import get_client

        try:
            with get_client(sync_client=True, httpx_settings={"timeout": ANSWER_S}) as client:
                client.api_version()
        except Exception as error:  # whatever the client raises, the server can't be used
            failure[0] = str(error) or type(error).__name__
        else:
            failure.clear()

    # In a thread, because Prefect's client retries for longer than anybody waits.
    asking = threading.Thread(target=contextvars.copy_context().run, args=(ask,), daemon=True)
    asking.start()
    asking.join(ANSWER_S)
    return failure[0] if failure else ""


def _newer_revision(database: Path) -> str:
    """Why this Prefect can't bring the database to its own revision; empty where it can."""
    found = importlib.util.find_spec("prefect")
    if not database.is_file() or found is None or found.origin is None:
        return ""
    uri = f"{database.resolve().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as opened:
            revisions = [row[0] for row in opened.execute("SELECT version_num FROM alembic_version")]
    except sqlite3.Error:
        return ""  # no such table yet
    modules = list(Path(found.origin).parent.glob(f"{MIGRATIONS}/*.py"))
    known = "\n".join(path.read_text(encoding="utf-8") for path in modules)
    unknown = [revision for revision in revisions if modules and f'"{revision}"' not in known]
    return f"a newer version of Prefect wrote it (revision {unknown[0]})" if unknown else ""
