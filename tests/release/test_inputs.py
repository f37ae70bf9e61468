"""What differs between the inputs of two runs: fields with the value then and now, and nothing secret."""

from __future__ import annotations

from typing import Any

import pytest

from flows.config.schema import Project
from flows.parts.nothing_to_do import effective
from model.digest import digest
from release.runs.inputs import Inputs, besides, differences, kept_value


def inputs(**fields: Any) -> Inputs:
    """Inputs with these fields of a configuration, as `gather_inputs` keeps them."""
    kept = {name.replace("__", "."): kept_value(value) for name, value in fields.items()}
    return Inputs(parts={"configuration": kept, "code": {"model": "c"}})


def test_a_field_is_named_with_its_value_then_and_now() -> None:
    before = inputs(gates__margin=0.03, train__epochs=3, backbone__name="offline", gates__margins={})
    now = inputs(gates__margin=0.02, train__epochs=3, backbone__name="ü", gates__margins__topic=0.1)
    assert besides(before, now) == [
        'Configuration: backbone.name "offline" → "ü", gates.margin 0.03 → 0.02, '
        "gates.margins.topic not set → 0.1."
    ]
    assert besides(before, before) == []


@pytest.mark.parametrize("secret", ["postgresql://me:hunter2@db/x", "hf_" + "a" * 24, "word " * 40])
def test_what_is_long_or_secret_is_named_without_its_value(secret: str) -> None:
    before, now = inputs(sources__rows__sql=secret), inputs(sources__rows__sql="select 1")
    assert secret not in str(before.parts)
    assert besides(before, now) == ["Configuration: sources.rows.sql."]


@pytest.mark.parametrize(
    "value", [0.03, 3, None, True, "offline", ["a", "ü"], {}, "x" * 99, 1234567890123456]
)
def test_a_digest_of_an_older_run_is_the_value_that_it_stands_for(value: Any) -> None:
    older = Inputs(parts={"configuration": {"field": digest(value)[:16]}})
    newer = Inputs(parts={"configuration": {"field": kept_value(value)}})
    assert differences(older, newer) == {} == differences(newer, older)
    other = Inputs(parts={"configuration": {"field": kept_value("something else")}})
    assert differences(older, other) == {"configuration": ["field"]}
    assert besides(older, other) == ["Configuration: field."]


@pytest.mark.parametrize(("then", "here"), [("25.1", "25.10"), ("2", "2.0"), ("1.0", "1.00")])
def test_versions_are_no_numbers(then: str, here: str) -> None:
    before, now = (Inputs(parts={"dependencies": {"packaging": version}}) for version in (then, here))
    assert besides(before, now) == [f"Dependencies: packaging {then} → {here}."]


def test_the_order_in_which_a_field_names_its_parts_says_nothing() -> None:
    assert kept_value([{"a": 1, "b": 2}]) == kept_value([{"b": 2, "a": 1}])


def test_most_fields_of_a_configuration_have_a_value_to_show() -> None:
    project = Project.model_validate(
        {
            "name": "toy",
            "heads": {"mood": "multiclass"},
            "sources": {"rows": {"path": "rows.csv", "text": "text", "heads": {"mood": "mood"}}},
        }
    )
    kept = {name: kept_value(value) for name, value in effective(project).items()}
    assert kept["gates.margin"] == "0.015" and kept["sources.rows.path"] == '"rows.csv"'
    assert sum(len(value) == 16 for value in kept.values()) <= 3, kept
