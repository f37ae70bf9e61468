"""Tiny bundles made by hand, and endpoints that serve them: real files, real keys, real HTTP."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.process import control as process
from serving.spec import DeploySpec
from tests.support.projects import candidate, deploy_spec, home, store, write_bundle
from tests.support.toy_bundle import Shop, make_shop

__all__ = ["candidate", "deploy_spec", "home", "store", "write_bundle"]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """An empty release folder with its keys."""
    return make_shop(tmp_path)


@pytest.fixture(scope="module")
def open_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, process.EndpointState]]:
    """A release folder with version 1, and an endpoint on it, for all tests of a module."""
    shop = make_shop(tmp_path_factory.mktemp("shop"))
    shop.release(1)
    state_file = shop.root / "endpoint.json"
    limited = dataclasses.replace(SPEC, max_body_bytes=20_000, max_texts=8, max_chars=1000)
    state = process.start(shop.folder.path, shop.public_key, limited, state_file, shop.root / "endpoint.log")
    yield shop, state
    process.stop(state_file, wait_s=15)


SPEC = DeploySpec(port=0, threads=1, poll_s=0.05, start_timeout_s=30, drain_timeout_s=10)

Start = Callable[..., process.EndpointState]


@pytest.fixture
def spec() -> DeploySpec:
    """How the tests' endpoints run: any port, one thread, a quick look-out."""
    return SPEC


@pytest.fixture
def start(shop: Shop) -> Iterator[Start]:
    """Starts an endpoint process on the shop's folder; all are stopped at the end."""
    started: list[Path] = []

    def run(spec: DeploySpec = SPEC) -> process.EndpointState:
        state_file = shop.root / "endpoints" / f"{len(started)}.json"
        started.append(state_file)
        return process.start(
            shop.folder.path, shop.public_key, spec, state_file, state_file.with_suffix(".log")
        )

    yield run
    for state_file in started:
        process.stop(state_file, wait_s=15)


@pytest.fixture
def until() -> Callable[..., None]:
    """Waits until a condition holds, or fails."""

    def wait(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come to hold in time"
            time.sleep(0.02)

    return wait
