"""Other servers of models on one bundle, each in an environment of its own, made by its ordinary client."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model.bundle import __path__ as bundle_code
from model.bundle.telemetry import SWITCHES

INSTALL_S, START_S = 240, 60
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
def peer_server(bundle: Path, place: Path, name: str, threads: int) -> Iterator[Server]:
    """`mlserver` or `bentoml` on the bundle.

    Raises:
        RuntimeError: it can't be installed, or does not come up.
    """
    place.mkdir(parents=True)
    venv.create(place / "env", with_pip=True)
    python = place / "env" / "bin" / "python"
    _install(python, [name, *NEEDED])
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
    quiet = {**os.environ, **SWITCHES, "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(place / "home")}
    quiet |= {"PYTHONPATH": str(place), "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    with (place / "log").open("w") as log:
        child = subprocess.Popen(
            command, cwd=place, env=quiet, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait_for(server, child, place / "log")
            yield server
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, 15)
            child.wait(timeout=30)


def _install(python: Path, packages: list[str]) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", *packages]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"pip takes longer than {INSTALL_S} s for {packages[0]}") from None
    if done.returncode:
        raise RuntimeError(f"pip can't install {packages[0]}: {done.stderr.strip()[-200:]}")


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
    raise RuntimeError(f"{Path(sys.executable).name}: it does not come up: {log.read_text()[-300:]}")
