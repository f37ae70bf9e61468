"""A real endpoint on a toy release, in a process of its own, for as long as a benchmark needs it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from serving.process import control as process
from serving.spec import DeploySpec
from tests.support.toy_bundle import Shop, make_shop


@dataclass(frozen=True, slots=True)
class OpenEndpoint:
    """A running endpoint and the release folder that it follows."""

    shop: Shop
    state: process.EndpointState
    log_file: Path


@contextlib.contextmanager
def open_endpoint(spec: DeploySpec, *, work: int = 0) -> Iterator[OpenEndpoint]:
    """Version 1 of the toy model, served from a temporary folder; stopped at the end.

    Args:
        spec: how it serves; give it port 0.
        work: size of the matrices that each pass multiplies, to make it slow (see `write_bundle`).
    """
    with tempfile.TemporaryDirectory(prefix="headgate-endpoint-") as folder:
        shop = make_shop(Path(folder))
        shop.bundle(1, work=work)
        shop.release(1)
        state_file, log_file = shop.root / "endpoint.json", shop.root / "endpoint.log"
        state = process.start(shop.folder.path, shop.public_key, spec, state_file, log_file)
        try:
            yield OpenEndpoint(shop, state, log_file)
        finally:
            process.stop(state_file, wait_s=15)
