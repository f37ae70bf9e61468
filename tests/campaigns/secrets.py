"""Secrets, planted in every place that takes one: none may be shown, logged or kept.

A password in a field of the configuration is refused, and the refusal does not repeat it. Passwords and
tokens in the environment, in a token file and in requests go through runs that deploy and runs that fail.
Then all that was printed and every file that was made is searched for them, the databases row by row: as they
are, percent-encoded and in base64.
"""

from __future__ import annotations

import argparse
import base64
import json
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from serving import client
from serving.process import control as process
from tests.support.contract import Report, run
from tests.support.guarded_registry import basic, bearer, guarded_registry
from tests.support.made_worlds import MadeHead, World, sound, write_project
from tests.support.measures import Measure, at_least, at_most, measure_table
from tests.support.traced import bare_environment

GOAL = "0 hits, and every configuration with a secret refused"
QUICK_S, WHOLE_S = 55, 240

PROJECT = World(
    name="small", heads={"topic": MadeHead(kind="multiclass", chances=(1, 1))}, count=400, epochs=20
)
CLOSED = "127.0.0.1:9"
"""An address at which nothing listens."""
IN_URL = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "PIP_EXTRA_INDEX_URL",
    "HF_ENDPOINT",
)
"""Variables that hold an address, with a password in it."""
AS_THEY_ARE = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "PREFECT_API_KEY",
    "HF_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "RAY_AUTH_TOKEN",
    "PGPASSWORD",
)
"""Variables that are a secret."""
FIELDS: Mapping[str, str] = {
    "registry.tracking_uri": "http://user:{}@" + CLOSED,
    "registry.tracking_uri as a token": "https://{}@" + CLOSED,
    "registry.tracking_uri of a database": "postgresql://user:{}@" + CLOSED + "/mlflow",
    "registry.tracking_uri with a parameter": "http://" + CLOSED + "/?access_token={}",
    "deploy.target": "sagemaker:https://user:{}@" + CLOSED,
    "deploy.target_config.api_key": "{}",
    "deploy.target_config.endpoint": "https://user:{}@" + CLOSED,
    "sources.rows.path": "https://user:{}@" + CLOSED + "/rows.csv",
    "backbone": "https://user:{}@" + CLOSED + "/encoder",
    "runner.address": "tls://user:{}@" + CLOSED,
    "train.no_such_field": "http://user:{}@" + CLOSED,
}
"""Field, with what it shows → the value that a secret is put into."""


ONE_BY_ONE = """
import sys
from flows.cli.commands import main
for config in sys.argv[1:]:
    try:
        main(["validate", config])
    except SystemExit as end:
        print(f"ended with {end.code}", file=sys.stderr)
    print("next", file=sys.stderr)
"""
"""Validates the configurations that it is given."""

FOLLOWED = """
import json, os, sys
from flows.cli.commands import main
url, *each = sys.argv[1:]
for given in map(json.loads, each):
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        os.environ.pop(name, None)
    os.environ.update({name: os.environ[variable] for name, variable in given.items()})
    try:
        main(["follow", "small", "--once", "--tracking-uri", url, "--public-key", "none.pub"])
    except SystemExit:
        pass
"""
"""Looks at a registry once with each credentials: MLflow's variable → the variable that holds its value. One
JSON line a look."""


@dataclass
class Plants:
    """Secrets and where they were put."""

    of: dict[str, str] = field(default_factory=dict)
    """Place → secret."""

    def new(self, place: str) -> str:
        """A secret that is nowhere else."""
        self.of[place] = f"s3cret{secrets.token_hex(8)}"
        return self.of[place]

    def found_in(self, data: bytes) -> Iterator[str]:
        """Places whose secret stands in these bytes, in some form."""
        for place, secret in self.of.items():
            if any(form in data for form in forms(secret)):
                yield place


