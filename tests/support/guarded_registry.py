"""MLflow's tracking API behind a door that asks for credentials, on loopback, in a process of its own.

    with guarded_registry(FOLDER, ["Basic …", "Bearer …"]) as url: …

Whoever brings none of these headers is answered 401, with what he brought: some proxies repeat it.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from tests.support.traced import ROOT

START_S = 60.0
"""Longest wait for the server's port, in seconds."""
Application: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def basic(user: str, password: str) -> str:
    """The header of basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def bearer(token: str) -> str:
    """The header of a bearer token."""
    return f"Bearer {token}"


@contextmanager
def guarded_registry(folder: Path, accepted: Collection[str]) -> Iterator[str]:
    """The address of a server that takes only these headers; its store, artifacts and log lie in `folder`."""
    folder.mkdir(parents=True)
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.guarded_registry", str(folder)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert server.stdin is not None and server.stdout is not None
    try:
        server.stdin.write(json.dumps(list(accepted)) + "\n")
        server.stdin.flush()
        port = server.stdout.readline().strip()
        assert port, (folder / "log").read_text()[-2000:]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=START_S)
        server.stdin.close()
        server.stdout.close()


def guarded(application: Application, accepted: Collection[str]) -> Application:
    """An application that only those reach who bring one of these headers."""

    def door(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        given = environ.get("HTTP_AUTHORIZATION", "")
        if given in accepted or environ["PATH_INFO"] == "/health":
            return application(environ, start_response)
        said = {"error_code": "UNAUTHENTICATED", "message": f"not accepted: Authorization: {given}"}
        headers = [("Content-Type", "application/json"), ("WWW-Authenticate", 'Basic realm="mlflow"')]
        start_response("401 UNAUTHORIZED", headers)
        return [json.dumps(said).encode()]

    return door


def serve(folder: Path, accepted: Collection[str]) -> None:
    """Print the port and answer until the process is ended."""
    os.environ |= {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/store.sqlite",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }
    from mlflow.server import app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, guarded(app, accepted), threaded=True)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), set(json.loads(sys.stdin.readline())))
