"""A real endpoint on a toy release, in a process of its own, for as long as a benchmark needs it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model.files import file_sha256
from serving.process import control as process
from serving.spec import DeploySpec
from serving.store.manifest import ReleaseManifest
from tests.support.toy_bundle import NAME, PASS, Shop, make_shop


@dataclass(frozen=True, slots=True)
class OpenEndpoint:
    """A running endpoint and the release folder that it follows."""

    shop: Shop
    state: process.EndpointState
    log_file: Path


@contextlib.contextmanager
def open_endpoint(spec: DeploySpec, *, work: int = 0, text_work: int = 0) -> Iterator[OpenEndpoint]:
    """Version 1 of the toy model, served from a temporary folder; stopped at the end.

    Args:
        spec: how it serves; give it port 0.
        work: size of the matrices that each pass multiplies, to make it slow (see `write_bundle`).
        text_work: the same for each text.
    """
    with tempfile.TemporaryDirectory(prefix="headgate-endpoint-") as folder:
        shop = make_shop(Path(folder))
        shop.bundle(1, work=work, text_work=text_work)
        shop.release(1)
        with _served(shop, spec) as endpoint:
            yield endpoint


@contextlib.contextmanager
def open_bundle(bundle: Path, spec: DeploySpec) -> Iterator[OpenEndpoint]:
    """Any bundle as version 1, served from a temporary folder; stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="headgate-endpoint-") as folder:
        shop = make_shop(Path(folder))
        manifest = ReleaseManifest(
            name=NAME,
            version=1,
            sequence=1,
            bundle_sha256=file_sha256(bundle / "manifest.json"),
            verdict=PASS,
        )
        shop.folder.stage(bundle, manifest, shop.private_key)
        shop.folder.promote(1, shop.private_key)
        with _served(shop, spec) as endpoint:
            yield endpoint


@contextlib.contextmanager
def _served(shop: Shop, spec: DeploySpec) -> Iterator[OpenEndpoint]:
    state_file, log_file = shop.root / "endpoint.json", shop.root / "endpoint.log"
    state = process.start(shop.folder.path, shop.public_key, spec, state_file, log_file)
    try:
        yield OpenEndpoint(shop, state, log_file)
    finally:
        process.stop(state_file, wait_s=15)