def forms(secret: str) -> list[bytes]:
    """The secret as it may be kept: as it is, percent-encoded, and in a header of basic authentication."""
    basic = base64.b64encode(f"user:{secret}".encode()).rstrip(b"=")
    return [secret.encode(), quote(secret, safe="").encode(), basic]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to work."""
    parser.add_argument("--folder", type=Path, help="where to work, and leave everything to look at")


def measure(options: argparse.Namespace) -> Report:
    """Plant, run, search."""
    with tempfile.TemporaryDirectory(prefix="headgate-secrets-") as temporary:
        return _measure(options.folder or Path(temporary), whole=not options.quick)


def _measure(root: Path, *, whole: bool) -> Report:
    root.mkdir(parents=True, exist_ok=True)
    world = Planted(root)
    world.refuse_configurations()
    world.refuse_the_environment()
    if whole:
        world.deploy()
        world.ask()
    world.give_credentials(whole=whole)
    world.fail_without_registry()
    if whole:
        world.fail_without_prefect()
        world.fail_without_hub()
        world.serve_a_rejected_one()
    hits = world.hits()
    for place, where in hits:
        print(f"  {place}: in {where}", flush=True)
    measures = [
        Measure(
            "kinds of place in which the control is found", control(root / "control"), "of 3", at_least(3)
        ),
        Measure("secrets planted", len(world.plants.of), "", at_least(len(FIELDS))),
        Measure("configurations refused", world.refused, "", at_least(len(FIELDS))),
        Measure("credentials that a registry took or refused", world.credentials, "of 4", at_least(4)),
        Measure("commands that ended as they should", world.as_expected, "", at_least(world.ran)),
        Measure("files searched", world.searched, "", at_least(100 if whole else 10)),
        Measure("hits", len(hits), "", at_most(0)),
    ]
    listed = [f"{place}: in {where}"[:100] for place, where in hits[:40]]
    return Report(measures, "\n".join([*listed, *world.odd, measure_table(measures)]))


class Planted:
    """A small project in a world full of secrets.

    Args:
        root: folder for everything; its folder `project` holds what the user keeps, secrets included, and is
            not searched.
    """

    def __init__(self, root: Path) -> None:
        self.plants, self.refused, self.searched = Plants(), 0, 0
        self.ran = self.as_expected = self.credentials = 0
        self.odd: list[str] = []
        self._root = root
        self._home, self._printed = root / "home", root / "printed"
        self._printed.mkdir(exist_ok=True)
        made = sound(PROJECT)
        self._config = write_project(made.world, made.rows, root / "project", made.words)
        self._raw: dict[str, Any] = yaml.safe_load(self._config.read_text(encoding="utf-8"))
        self._token = self.plants.new("the endpoint's token file")
        self._token_file = root / "project" / "token"
        self._token_file.write_text(self._token)
        self._token_file.chmod(0o600)
        self._environment = {
            **bare_environment(root),
            **{name: self.plants.new(name) for name in AS_THEY_ARE},
            **{name: f"http://user:{self.plants.new(name)}@{CLOSED}" for name in IN_URL},
            "MLFLOW_TRACKING_USERNAME": "user",
            "HEADGATE_HOME": str(self._home),
        }

    def refuse_configurations(self) -> None:
        """Each field that takes an address, with a secret in it; all in one process, whose start takes longer
        than a refusal."""
        configs = [
            self._written(
                {}, where=place.split(" ")[0].split("."), value=value.format(self.plants.new(place))
            )
            for place, value in FIELDS.items()
        ]
        said, _ = self._run([sys.executable, "-c", ONE_BY_ONE, *map(str, configs)], "refusals", expected=0)
        self.refused = sum("***" in one and "ended with 2" in one for one in said.split("next\n"))
        secret = self.plants.new("follow --tracking-uri")
        self._headgate(
            "follow", "small", "--once", "--tracking-uri", f"http://u:{secret}@{CLOSED}", expected=2
        )

    def refuse_the_environment(self) -> None:
        """A registry's address with a password in MLflow's own variable, which is read where the
        configuration names none."""
        self._headgate("retrain", str(self._config), expected=2)
        del self._environment["MLFLOW_TRACKING_URI"]

    def deploy(self) -> None:
        """The whole flow, registered here, with an endpoint that asks for a token."""
        config = self._written({"deploy": {**self._raw["deploy"], "token_file": str(self._token_file)}})
        self._headgate("retrain", str(config), expected=0)

    def ask(self) -> None:
        """The endpoint, with its token, with wrong ones and with one in the address."""
        self._headgate("predict", PROJECT.name, "some words", expected=0)
        running = process.status(self._home / "endpoints" / f"{PROJECT.name}.json")
        if running is not None:
            wrong = self.plants.new("a wrong token in a header")
            client.request(running.url, "POST", "/predict", {"texts": ["words"]}, token=wrong)
            there = self.plants.new("a token in a request's address")
            client.request(running.url, "POST", f"/predict?token={there}", {"texts": ["words"]})
            client.request(running.url, "GET", f"/{there}", token=self._token)
            client.request(running.url, "POST", "/predict", {"texts": [7], there: there}, token=self._token)
        self._headgate("status", expected=0)
        self._headgate("status", "--json", expected=0)
        self._headgate("stop", PROJECT.name, expected=0)

    def give_credentials(self, *, whole: bool) -> None:
        """A registry that asks for credentials: a password and a token, right and wrong ones. It repeats what
        it was given. With `whole` a model is trained, registered there and deployed, too."""
        password, token = (self.plants.of[f"MLFLOW_TRACKING_{what}"] for what in ("PASSWORD", "TOKEN"))
        right = (basic("user", password), bearer(token))
        environment = self._environment
        wrong = {
            f"WRONG_{what}": self.plants.new(f"a wrong {what.lower()}") for what in ("PASSWORD", "TOKEN")
        }
        with guarded_registry(self._root / "registry", right) as url:
            if whole:
                config = self._written({"registry": {"tracking_uri": url}, "name": "guarded"})
                self._headgate("retrain", str(config), expected=0)
                self._headgate("status", expected=0)
                self._headgate("stop", "guarded", expected=0)
                self._environment = {**environment, "MLFLOW_TRACKING_PASSWORD": wrong["WRONG_PASSWORD"]}
                self._headgate("retrain", str(config), expected=1)
            given = {"RIGHT_PASSWORD": password, "RIGHT_TOKEN": token, "USER": "user", **wrong}
            self._environment = {**environment, **given}
            each = [
                {"MLFLOW_TRACKING_USERNAME": "USER", "MLFLOW_TRACKING_PASSWORD": "RIGHT_PASSWORD"},
                {"MLFLOW_TRACKING_TOKEN": "RIGHT_TOKEN"},
                {"MLFLOW_TRACKING_USERNAME": "USER", "MLFLOW_TRACKING_PASSWORD": "WRONG_PASSWORD"},
                {"MLFLOW_TRACKING_TOKEN": "WRONG_TOKEN"},
            ]
            command = [sys.executable, "-c", FOLLOWED, url, *map(json.dumps, each)]
            said, _ = self._run(command, "follow", expected=0)
        self._environment = environment
        seen = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        wanted = ["nothing", "nothing", "unreachable", "unreachable"]
        self.credentials = sum(
            one["state"] == state and ("UNAUTHENTICATED" in one["reason"]) == (state == "unreachable")
            for one, state in zip(seen, wanted, strict=False)
        )

    def fail_without_registry(self) -> None:
        """A registry that is down, whose credentials are in the environment."""
        config = self._written(
            {"name": "down", "registry": {"tracking_uri": f"http://{CLOSED}", "wait_s": 0}}
        )
        self._environment |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        self._headgate("retrain", str(config), expected=1)

    def fail_without_prefect(self) -> None:
        """A Prefect server that is down, its address with a password; and the same as a login string."""
        environment = self._environment
        secret = self.plants.new("PREFECT_API_URL")
        login = self.plants.new("PREFECT_API_AUTH_STRING")
        self._environment = {
            **environment,
            "PREFECT_API_URL": f"http://user:{secret}@{CLOSED}/api",
            "PREFECT_API_AUTH_STRING": f"user:{login}",
            "PREFECT_CLIENT_MAX_RETRIES": "0",
        }
        self._headgate("validate", str(self._config), expected=1)
        self._environment = environment

    def fail_without_hub(self) -> None:
        """A hub that is down, for the encoder and for a source."""
        self._headgate("validate", str(self._written({"backbone": "someone/encoder"})), expected=2)
        source = {"hub": "someone/rows", "heads": self._raw["sources"]["rows"]["heads"]}
        self._headgate("validate", str(self._written({"sources": {"rows": source}})), expected=3)

    def serve_a_rejected_one(self) -> None:
        """A version that did not pass, by an override whose reason quotes an address."""
        gates = {**self._raw["gates"], "floors": {"topic": 1.0}}
        self._headgate("retrain", str(self._written({"gates": gates})), expected=4)
        reason = f"see http://user:{self.plants.new('the reason of an override')}@{CLOSED}/ticket"
        self._headgate("promote", PROJECT.name, "2", "--override", reason, expected=0)
        self._headgate("status", expected=0)
        self._headgate("stop", PROJECT.name, expected=0)

    def hits(self) -> list[tuple[str, str]]:
        """(Place of the secret, where it was found), of all that was printed and kept."""
        found = []
        for path, data in contents(self._root, leave_out=("project", "control")):
            self.searched += 1
            found += [(place, str(path.relative_to(self._root))) for place in self.plants.found_in(data)]
        return found

    def _headgate(self, *arguments: str, expected: int) -> tuple[str, int]:
        """What a command printed, and its exit code."""
        command = [sys.executable, "-m", "flows.cli.commands", *arguments]
        return self._run(command, arguments[0], expected=expected)

    def _run(self, command: list[str], what: str, *, expected: int) -> tuple[str, int]:
        done = subprocess.run(
            command, env=self._environment, cwd=self._root, capture_output=True, text=True, timeout=1200
        )
        said = done.stdout + done.stderr
        self.ran += 1
        (self._printed / f"{self.ran:02d}-{what}.log").write_text(said, encoding="utf-8")
        self.as_expected += done.returncode == expected
        if done.returncode != expected:
            self.odd.append(f"{what}: ended with {done.returncode}, expected {expected}")
            print(f"  {what} ended with {done.returncode}:\n{said[-3000:]}", flush=True)
        return said, done.returncode

    def _written(self, changes: Mapping[str, Any], *, where: Iterable[str] = (), value: str = "") -> Path:
        """The configuration with sections exchanged, and one field with a value."""
        raw = {**json.loads(json.dumps(self._raw)), **changes}
        *above, last = where or ("",)
        if last:
            place = raw
            for part in above:
                place = place.setdefault(part, {})
            place[last] = value
        path = self._config.with_name(f"project-{len(list(self._config.parent.glob('*.yaml')))}.yaml")
        path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
        return path


def contents(folder: Path, leave_out: Collection[str] = ()) -> Iterator[tuple[Path, bytes]]:
    """Every file below a folder with its name and bytes; a database also row by row, since a value may be cut
    in two by its pages. `leave_out`: names of folders in it."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or path.relative_to(folder).parts[0] in leave_out:
            continue
        data = path.read_bytes()
        if data.startswith(b"SQLite format 3"):
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
                data += "\n".join(database.iterdump()).encode()
        yield path, str(path).encode() + b"\n" + data


def control(root: Path) -> int:
    """Of a file, a database and a file's name with a secret each: how many are found."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    plants = Plants()
    (root / "log").write_text(f"http://user:{plants.new('a file')}@host", encoding="utf-8")
    with sqlite3.connect(root / "store.db") as database:
        database.execute("create table told (text)")
        header = base64.b64encode(f"user:{plants.new('a database')}".encode()).decode()
        database.execute("insert into told values (?)", ("x" * 5000 + header,))
    (root / plants.new("a name")).touch()
    return len({place for _, data in contents(root) for place in plants.found_in(data)})


if __name__ == "__main__":
    sys.exit(run(measure))
