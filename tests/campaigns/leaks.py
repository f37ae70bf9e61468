"""What leaves the machine or the state folder while Headgate works: every process is traced, none may.

Each world is started as somebody does who has set nothing: no switch of any library, an empty user folder.
All system calls of its processes that name an address or change a file are read (`tests.support.traced`): no
question to a name service, no socket beyond loopback, no file outside the state folder, the temporary folder
and the environment. A control that does all three must be found, else the tracing does not work.
"""

from __future__ import annotations

import argparse
import compileall
import json
import re
import shlex
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from release.home import Home
from serving.process.job import EndpointJob, write_job
from serving.spec import DeploySpec
from serving.store.release_folder import ReleaseFolder
from serving.store.signing import ensure_key_pair
from tests.support.contract import Report, run
from tests.support.made_worlds import MadeHead, World, sound, write_project
from tests.support.measures import Measure, at_least, at_most, measure_table
from tests.support.toy_bundle import NAME, Shop
from tests.support.traced import ROOT, Leaks, Traced, bare_environment, why_untraceable

GOAL = "no look-up, no socket beyond loopback, no file elsewhere"
QUICK_S, WHOLE_S = 50, 400

HEADGATE = f"{shlex.quote(sys.executable)} -m flows.cli.commands"
PROJECT = World(
    name="small", heads={"topic": MadeHead(kind="multiclass", chances=(1, 1))}, count=400, epochs=20
)
SENDING_S = 8.0
"""How long a server goes on after it answers: what it sends, it sends in its first seconds."""
START_S = 90.0
"""Longest that a server may take to answer, in seconds."""


class WorldFailed(Exception):
    """A world did not do its work, so that nothing follows from its silence."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which worlds."""
    parser.add_argument("--only", nargs="+", choices=sorted(WORLDS), help="these worlds")
    parser.add_argument(
        "--whole", action="store_true", help="also `make run` in this checkout (10 to 30 minutes)"
    )


def measure(options: argparse.Namespace) -> Report:
    """Every world and its leaks."""
    if why := why_untraceable():
        return Report([Measure("processes traced", None, "", at_least(1), undecided=why)])
    chosen = options.only or [name for name in WORLDS if name in QUICK or not options.quick]
    measures, listed = [], []
    with tempfile.TemporaryDirectory(prefix="headgate-leaks-") as folder:
        found = control(Path(folder) / "control")
        measures.append(Measure("kinds of leak found in the control", _kinds(found), "of 3", at_least(3)))
        for number, name in enumerate(chosen):
            print(f"  {name} …", flush=True)
            leaks = WORLDS[name](Path(folder) / f"world {number}")
            measures.append(Measure(f"leaks of: {name}", len(leaks.all), "", at_most(0)))
            listed += [f"{name}: {line}" for line in leaks.all]
        if options.whole:
            print("  make run …", flush=True)
            leaks = make_run(Path(folder) / "make-run")
            measures.append(Measure("leaks of: make run", len(leaks.all), "", at_most(0)))
            listed += [f"make run: {line}" for line in leaks.all]
    shown = [line if len(line) <= 100 else line[:99] + "…" for line in listed[:40]]
    return Report(measures, "\n".join([*shown, measure_table(measures)]))


def _kinds(leaks: Leaks) -> int:
    return sum(map(bool, (leaks.look_ups, leaks.sockets, leaks.files)))


ELSEWHERE = """
import pathlib, socket
try:
    socket.getaddrinfo("collector.invalid", 443)
except OSError:
    pass
spoken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
    spoken.connect(("192.0.2.1", 443))
except OSError:
    pass
(pathlib.Path.home() / "device-id").write_text("1")
"""


def control(root: Path) -> Leaks:
    """What is found of a program that asks, speaks and writes elsewhere."""
    environment = bare_environment(root)
    with Traced([sys.executable, "-c", ELSEWHERE], root / "trace", environment=environment) as command:
        pass
    return command.leaks([root / "tmp"])


def _traced(root: Path, command: str, *, cwd: Path | None = None, **variables: str) -> tuple[Traced, Leaks]:
    """A line of a shell, traced to its end, and what it leaked.

    Raises:
        WorldFailed: it did not end with 0.
    """
    environment = bare_environment(root, **variables)
    place = root / "trace" / str(len(list((root / "trace").glob("*"))) if (root / "trace").is_dir() else 0)
    place.parent.mkdir(parents=True, exist_ok=True)
    with Traced(["bash", "-ec", command], place, environment=environment, cwd=cwd or root) as traced:
        pass
    if traced.code != 0:
        raise WorldFailed(f"`{command}` ended with {traced.code}: {traced.output[-600:]}")
    return traced, traced.leaks(_allowed(root))


