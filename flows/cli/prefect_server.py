"""Which Prefect server a command's run talks to, and what to do where there is none.

A server that is named by `PREFECT_API_URL` has to answer within seconds; without one a temporary server is
started on the state folder's own database. Prefect itself would retry a silent server and end in a traceback,
and start a temporary server that can't start for ever. The temporary server takes nine seconds of processor
time to start, so it is started first and waited for last. Does not know flows."""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import importlib.util
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from flows.prefect_runs import end_orphan_servers, own_temporary_server
from flows.server.new_database import begin_database
from flows.state_folder import prepare
from model.errors import HeadgateError
from model.jobs.preloaded import end_with_parent
from release.databases import database_problem
from release.home import Home

ANSWER_S = 5.0
"""Longest wait for a named server, in seconds."""
DATABASE = "prefect.db"
MIGRATIONS = "server/database/_migrations/versions/sqlite"
"""Folder within Prefect with a module for each revision of its database."""


LOOPBACK = "127.0.0.1"
START_VARIABLE = "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"
"""Longest wait for the temporary server, in seconds."""
LOOK_S = 0.05
"""Seconds between two looks whether it answers."""
END_S = 5.0
"""How long it may take to end, in seconds."""
SETTINGS = {"prefect.toml": "", ".env": "PREFECT_", "pyproject.toml": "tool.prefect"}
"""Files of the current folder in which Prefect looks for settings, such as a server's address; what they hold
then."""


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
    _refuse_unusable_database(settings.home / DATABASE)


def _refuse_unusable_database(database: Path) -> None:
    problem = database_problem(database)
    if problem in ("", "empty"):  # Prefect fills an empty one
        problem = _newer_revision(database)
    if problem:
        raise PrefectProblem(
            f"{database}: Prefect's database can't be used: {problem}. It holds the history of runs and "
            "nothing that Headgate needs: restore it from a backup, or begin a new one with "
            f"`mv {database} {database}.damaged`, and run again"
        )


class TemporaryServer:
    """Prefect's server on a state folder's own database, for one run. It ends with the thread that started
    it."""

    def __init__(self) -> None:
        """Start it; `prepare` has set where its database is."""
        with socket.socket() as free:
            free.bind((LOOPBACK, 0))
            port = free.getsockname()[1]
        self.url = f"http://{LOOPBACK}:{port}/api"
        self.start_s = 0.0
        """Seconds from its start until it was `used`, and known to answer; 0 before."""
        self._begun_s = time.monotonic()
        found = importlib.util.find_spec("prefect")
        assert found is not None and found.origin is not None
        # As Prefect starts its own: without pages, and to be known as one that a run started.
        marks = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
        app = ["--app-dir", str(Path(found.origin).parents[1]), "--factory"]
        listen = ["--host", LOOPBACK, "--port", str(port), "--log-level", "error", "--lifespan", "on"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", *app, "prefect.server.api.server:create_app", *listen],
            env={**os.environ, **marks},
            stdin=subprocess.DEVNULL,
            preexec_fn=end_with_parent,
        )
        self._used = False
        # Not when the run ends: Prefect still sends lines of its log until the program does.
        atexit.register(self.end)

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Meanwhile runs talk to it.

        Raises:
            PrefectProblem: it does not answer.
        """
        from prefect.settings import PREFECT_API_URL, temporary_settings

        self._wait()
        self.start_s = time.monotonic() - self._begun_s
        self._used = True
        with temporary_settings({PREFECT_API_URL: self.url}):
            yield

    def _wait(self) -> None:
        until = time.monotonic() + float(os.environ.get(START_VARIABLE, 90))
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise lost_server(f"it ended with code {self._process.returncode} before it answered")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=ANSWER_S):
                return
            time.sleep(LOOK_S)
        raise lost_server("it did not answer in time")

    def end_unused(self) -> None:
        """End it, unless runs talked to it."""
        if not self._used:
            self.end()

    def end(self) -> None:
        """End it; doing so again changes nothing."""
        atexit.unregister(self.end)
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def begin_server(home: Path) -> tuple[TemporaryServer | None, list[str]]:
    """(The temporary server of a run on the state folder `home`, which starts from now on; what was put right
    before). None where a server is named, or may be.

    Raises:
        PrefectProblem: its database can't be used.
    """
    if os.environ.get("PREFECT_API_URL") or any(map(_holds, SETTINGS, SETTINGS.values())):
        return None, []
    if "prefect" in sys.modules:  # somebody has used it here: whatever it talks to stays
        return None, []
    if os.environ.get("PREFECT_SERVER_EPHEMERAL_ENABLED", "true").lower() not in ("1", "true"):
        return None, []
    database = Path(os.environ.get("PREFECT_HOME", home / "prefect")) / DATABASE
    _refuse_unusable_database(database)
    begin_database(database)
    said = end_orphan_servers(Home(home))
    own_temporary_server()
    return TemporaryServer(), said


@contextlib.contextmanager
def server_begun(home: Path) -> Iterator[tuple[TemporaryServer | None, list[str]]]:
    """What `begin_server` gives, on a state folder that is there; a server that no run needed ends
    afterwards."""
    prepare(home, on_console=True)
    server, said = begin_server(home)
    try:
        yield server, said
    finally:
        if server is not None:
            server.end_unused()


def _holds(file: str, words: str) -> bool:
    try:
        return words in Path(file).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return False
    except OSError:
        return True


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
