"""The graph that Prefect draws of a run with nine heads: few enough arrows to be read, in every part."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun

from flows.prefect_runs import parts_of
from flows.retrain import retrain
from tests.support.tiny_project import tiny_config

HEADS = tuple(f"topic_{number}" for number in range(9))
MOST_ARROWS = 60
"""Of one graph: a person loses the thread long before Prefect's page shows none."""
ENDS = {"reconcile", "find-champion", "keep-judged", "publish-artifacts", "clean"}
"""What begins and ends a run: nobody waits for its result, or a first run has none."""
MOST_LISTED = 500
"""Above these Prefect's page shows none. It lists an arrow several times where its beginning has several."""


def nine_heads(folder: Path) -> Path:
    """The tiny project with its question nine times, suspicious labels looked for."""
    config = tiny_config(folder)
    with (folder / "rows.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["text", "split", *HEADS])
        writer.writeheader()
        for row in rows:
            same = dict.fromkeys(HEADS, row["topic"])
            writer.writerow({"text": row["text"], "split": row["split"], **same})
    raw = yaml.safe_load(config.read_text(encoding="utf-8"))
    raw["heads"] = dict.fromkeys(HEADS, "multiclass")
    raw["sources"]["rows"]["heads"] = {head: head for head in HEADS}
    raw["label_check"] = {"mode": "baseline"}
    config.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return config


def graphs(run: UUID) -> Mapping[str, list[dict[str, Any]]]:
    """Flow → the nodes of its graph, as Prefect's page asks for them: of a run and the flows below it."""
    with get_client(sync_client=True) as client:
        below: list[FlowRun] = client.read_flow_runs(flow_run_filter=parts_of([run]))
        runs = {"retrain": run} | {one.name: one.id for one in below}
        found = {}
        for name, one in runs.items():
            reply = client._client.get(f"/flow_runs/{one}/graph-v2")
            found[name] = [node for _, node in reply.json()["nodes"]]
    return found


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_part_of_a_run_with_nine_heads_has_more_arrows_than_can_be_read(
    tmp_path: Path, prefect_harness: None
) -> None:
    state: Any = retrain(nine_heads(tmp_path), home=tmp_path / "home", return_state=True)  # type: ignore[call-overload]
    assert state.name in ("Rejected", "Deployed"), state.message
    found = graphs(state.state_details.flow_run_id)
    assert set(found) == {
        "retrain",
        "baselines",
        "label check",
        "teachers",
        "package baselines",
        "answer",
        "measure",
    }
    arrows = {name: sum(len(_ids(node["parents"])) for node in nodes) for name, nodes in found.items()}
    assert max(arrows.values()) <= MOST_ARROWS, arrows
    listed = {name: sum(len(node["parents"]) for node in nodes) for name, nodes in found.items()}
    assert max(listed.values()) < MOST_LISTED, listed
    # Where a part begins and ends, the thread goes on.
    lonely = [
        node["label"]
        for node in found["retrain"]
        if not node["parents"] and not any(node["id"] in _ids(other["parents"]) for other in found["retrain"])
    ]
    assert set(lonely) <= ENDS, lonely


def _ids(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["id"] for node in nodes}
