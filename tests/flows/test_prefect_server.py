"""Which server a run talks to: what a profile says does not count; one that is named has to answer."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.cli.prefect_server import PrefectProblem, refuse_unusable_server
from flows.cli.running import compiles_anew

ROOT = Path(__file__).resolve().parents[2]
PROFILE = """active = "mine"
[profiles.mine]
PREFECT_API_URL = "http://127.0.0.1:9/api"
PREFECT_SERVER_EPHEMERAL_ENABLED = "false"
"""
SHOW = """
import json, sys
from pathlib import Path
from flows.state_folder import prepare
prepare(Path(sys.argv[1]), on_console=True)
from prefect.context import get_settings_context
context = get_settings_context()
settings = context.settings
print(json.dumps([settings.api.url, settings.server.ephemeral.enabled, context.profile.name]))
"""


def plain(folder: Path, **variables: str) -> dict[str, str]:
    """The variables of a user whose own folder is `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**kept, "HOME": str(folder), "PYTHONPATH": str(ROOT), **variables}


def settings_of_a_run(folder: Path, **variables: str) -> tuple[list[object], str]:
    """Address, whether a temporary server may start, name of the profile; and what was said on the way."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW, str(folder / "home")],
        cwd=folder,
        env=plain(folder, **variables),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize(
    ("place", "variables"),
    [
        ("home/prefect/profiles.toml", {}),
        (".prefect/profiles.toml", {}),
        (".prefect/profiles.toml", {"PREFECT_PROFILE": "mine"}),
        ("elsewhere.toml", {"PREFECT_PROFILES_PATH": "elsewhere.toml", "PREFECT_PROFILE": "mine"}),
        (".prefect/profiles.toml", {"PREFECT_API_URL": ""}),
        (".prefect/profiles.toml", {"PREFECT_PROFILE": "there-is-none"}),
    ],
    ids=["left behind", "the user's", "by name", "by path", "empty address", "absent"],
)
def test_no_profile_decides(place: str, variables: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(PROFILE)
    found, said = settings_of_a_run(tmp_path, **variables)
    assert found == [None, True, "ephemeral"] and "WARNING" not in said


def test_a_profile_that_is_no_toml_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / ".prefect").mkdir()
    (tmp_path / ".prefect" / "profiles.toml").write_text("[[[")
    assert settings_of_a_run(tmp_path)[0] == [None, True, "ephemeral"]


def test_a_named_server_and_the_users_profile_hold(tmp_path: Path) -> None:
    (tmp_path / ".prefect").mkdir()
    (tmp_path / ".prefect" / "profiles.toml").write_text(PROFILE)
    found, _ = settings_of_a_run(tmp_path, PREFECT_API_URL="http://127.0.0.1:8/api")
    assert found == ["http://127.0.0.1:8/api", False, "mine"]


def no_server() -> Iterator[int]:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def silent_server() -> Iterator[int]:
    """A port whose connections are never answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("server", [no_server, silent_server])
def test_a_named_server_that_does_not_answer_is_said_in_ten_seconds(
    server: Callable[[], Iterator[int]],
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    for port in server():
        url = f"http://127.0.0.1:{port}/api"
        began_s = time.monotonic()
        with (
            temporary_settings({PREFECT_API_URL: url}),
            pytest.raises(PrefectProblem, match=rf"{url} can't be used: .*start it, correct the address"),
        ):
            refuse_unusable_server()
        assert time.monotonic() - began_s < 10


def test_a_server_that_answers_is_taken(prefect_harness: None) -> None:
    refuse_unusable_server()


@pytest.mark.timeout(150)
def test_the_command_ends_with_the_address_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,topic\na,b\n")
    (tmp_path / "project.yaml").write_text(
        "name: p\nbackbone: offline\nheads: {topic: multiclass}\n"
        "sources: {rows: {path: rows.csv, heads: {topic: topic}}}\n"
    )
    for port in no_server():
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli.commands", "validate", "project.yaml"],
            cwd=tmp_path,
            env=plain(tmp_path, PREFECT_API_URL=f"http://127.0.0.1:{port}/api"),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
        assert f"http://127.0.0.1:{port}/api can't be used" in done.stderr


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    """Where the temporary server's database lies; no server is named."""
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    with temporary_settings({PREFECT_HOME: tmp_path}, restore_defaults={PREFECT_API_URL}):
        yield tmp_path / "prefect.db"


def test_no_database_and_an_empty_one_are_filled_by_prefect(database: Path) -> None:
    refuse_unusable_server()
    database.touch()
    refuse_unusable_server()


def _newer(path: Path) -> None:
    opened = sqlite3.connect(path)
    with opened:
        opened.execute("CREATE TABLE alembic_version (version_num TEXT)")
        opened.execute("INSERT INTO alembic_version VALUES ('f00f00f00f00')")
    opened.close()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: path.write_bytes(b"garbage" * 1000), "not a database"),
        (Path.mkdir, "not a file"),
        (_newer, r"a newer version of Prefect wrote it \(revision f00f00f00f00\)"),
    ],
)
def test_a_database_that_would_start_the_server_for_ever_is_said(
    database: Path, harm: Callable[[Path], None], said: str
) -> None:
    harm(database)
    with pytest.raises(PrefectProblem, match=rf"prefect\.db: .*{said}.*`mv "):
        refuse_unusable_server()
    assert database.exists()