def _allowed(root: Path) -> list[Path]:
    return [root / "home", root / "tmp", Path(sys.prefix), root / "trace"]


def endpoint_by_hand(root: Path) -> Leaks:
    """`python -m serving JOB` answers and ends."""
    shop = _shop(root)
    state_file = root / "home" / "endpoints" / "toy.json"
    job = EndpointJob(
        releases=shop.folder.path,
        public_key=shop.public_key,
        state_file=state_file,
        deploy=DeploySpec(port=0, threads=1),
    )
    state_file.parent.mkdir(parents=True)
    write_job(root / "toy.job", job)
    environment = bare_environment(root)
    command = [sys.executable, "-m", "serving", str(root / "toy.job")]
    with Traced(command, root / "trace", environment=environment) as endpoint:
        state = _until(lambda: json.loads(state_file.read_text()) if state_file.exists() else None)
        if state is not None:
            _until(lambda: _answers(f"http://127.0.0.1:{state['port']}/ready"))
            time.sleep(1)
        endpoint.end()
    if state is None:
        raise WorldFailed(f"the endpoint did not start: {endpoint.output[-2000:]}")
    return endpoint.leaks(_allowed(root))


def model_by_hand(root: Path) -> Leaks:
    """`python -m model time JOB` loads bundles in processes of their own."""
    shop = _shop(root)
    texts = root / "texts.jsonl"
    texts.write_text('"late order"\n"good day"\n', encoding="utf-8")
    job = {"bundles": {"shared": str(shop.bundle(1)[0])}, "texts": str(texts), "requests": 10}
    job |= {"threads": 1, "seed": 1, "blocks": 1, "out": str(root / "home" / "times.json")}
    (root / "job.json").write_text(json.dumps(job), encoding="utf-8")
    return _traced(root, f"{shlex.quote(sys.executable)} -m model time job.json")[1]


def commands(root: Path) -> Leaks:
    """`headgate serve`, `predict`, `status` and `stop`, without a configuration."""
    _shop(root)
    steps = (f"serve {NAME} --port 0", f'predict {NAME} "late order"', f"status {NAME}", f"stop {NAME}")
    return _traced(root, "; ".join(f"{HEADGATE} {step} --home home" for step in steps))[1]


def data_flow_and_server(root: Path) -> Leaks:
    """`headgate validate`, then the Prefect server as its last lines say."""
    config = _project(root)
    done, leaks = _traced(root, f"{HEADGATE} validate {config.name} --home home")
    return leaks + _prefect_server(root, done.output)


def whole_flow(root: Path) -> Leaks:
    """`headgate retrain`, `predict` and `stop`, then MLflow's pages as its last lines say, and the registered
    model as MLflow loads it."""
    config = _project(root)
    steps = (f"retrain {config.name}", f'predict {PROJECT.name} "some words"', f"stop {PROJECT.name}")
    done, leaks = _traced(root, "; ".join(f"{HEADGATE} {step} --home home" for step in steps))
    shown = _shown(done.output, "MLflow") + f" --port {_free_port()} --workers 1"
    leaks += _server(root, shown, lambda port: f"http://127.0.0.1:{port}/health")
    code = f"""import mlflow; mlflow.set_tracking_uri("sqlite:///{root}/home/mlflow/store.sqlite")
print(mlflow.pyfunc.load_model("models:/{PROJECT.name}/1").predict([{{"text": "some words"}}]))"""
    load = f"MLFLOW_DISABLE_TELEMETRY=true {shlex.quote(sys.executable)} -c {shlex.quote(code)}"
    return leaks + _traced(root, load)[1]


