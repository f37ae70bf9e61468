"""A request may name the heads that it wants; one that an earlier version answered hears which dropped it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving import client
from serving.store.manifest import DROPPED_HEADS, ReleaseManifest, signed_manifest
from tests.serving.conftest import Start
from tests.support.toy_bundle import PASS, Shop

AT = "2026-01-05T03:00:00+00:00"
DROPPED = {
    "tone": {"version": 1, "at": AT},
    "feeling": {"version": 1, "at": AT, "now": "mood"},
    "sort": {"version": 1, "at": AT, "now": "kind"},
    "odd": "not a record",
}


@pytest.fixture
def url(shop: Shop, start: Start) -> str:
    """An endpoint that serves mood and topics, and knows of three heads that went."""
    path, _ = shop.bundle(1)
    manifest = shop.manifest(1, configuration={DROPPED_HEADS: DROPPED})
    shop.folder.stage(path, manifest, shop.private_key)
    shop.folder.promote(1, shop.private_key)
    return start().url


def asked(url: str, route: str, body: dict[str, Any]) -> tuple[int, Any]:
    status, _, reply = client.request(url, "POST", route, body)
    return status, json.loads(reply)


def test_heads_are_answered_or_it_is_said_why_not(url: str) -> None:
    status, every = asked(url, "/predict", {"texts": "late order"})
    assert status == 200 and list(every["answers"][0]) == ["mood", "topics"]
    status, one = asked(url, "/predict", {"texts": "late order", "heads": ["topics", "topics"]})
    assert status == 200 and one["answers"] == [{"topics": every["answers"][0]["topics"]}]
    status, one = asked(url, "/invocations", {"inputs": "late order", "params": {"heads": ["mood"]}})
    assert status == 200 and one["predictions"] == [{"mood": every["answers"][0]["mood"]}]

    for head, code, message in (
        ("tone", "head_dropped", f'head "tone" is not answered any more: version 1 ({AT}) dropped it'),
        ("feeling", "head_dropped", f'head "feeling" is called "mood" since version 1 ({AT})'),
        ("sort", "head_dropped", f'head "sort" is not answered any more: version 1 ({AT}) dropped it'),
        ("odd", "no_such_head", '"heads.1" is not a head of version 1, which answers mood, topics'),
        ("<b>", "no_such_head", '"heads.1" is not a head of version 1, which answers mood, topics'),
    ):
        status, reply = asked(url, "/predict", {"texts": "late order", "heads": ["mood", head]})
        assert (status, reply["error"]["code"], reply["error"]["message"]) == (422, code, message)
    for heads in ([], "mood", [3], {"mood": True}):
        status, reply = asked(url, "/predict", {"texts": "late order", "heads": heads})
        assert (status, reply["error"]["code"]) == (422, "wrong_type")


def test_records_of_before_have_dropped_nothing(shop: Shop) -> None:
    folder = shop.release(1)
    assert signed_manifest(folder, shop.public_key).dropped_heads == {}
    for written in ([], "tone", {"tone": {"version": "1"}}, None):
        manifest = ReleaseManifest(
            name="toy",
            version=1,
            sequence=1,
            bundle_sha256="b",
            verdict=PASS,
            configuration={DROPPED_HEADS: written},
        )
        assert manifest.dropped_heads == {}