def test_a_revision_of_this_prefect_is_known(database: Path) -> None:
    import prefect

    folder = Path(prefect.__file__).parent / "server/database/_migrations/versions/sqlite"
    known = sorted(folder.glob("2*.py"))[-1].name.split("_")[4]
    opened = sqlite3.connect(database)
    with opened:
        opened.execute("CREATE TABLE alembic_version (version_num TEXT)")
        opened.execute("INSERT INTO alembic_version VALUES (?)", (known,))
    opened.close()
    refuse_unusable_server()


BEGIN = """
import sys
from pathlib import Path
from flows.state_folder import prepare
home = Path(sys.argv[1])
prepare(home, on_console=True)
from flows.cli.prefect_server import begin_server
server, said = begin_server(home)
if server is not None:
    assert "prefect" not in sys.modules, "it starts before anything of Prefect is loaded"
    process = server._process
    if sys.argv[2:] == ["use"]:
        with server.used():
            from prefect.client.orchestration import get_client
            with get_client(sync_client=True) as client:
                assert client.api_healthcheck() is None and str(client.api_url).startswith(server.url)
    server.end_unused()
    print(process.pid, process.poll() is not None)
else:
    print("none")
"""


def begun(folder: Path, *arguments: str, **variables: str) -> list[str]:
    """What a process says that begins a temporary server on the state folder below `folder`."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN, str(folder / "home"), *arguments],
        cwd=folder,
        env=plain(folder, **variables),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("file", "holds", "variables"),
    [
        ("prefect.toml", "", {}),
        (".env", "PREFECT_API_URL=http://127.0.0.1:9/api", {}),
        ("pyproject.toml", '[tool.prefect.api]\nurl = "http://127.0.0.1:9/api"', {}),
        ("other.toml", "", {"PREFECT_API_URL": "http://127.0.0.1:9/api"}),
    ],
)
def test_no_temporary_server_is_begun_where_one_may_be_named(
    file: str, holds: str, variables: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / file).write_text(holds)
    assert begun(tmp_path, **variables) == ["none"]


def test_a_server_that_no_run_needed_is_ended(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('dependencies = ["prefect"]')
    assert begun(tmp_path)[1] == "True"


@pytest.mark.slow
def test_a_server_that_was_used_ends_with_its_process(tmp_path: Path) -> None:
    pid, ended = begun(tmp_path, "use")
    assert ended == "False", "Prefect sends the end of its log while the program ends"
    assert not Path(f"/proc/{pid}").exists()


def test_a_run_says_that_its_processes_compile_all_libraries_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))  # an empty place, where nothing is compiled
    assert compiles_anew()
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert not compiles_anew(), "it will be kept"
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    found = importlib.util.find_spec("prefect")
    assert found is not None and found.origin is not None
    compiled = Path(importlib.util.cache_from_source(found.origin))
    compiled.parent.mkdir(parents=True)
    compiled.touch()
    assert not compiles_anew(), "it was kept before"
