"""The search for secrets finds what is planted, and every planted configuration is refused."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.campaigns import secrets as campaign


def test_a_file_a_database_and_a_name_are_searched(tmp_path: Path) -> None:
    assert campaign.control(tmp_path / "control") == 3


def test_a_secret_is_known_in_each_form_and_no_other_is() -> None:
    plants = campaign.Plants()
    secret = plants.new("here")
    header = base64.b64encode(f"user:{secret}".encode())
    for data in (secret.encode(), b"x" + header + b"x", f"http://user:{secret}@h".encode()):
        assert list(plants.found_in(data)) == ["here"]
    assert not list(plants.found_in(b"http://***@h " + secret[:-1].encode()))


@pytest.mark.timeout(240)
def test_every_field_with_a_secret_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    world = campaign.Planted(tmp_path)
    world.refuse_configurations()
    assert world.refused == len(campaign.FIELDS), (tmp_path / "printed" / "01-refusals.log").read_text()
    assert world.hits() == []
