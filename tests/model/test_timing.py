"""Timings pair, come from fresh processes, and hold every figure that the gate needs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model.errors import BadInput
from model.measure.timed_process import TimingError
from model.measure.timing import TimingJob, main, read_job, time_bundles
from tests.support.toy_bundle import write_bundle

NAMES = {"shared", "baseline:topic", "control"}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "test.texts.jsonl"
    lines = ["sun rain", "", "tea " * 90, "a\u2028b\u0085c", "cat"]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return path


def job_file(tmp_path: Path, texts: Path, folders: dict[str, Path], **more: Any) -> Path:
    path = tmp_path / "job.json"
    raw = {
        "bundles": {name: str(folder) for name, folder in folders.items()},
        "texts": str(texts),
        "requests": 7,
        "blocks": 3,
        "threads": 1,
        "seed": 4,
        "out": str(tmp_path / "out" / "timing.json"),
        **more,
    }
    path.write_text(json.dumps(raw))
    return path


def test_every_bundle_answers_the_same_texts_in_the_same_blocks(
    tiny_bundles: dict[str, Path], texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundles = {"shared": tiny_bundles["float32"], "baseline:topic": tiny_bundles["int8"]}
    assert main([str(job_file(tmp_path, texts, bundles))]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["done"] for e in events if e["event"] == "timed"] == [2, 4, 6, 8, 10, 12, 15, 18, 21]
    assert all(e["total"] == 21 for e in events if e["event"] == "timed")
    assert events[-1]["event"] == "done"

    result = json.loads((tmp_path / "out" / "timing.json").read_text())
    columns = result["requests"]
    assert {len(values) for values in columns.values()} == {21}
    asked = {
        name: [
            (block, text)
            for block, bundle, text in zip(columns["block"], columns["bundle"], columns["text"], strict=True)
            if bundle == name
        ]
        for name in NAMES
    }
    assert asked["shared"] == asked["control"] == asked["baseline:topic"]
    assert [block for block, _ in asked["shared"]] == [0, 0, 1, 1, 2, 2, 2]
    assert sorted(text for _, text in asked["shared"][:5]) == [0, 1, 2, 3, 4], "not again while some are left"
    assert [set(names) for names in result["order"]] == [NAMES] * 3
    assert columns["bundle"][:12:2] == result["order"][0] + result["order"][1]

    longest = [t for t, text in zip(columns["tokens"], columns["text"], strict=True) if text == 2]
    assert set(longest) == {48}, "cut at the bundle's length"
    for tokenise, encode, total in zip(
        columns["tokenise_ms"], columns["encode_ms"], columns["total_ms"], strict=True
    ):
        assert tokenise > 0
        assert encode > 0
        assert tokenise + encode <= total
    for fact in ("peak_rss_mb", "rss_mb", "load_ms", "bundle_bytes", "digest", "heads"):
        assert set(result[fact]) == NAMES
    assert all(result["peak_rss_mb"][name] >= result["rss_mb"][name] > 10 for name in NAMES)
    assert result["bundle_bytes"]["shared"] == sum(
        f.stat().st_size for f in tiny_bundles["float32"].iterdir()
    )
    assert result["digest"]["shared"] == result["digest"]["control"] != result["digest"]["baseline:topic"]
    assert result["threads"] == 1
    assert result["machine"]["cores"] >= 1


def test_the_seed_decides_texts_and_order(tiny_bundles: dict[str, Path], texts: Path, tmp_path: Path) -> None:
    def drawn(seed: int) -> tuple[Any, Any]:
        job = TimingJob(
            bundles={"shared": tiny_bundles["int8"]},
            texts=texts,
            out=tmp_path / "unused",
            requests=12,
            blocks=3,
            threads=1,
            seed=seed,
        )
        result = time_bundles(job)
        return result["requests"]["text"], result["order"]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_each_block_has_processes_of_its_own(
    tiny_bundles: dict[str, Path], texts: Path, tmp_path: Path
) -> None:
    """Seen from a bundle that is exchanged after the first block: a process of before would not notice."""
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundles["int8"], folder)

    def exchange(done: int, total: int) -> None:
        if done == total // 2:
            shutil.rmtree(folder)
            shutil.copytree(tiny_bundles["float32"], folder)

    job = TimingJob(
        bundles={"shared": folder}, texts=texts, out=tmp_path / "unused", requests=8, blocks=2, threads=1
    )
    with pytest.raises(TimingError, match="a bundle was changed while"):
        time_bundles(job, on_progress=exchange)


def test_a_bundle_that_cannot_be_loaded_is_named_and_nothing_is_written(
    tiny_bundles: dict[str, Path], texts: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bundles = {"shared": tiny_bundles["float32"], "baseline:topic": tmp_path / "nowhere"}
    with pytest.raises(TimingError, match="'baseline:topic' ended with code 2"):
        main([str(job_file(tmp_path, texts, bundles))])
    assert "manifest.json: cannot be read" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"requests": 0}, "requests: seen 0"),
        ({"blocks": 1.5}, "blocks: seen 1.5"),
        ({"threds": 2}, "threds"),
        ({"bundles": {"other": "x"}}, "expected one named 'shared'"),
        ({"bundles": {"shared": "x", "control": "y"}}, "none named 'control'"),
        ({"bundles": None}, "not a timing job"),
    ],
)
def test_a_job_that_is_none_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = job_file(tmp_path, tmp_path / "t", {"shared": tmp_path}, **change)
    with pytest.raises(BadInput, match=message):
        read_job(path)


@pytest.mark.parametrize("content", ["", '"fine"\n17\n', '"fine"\n{broken\n'])
def test_texts_that_are_none_are_refused_by_line(content: str, tmp_path: Path) -> None:
    path = tmp_path / "texts"
    path.write_text(content)
    job = TimingJob(bundles={"shared": tmp_path}, texts=path, out=tmp_path / "out")
    with pytest.raises(BadInput, match=r"line [12]: expected a JSON string"):
        time_bundles(job)


def test_a_process_whose_master_was_killed_ends_without_a_word(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", seed=1)
    command = [
        sys.executable,
        "-m",
        "model.measure.timing_worker",
        str(tmp_path / "bundle"),
        "--threads",
        "1",
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        with process:
            assert process.stdout is not None
            process.stdout.close()
            assert process.wait(timeout=120) == 0
    assert (tmp_path / "log").read_bytes() == b""
