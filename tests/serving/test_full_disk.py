"""A full disk stops no worker: what workers share lies in memory, and a log that can't be written is lost."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from serving import client
from tests.support.small_disk import can_mount, on_small_disk


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_stops_no_worker_and_hides_none(shop: Any, spec: Any, workers: int) -> None:
    if not can_mount(shop.root):
        pytest.skip("a file system can't be mounted here (unshare -rm)")
    shop.release(1)
    with on_small_disk(shop, dataclasses.replace(spec, workers=workers)) as served:
        before = served.children()
        assert len(before) == (workers if workers > 1 else 0)
        served.fill()
        for number in range(60):  # on connections of their own, so that each worker gets some
            assert client.ask(served.url, "rain")["version"] == 1
            assert client.request(served.url, "GET", f"/nowhere/{number}")[0] == 404
            assert client.request(served.url, "POST", "/predict", {"texts": []})[0] == 422
        shop.release(2)
        client.wait_for_version(served.url, 2, timeout_s=20)
        text = client.request(served.url, "GET", "/metrics")[2].decode()
        assert 'headgate_requests_total{route="/predict",status="422"} 60.0' in text
        assert served.children() == before
