"""Other servers of models on one bundle, each in an environment of its own, made by its ordinary client."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from model.bundle import __path__ as bundle_code
from model.bundle.telemetry import SWITCHES

INSTALL_S, START_S = 400, 150
NEEDED = ("numpy", "onnxruntime", "openvino", "tokenizers")
_LOAD = """
from bundle_code.reader import Bundle
bundle = Bundle.load({folder!r}, threads={threads})
def answers(texts):
    return [{{h: a.labels for h, a in row.items()}} for row in bundle.predict(texts)]
"""
_BENTOML = (
    _LOAD
    + """
import bentoml
@bentoml.service(traffic={{"timeout": 60}}, workers=1)
class Peer:
    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=30000)
    def predict(self, texts: list[str]) -> list[dict]:
        return answers(texts)
"""
)
_MLSERVER = (
    _LOAD
    + """
import json
from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
class Peer(MLModel):
    async def load(self):
        return True
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        found = [json.dumps(row) for row in answers(StringCodec.decode_input(payload.inputs[0]))]
        outputs = [StringCodec.encode_output("answers", found)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
"""
)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers: where, on what route, and how a text is asked for."""

    port: int
    route: str
    before: str
    """What stands before the text, itself JSON, in a body."""
    after: str


@contextlib.contextmanager
def peer_server(bundle: Path, place: Path, name: str, threads: int, kept: Path | None) -> Iterator[Server]:
    """`mlserver` or `bentoml` on the bundle.

    Args:
        place: a new folder for its files.
        kept: folder of environments from which its own is taken, and where it is left; none: it is made anew.

    Raises:
        RuntimeError: it can't be installed, or does not come up.
    """
    place.mkdir(parents=True)
    python = installed(name, kept or place)
    shutil.copytree(bundle_code[0], place / "bundle_code")
    source = (_BENTOML if name == "bentoml" else _MLSERVER).format(folder=str(bundle), threads=threads)
    (place / "peer.py").write_text(source)
    port, other, third = _free_ports(3)
    if name == "bentoml":
        command = [str(python.with_name("bentoml")), "serve", "peer:Peer", "--port", str(port)]
        server = Server(port, "/predict", '{"texts": [', "]}")
    else:
        settings = {"http_port": port, "grpc_port": other, "metrics_port": third, "parallel_workers": 0}
        (place / "settings.json").write_text(json.dumps({**settings, "host": "127.0.0.1"}))
        about = {"name": "peer", "implementation": "peer.Peer", "max_batch_size": 32, "max_batch_time": 0.005}
        (place / "model-settings.json").write_text(json.dumps(about))
        command = [str(python.with_name("mlserver")), "start", str(place)]
        inputs = '{"inputs": [{"name": "texts", "shape": [1], "datatype": "BYTES", "data": ['
        server = Server(port, "/v2/models/peer/infer", inputs, "]}]}")
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    quiet = {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(place / "home")}
    with _running(server, command, place, {**quiet, "PYTHONPATH": str(place), "PATH": path}):
        yield server


@contextlib.contextmanager
def mlflow_server(bundle: Path, place: Path, threads: int) -> Iterator[Server]:
    """`mlflow models serve` on the bundle as it is registered.

    Raises:
        RuntimeError: it does not come up.
    """
    from mlflow.models import Model

    from release.registry import model as pyfunc

    (place / "code").mkdir(parents=True)
    shutil.copytree(bundle, place / "bundle")
    pyfunc.save(place / "bundle", place / "model", place / "code", Model())
    [port] = _free_ports(1)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(place / "model")]
    command += ["--env-manager", "local", "-h", "127.0.0.1", "-p", str(port), "--workers", "1"]
    server = Server(port, "/invocations", '{"inputs": [', "]}")
    with _running(server, command, place, environment):
        yield server


@contextlib.contextmanager
def _running(
    server: Server, command: Sequence[str], place: Path, environment: Mapping[str, str]
) -> Iterator[None]:
    """Meanwhile a server runs, in a session of its own, that answers."""
    with (place / "log").open("w") as log:
        child = subprocess.Popen(
            command,
            cwd=place,
            env={**os.environ, **SWITCHES, **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait_for(server, child, place / "log")
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
            child.wait(timeout=30)


def processor_s(port: int) -> float:
    """Processor time so far of all processes in the session of the one that listens on a port."""
    listening = psutil.net_connections("tcp4")
    pids = [c.pid for c in listening if c.status == psutil.CONN_LISTEN and c.laddr.port == port and c.pid]
    session, spent = os.getsid(pids[0]), 0.0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(process.pid) == session:
                taken = process.cpu_times()
                spent += taken.user + taken.system
    return spent


def installed(name: str, folder: Path) -> Path:
    """The interpreter of an environment `folder/NAME` that has the server, and the engines of this one in the
    same versions; made by uv where that is there, else by pip, from the index that pip is configured for.

    Raises:
        RuntimeError: it can't be installed.
    """
    python = folder / f"env-{name}" / "bin" / "python"
    done = python.with_name("installed")
    if done.exists():
        return python
    venv.create(python.parents[1], with_pip=True, clear=True)
    needed = []
    for package in NEEDED:
        with contextlib.suppress(PackageNotFoundError):
            needed.append(f"{package}=={version(package)}")
    found = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    ways = [["-m", "pip", "install", "--quiet", name, *needed]]
    if found is not None:
        ways.insert(0, ["uv", "pip", "install", "--quiet", "--python", str(python), name, *needed])
    seen = ""
    for way in ways:
        command = [found, *way[1:]] if way[0] == "uv" and found else [str(python), *way]
        try:
            said = subprocess.run(
                command, capture_output=True, text=True, timeout=INSTALL_S, env={**os.environ, **_indexes()}
            )
        except subprocess.TimeoutExpired:
            seen = f"{way[0]}: longer than {INSTALL_S} s"
            continue
        if said.returncode == 0:
            done.touch()
            return python
        seen = said.stderr.strip()[-200:]
    raise RuntimeError(f"{name} can't be installed: {seen}")


def _indexes() -> dict[str, str]:
    """The places that pip is configured for, as uv is told of them."""
    found = {}
    for name, key in (("UV_DEFAULT_INDEX", "index-url"), ("UV_FIND_LINKS", "find-links")):
        command = [sys.executable, "-m", "pip", "config", "get", f"global.{key}"]
        said = subprocess.run(command, capture_output=True, text=True)
        value = os.environ.get(f"PIP_{key.upper().replace('-', '_')}") or said.stdout.strip()
        if value:
            found[name] = value
    return found


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _wait_for(server: Server, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline, body = time.monotonic() + START_S, f'{server.before}"hello"{server.after}'
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
            connection.request("POST", server.route, body, {"Content-Type": "application/json"})
            if connection.getresponse().status == 200:
                return
        time.sleep(0.3)
    raise RuntimeError(f"the server of {log.parent.name} does not come up: {log.read_text()[-300:]}")