def worker(root: Path) -> Leaks:
    """A Prefect server, a worker and the deployments of `prefect.yaml`, with the switches that the compose
    file sets; the worker runs a validation."""
    config = _project(root)
    deployments = (ROOT / "prefect.yaml").read_text(encoding="utf-8")
    deployments = deployments.replace("configs/quickstart.yaml", str(config))
    (root / "prefect.yaml").write_text(deployments, encoding="utf-8")
    (root / "home" / "prefect").mkdir(parents=True)
    port = _free_port()
    variables = {
        **_shipped_switches(),
        "PREFECT_HOME": str(root / "home" / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "HEADGATE_HOME": str(root / "home"),
    }
    prefect = f"{shlex.quote(sys.executable)} -m prefect"
    lines = f"""
{prefect} server start --host 127.0.0.1 --port {port} > tmp/server.log 2>&1 & server=$!
end() {{  # the worker first: without its server it does not end
  kill $worker; for n in $(seq 30); do kill -0 $worker || break; sleep 1; done 2>/dev/null
  kill -9 $worker 2>/dev/null; kill $server; wait
}}
trap end EXIT
for n in $(seq 90); do
  {shlex.quote(sys.executable)} -c "import urllib.request as u; u.urlopen('$PREFECT_API_URL/health')" && break
  sleep 1
done 2>/dev/null
{prefect} worker start --pool headgate --type process > tmp/worker.log 2>&1 & worker=$!
sleep 10
{prefect} --no-prompt deploy --all
{prefect} deployment run 'validate/validate quickstart' --watch --watch-timeout 150
"""
    return _traced(root, lines, **variables)[1]


def make_run(root: Path) -> Leaks:
    """`make run` and `make stop` in this checkout, whose environment is installed already, and whose modules
    are compiled, as an installer does it with a package: Python would write that beside them."""
    compileall.compile_dir(ROOT, quiet=2, rx=re.compile(r"/(\.venv|build)/"))
    environment = bare_environment(root)
    del environment["PYTHONPATH"]
    command = ["make", "run", "stop", f"VENV={sys.prefix}"]
    with Traced(command, root / "trace", environment=environment, cwd=ROOT, timeout_s=3600) as traced:
        pass
    if traced.code != 0:
        raise WorldFailed(f"make run ended with {traced.code}: {traced.output[-600:]}")
    return traced.leaks([*_allowed(root), ROOT / "configs" / ".headgate"])


WORLDS: Mapping[str, Callable[[Path], Leaks]] = {
    "the endpoint by hand": endpoint_by_hand,
    "the model by hand": model_by_hand,
    "serve, predict, status, stop": commands,
    "validate, then Prefect's server": data_flow_and_server,
    "retrain, then MLflow's pages": whole_flow,
    "server, worker, deployments": worker,
}
"""What is done → how it is traced."""
QUICK = (
    "the endpoint by hand",
    "serve, predict, status, stop",
    "validate, then Prefect's server",
)


def _shop(root: Path) -> Shop:
    """A toy release below a state folder."""
    home = Home(root / "home")
    shop = Shop(root / "made", ReleaseFolder(home.releases(NAME), NAME), *ensure_key_pair(home.keys))
    shop.release(1)
    return shop


def _project(root: Path) -> Path:
    made = sound(PROJECT)
    return write_project(made.world, made.rows, root, made.words)


def _shown(output: str, title: str) -> str:
    """The command that the last lines show under a title.

    Raises:
        WorldFailed: there is none.
    """
    found = re.search(rf"^  {title} +(\S.*)$", output, flags=re.MULTILINE)
    if found is None:
        raise WorldFailed(f"no line {title!r} in: {output[-2000:]}")
    return found[1]


def _prefect_server(root: Path, output: str) -> Leaks:
    command = f"{_shown(output, 'Prefect')} --port {_free_port()}"
    return _server(root, command, lambda port: f"http://127.0.0.1:{port}/api/health")


def _server(root: Path, command: str, health: Callable[[int], str]) -> Leaks:
    """What a server leaks from its start until a few seconds after it answers.

    Raises:
        WorldFailed: it does not answer.
    """
    port = int(re.findall(r"--port (\d+)", command)[-1])
    place = root / "trace" / f"server-{port}"
    place.parent.mkdir(parents=True, exist_ok=True)
    environment = bare_environment(root)
    with Traced(["bash", "-c", f"exec env {command}"], place, environment=environment, cwd=root) as server:
        answered = _until(lambda: _answers(health(port)) or None)
        time.sleep(SENDING_S)
        server.end()
    if not answered:
        raise WorldFailed(f"`{command}` did not answer: {server.output[-600:]}")
    return server.leaks(_allowed(root))


def _shipped_switches() -> dict[str, str]:
    """What `deploy/compose.yaml` sets for the parts, which are started one by one there, too."""
    composed = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
    return dict(composed["x-telemetry"])


def _until(found: Callable[[], Any], wait_s: float = START_S) -> Any:
    """What `found` gives once it is true; None after so many seconds."""
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.2)
    return None


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    sys.exit(run(measure))
