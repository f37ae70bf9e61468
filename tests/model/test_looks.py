"""Bundles are timed again until the timings decide, and what else the machine did is measured."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from model.jobs.latency import TimingPlan, time_bundles, timed_once
from model.jobs.progress import Silent
from model.measure.machine import BusyMeter, cores, crowded, wait_for_quiet
from model.measure.timed_process import TimingError
from model.measure.timing import merge_looks


def look(blocks: int, digest: str = "aa", peak: float = 100.0, busy: float = 0.1) -> dict[str, Any]:
    return {
        "requests": {"block": list(range(blocks)), "total_ms": [1.0] * blocks},
        "digest": {"shared": digest},
        "peak_rss_mb": {"shared": peak},
        "rss_mb": {"shared": peak},
        "order": [["shared"]] * blocks,
        "machine": {"cores": 2, "load_average": 0.5, "busy_cores": busy},
        "looks": [{"blocks": blocks, "load_average": 0.5, "busy_cores": busy}],
    }


def test_looks_are_joined_block_after_block() -> None:
    first = look(2)
    merged = merge_looks([first, look(3, peak=120.0, busy=1.5), look(1)])
    assert merged["requests"]["block"] == [0, 1, 2, 3, 4, 5]
    assert len(merged["requests"]["total_ms"]) == len(merged["order"]) == 6
    assert merged["peak_rss_mb"] == {"shared": 120.0}
    assert merged["machine"]["busy_cores"] == 1.5, "the busiest look counts"
    assert [one["blocks"] for one in merged["looks"]] == [2, 3, 1]
    assert first == look(2), "nothing of the first look was changed"
    with pytest.raises(TimingError, match="changed while"):
        merge_looks([look(2), look(2, digest="bb")])


def test_it_times_until_it_is_enough(tiny_bundles: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('"sun rain"\n"tea"\n"cat"\n')
    seen: list[int] = []
    lines: list[str] = []

    def enough(timings: Any) -> bool:
        seen.append(len(timings["looks"]))
        return len(seen) == 2

    plan = TimingPlan(
        texts=tmp_path / "texts.jsonl",
        out=tmp_path / "evidence" / "timing.json",
        log=tmp_path / "log",
        requests=20,
        threads=1,
        seed=3,
        looks=3,
        enough=enough,
        say=lines.append,
    )
    time_bundles({"shared": tiny_bundles["int8"]}, Silent(), plan)
    found = json.loads(plan.out.read_text())
    assert seen == [1, 2] and len(found["looks"]) == 2
    assert found["requests"]["block"].count(3) == 4, "two requests of each of two processes"
    assert min(found["requests"]["cpu_ms"]) > 0 and min(found["requests"]["caller_ms"]) > 0
    for cpu_ms, caller_ms in zip(found["requests"]["cpu_ms"], found["requests"]["caller_ms"], strict=True):
        assert caller_ms <= cpu_ms * 1.05 + 0.05, "one thread is part of all"
    assert lines == ["look 1 does not decide; timing 20 more requests a bundle"]
    assert {file.name for file in plan.out.parent.iterdir()} == {"timing.json", "timing-job.json"}


@pytest.mark.parametrize(
    ("busy", "threads", "of", "expected"),
    [
        (0.1, 2, 2, False),
        (1.0, 2, 2, True),
        (1.0, 1, 2, False),
        (1.5, 1, 2, True),
        (3.0, 4, 2, True),
        (10.0, 2, 64, False),
    ],
)
def test_a_machine_is_crowded_when_a_request_has_to_wait(
    busy: float, threads: int, of: int, expected: bool
) -> None:
    assert crowded(busy, threads, of) is expected


def test_our_own_work_is_not_that_of_others() -> None:
    meter, own_s = BusyMeter(), time.process_time()
    end_s = time.monotonic() + 1.0
    while time.monotonic() < end_s:
        pass
    used_s = time.process_time() - own_s
    everything, others = meter.others(), meter.others(used_s)
    assert everything <= cores() + 0.1
    assert everything - others == pytest.approx(min(used_s, everything), abs=0.15)


def test_the_wait_for_a_quiet_machine_ends() -> None:
    """Nothing leaves more cores free than there are, so this machine is never quiet enough, or at once."""
    lines: list[str] = []
    waited_s = wait_for_quiet(cores(), 0.6, lines.append, sample_s=0.2)
    assert waited_s <= 1.0 and len(lines) <= 1
    assert wait_for_quiet(1, 0.0, lines.append) < 0.1


def test_a_bundle_with_several_labels_is_timed_once() -> None:
    one, other = Path("one"), Path("other")
    bundles = {"shared": other, "baseline:a": one, "baseline:b": one, "champion": Path("third")}
    timed, timed_as = timed_once(bundles)
    assert timed == {"shared": other, "baseline:a": one, "champion": Path("third")}
    assert timed_as == {"baseline:b": "baseline:a"}
