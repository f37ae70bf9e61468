"""A project with two versions whose state folder can be damaged and put back, and commands that are run on
it.

Each command runs in a fork of this process, because the imports take seconds: nothing here may open a store
or use polars. Does not know what is damaged.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from release.bake.record import Bake, keep_bake
from release.home import Home, environment
from serving.client import NoAnswer, request
from tests.support.forks import in_a_child
from tests.support.rough_timing import ROUGH_TIMING
from tests.support.tiny_encoder import make_tiny_backbone
from tests.support.toy_bundle import NAME as TOY
from tests.support.toy_release import World, ship

ROOT = Path(__file__).resolve().parents[2]
KITCHEN = "kitchen"
WORDS = {"weather": ["sun", "rain", "wind", "snow"], "food": ["tea", "milk", "bread", "soup"]}
ROWS = 1200
FLOWS = ("retrain", "validate")
"""Commands that need Prefect."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command came to."""

    code: int
    output: str


@dataclass(frozen=True, slots=True)
class Damageable:
    """A project with two versions, as it was before it was damaged."""

    root: Path
    name: str

    @property
    def home(self) -> Path:
        """State folder."""
        return self.root / "home"

    def keep(self) -> None:
        """Remember the state folder as it is now, with the state file of an endpoint that died."""
        self.end_endpoints()
        shutil.copytree(self.home, self.root / "pristine", symlinks=True)

    def restore(self) -> None:
        """Put the state folder back."""
        self.end_endpoints()
        shutil.rmtree(self.home)
        shutil.copytree(self.root / "pristine", self.home, symlinks=True)
        _write_token(self.root / "token")

    def run(self, command: str, *, whole: bool = False) -> Ran:
        """Run a command of the table.

        Args:
            whole: a retraining to its end, also with inputs that did not change; else the data gate stops it.
        """
        config = "project.yaml" if whole or command == "validate" else "rejected.yaml"
        arguments = {
            "retrain": ["retrain", str(self.root / config)],
            "validate": ["validate", str(self.root / config)],
            "promote": ["promote", self.name, "2"],
            "predict": ["predict", self.name, "sun rain wind snow"],
        }.get(command, [command, self.name] if command != "status" else ["status"])
        force = ["--force"] if whole and command == "retrain" else []
        return self._forked([*arguments, *force, "--home", str(self.home)])

    def run_alone(self, command: str) -> Ran:
        """Run a flow's command in an interpreter of its own, with Prefect's temporary server."""
        line = [sys.executable, "-m", "flows.cli.commands"]
        given = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        done = subprocess.run(
            [*line, command, str(self.root / "rejected.yaml"), "--home", str(self.home)],
            env={**given, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        return Ran(done.returncode, done.stdout + done.stderr)

    def end_endpoints(self) -> None:
        """End every endpoint of the state folder, whatever became of its state file."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                line = process.cmdline()
                if line[1:3] == ["-m", "serving"] and line[3].startswith(str(self.home)):
                    process.kill()
                    process.wait(10)

    def _forked(self, arguments: list[str]) -> Ran:
        log = self.root / "output"
        log.unlink(missing_ok=True)

        def work() -> None:
            from flows.cli.commands import main

            # What a test runner put in their place would not write to the log.
            sys.stdout, sys.stderr = (os.fdopen(fd, "w", buffering=1, closefd=False) for fd in (1, 2))
            main.main(args=arguments, prog_name="headgate")

        code = in_a_child(work, log=log)
        return Ran(code, log.read_text(encoding="utf-8", errors="replace"))


def toy_project(root: Path) -> Damageable:
    """Two toy versions, registered, promoted and deployed: for commands that need no data."""
    made = Damageable(root, TOY)
    import_once()

    def work() -> None:
        world = World(root)
        for _ in range(2):
            assert ship(world, world.candidate()).deployed  # `keep` ends the endpoint
        keep_bake(world.home, TOY, Bake(version=2, former=1))  # as a run leaves it that is killed

    assert in_a_child(work, log=root / "log") == 0, (root / "log").read_text()
    made.keep()
    return made


def trained_project(root: Path) -> Damageable:
    """Two versions of a tiny encoder, trained, judged and deployed with a token by two whole runs."""
    made = Damageable(root, KITCHEN)
    make_tiny_backbone_apart(root / "encoder")
    _write_rows(root / "rows.csv")
    _write_token(root / "token")
    project = _project(root)
    (root / "project.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
    rejected = project | {
        "expectations": {"rows_per_label": {"severity": "critical"}, "min_rows_per_label": 5000}
    }
    (root / "rejected.yaml").write_text(yaml.safe_dump(rejected), encoding="utf-8")
    for _ in range(2):
        ran = made.run("retrain", whole=True)
        assert ran.code == 0, ran.output
    made.keep()
    return made


def import_once(*others: str) -> None:
    """Import what every fork would import again, for seconds. Opens no store."""
    stores = [f"mlflow.store.{kind}.sqlalchemy_store" for kind in ("tracking", "model_registry")]
    for module in ("mlflow", "mlflow.artifacts", "mlflow.tracking", *stores, *others):
        importlib.import_module(module)


def make_tiny_backbone_apart(folder: Path) -> None:
    """The encoder, made in a fork: torch's threads do not survive one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_name("encoder.log")
    assert in_a_child(lambda: make_tiny_backbone(folder), log=log) == 0, log.read_text()


@contextlib.contextmanager
def prefect_server(folder: Path, *, timeout_s: float = 120) -> Iterator[None]:
    """A Prefect server that all commands of the block use. To be entered before Prefect is imported."""
    folder.mkdir(parents=True)
    # The commands set these before they import Prefect; here it is imported once, before any of them.
    quiet = dict.fromkeys(
        ("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "PREFECT_INTERNAL_LOGGING_LEVEL"), "CRITICAL"
    )
    given = {**environment(Home(folder), given={}), **quiet, "PREFECT_HOME": str(folder)}
    os.environ.update(given)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env={**os.environ, **given}, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline_s = time.monotonic() + timeout_s
        while not _answers(url):
            assert server.poll() is None and time.monotonic() < deadline_s, (folder / "log").read_text()
            time.sleep(0.2)
        os.environ["PREFECT_API_URL"] = f"{url}/api"
        yield
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        server.terminate()
        server.wait(30)


def _answers(url: str) -> bool:
    try:
        return request(url, "GET", "/api/health", timeout_s=2)[0] == 200
    except NoAnswer:
        return False


def _write_token(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.write_text("a-token-that-is-long-enough\n", encoding="utf-8")
    path.chmod(0o600)


def _write_rows(path: Path) -> None:
    """Texts of eight words whose majority is the topic; `drinks` applies where tea or milk is named."""
    dice, split = random.Random(5), ["train"] * 6 + ["validation"] + ["test"] * 3
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "topic", "drinks", "split"])
        for number in range(ROWS):
            topic = dice.choice(sorted(WORDS))
            other = "food" if topic == "weather" else "weather"
            words = dice.choices(WORDS[topic], k=6) + dice.choices(WORDS[other], k=2)
            dice.shuffle(words)
            drinks = "yes" if {"tea", "milk"} & set(words) else "no"
            writer.writerow([" ".join(words) + " s" * (number % 3), topic, drinks, split[number % 10]])


def _project(root: Path) -> dict[str, Any]:
    heads = {"topic": "topic", "drinks": "drinks"}
    return {
        "name": KITCHEN,
        "backbone": str(root / "encoder"),
        "heads": {head: "multiclass" for head in heads},
        "sources": {"rows": {"path": "rows.csv", "split_column": "split", "heads": heads}},
        "train": {
            "epochs": 6,
            "learning_rate": 3e-3,
            "head_learning_rate": 1e-2,
            "max_length": 16,
            "threads": 1,
        },
        "gates": {
            "margin": 0.15,
            "champion_margin": 0.15,
            "references": {"bag_of_words": "warn"},
            **ROUGH_TIMING,
            "http_rate_per_s": 20,
        },
        "deploy": {"port": 0, "threads": 1, "token_file": str(root / "token"), "drain_timeout_s": 2},
    }
