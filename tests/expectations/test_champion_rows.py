"""The champion's gate compares on rows that neither model has seen, and says how many it left out."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from expectations.gates.champion import TEST_ROWS, judge_champion, without_repeats
from expectations.gates.figures import figures_of
from expectations.gates.release import judge_release
from expectations.gates.scores import HeadScores
from expectations.seen_texts import SeenTestRows, write_seen
from expectations.spec import GateRules
from expectations.verdict import Finding, Verdict
from model.files import file_sha256
from model.references import Measured, ScoresRef, SeenRef, TimingRef
from model.spec import HeadSpec
from report.verdict_table import verdict_rows
from sources.dataset import DatasetRef, build_dataset
from sources.spec import SourceSpec, SplitSpec

RULES = GateRules(resamples=400)
LABELS = ("a", "b", "c")
HEAD = HeadSpec(kind="multiclass", labels=LABELS)
Mask = NDArray[np.bool_]


def answers(wrong: Mask, *, unlabelled: Mask | None = None) -> HeadScores:
    """A multiclass head of N rows that is wrong where it is said."""
    targets = (np.arange(wrong.size) % 3).astype(np.int32)
    decisions = np.where(wrong, (targets + 1) % 3, targets).astype(np.int32)
    if unlabelled is not None:
        targets[unlabelled] = -1
    return HeadScores(kind="multiclass", labels=LABELS, targets=targets, decisions=decisions)


def first(k: int, n: int = 1000) -> Mask:
    """(n,) true for the first k."""
    return np.arange(n) < k


def judged(shared: HeadScores, champion: HeadScores, seen: Mask | None) -> dict[str, Finding]:
    verdict = judge_champion({"topic": shared}, {"topic": champion}, RULES, {"topic": HEAD}, seen=seen)
    return {finding.subject: finding for finding in verdict.findings}


def test_the_advantage_on_rows_that_the_champion_has_seen_does_not_count() -> None:
    """The champion knows the first 500 rows by heart; on the others both are wrong alike."""
    shared, champion = answers(first(50) | ~first(950)), answers(~first(950))
    unfair, fair = judged(shared, champion, first(0)), judged(shared, champion, first(500))
    assert unfair["topic vs champion"].outcome == "fail"
    assert fair["topic vs champion"].outcome == "pass"
    assert fair["topic vs champion"].figures["n"] == 500
    assert fair["topic vs champion"].figures["left_out"] == 500
    assert fair["topic vs champion"].figures["difference"] == 0.0
    assert "on 500 of 1,000 labelled test rows" in fair["topic vs champion"].reason
    assert fair[TEST_ROWS].outcome == "pass" and "500 of 1,000 test rows" in fair[TEST_ROWS].reason


def test_being_worse_on_new_rows_is_not_hidden_by_rows_that_both_know() -> None:
    """Over all rows 30 of 3,000 are lost, within the margin; on the new ones it is 30 of 300."""
    shared, champion = answers(first(30, 3000)), answers(first(0, 3000))
    assert judged(shared, champion, first(0, 3000))["topic vs champion"].outcome == "pass"
    assert judged(shared, champion, ~first(300, 3000))["topic vs champion"].outcome == "fail"


def test_all_rows_seen_is_inconclusive_and_says_what_to_do() -> None:
    same = answers(first(0, 121))
    found = judged(same, same, ~first(0, 121))
    assert {finding.outcome for finding in found.values()} == {"inconclusive"}
    assert "0 of 121 test rows: 121 are left out" in found[TEST_ROWS].reason
    for finding in found.values():
        assert "split.seed" in finding.reason and "add test rows that are new" in finding.reason
    assert found["topic vs champion"].figures["n"] == 0
    assert found["topic vs champion"].figures["left_out"] == 121


def test_few_rows_left_cannot_decide() -> None:
    same = answers(first(0))
    found = judged(same, same, ~first(40))
    assert found["topic vs champion"].outcome == "inconclusive"
    assert "on 40 of 1,000" in found["topic vs champion"].reason
    assert "add test rows that are new" in found["topic vs champion"].reason
    assert found[TEST_ROWS].outcome == "pass", "there are rows; whether they are enough is for each head"


def test_nothing_seen_changes_no_figure() -> None:
    shared, champion = answers(first(10)), answers(first(5))
    found = judged(shared, champion, first(0))
    plain = judge_champion({"topic": shared}, {"topic": champion}, RULES, {"topic": HEAD}).findings[0]
    assert found["topic vs champion"] == plain
    assert "all 1,000 test rows; the champion was trained on none" in found[TEST_ROWS].reason


def test_each_head_counts_its_own_labelled_rows() -> None:
    """300 rows were seen: half of the 600 that `tone` labels, none of the 700 that `topic` does."""
    heads = {"topic": HEAD, "tone": HEAD}
    scores = {
        "topic": answers(first(0), unlabelled=first(300)),
        "tone": answers(first(0), unlabelled=~first(600)),
    }
    verdict = judge_champion(scores, scores, RULES, heads, seen=first(300))
    counts = {f.subject: (f.figures["n"], f.figures.get("left_out")) for f in verdict.findings}
    assert counts == {
        "topic vs champion": (700, None),
        "tone vs champion": (300, 300),
        TEST_ROWS: (700, 300),
    }


def test_labels_without_a_row_do_not_dilute_a_macro_average() -> None:
    """Of forty labels only one has rows left, and there the model is always wrong. Counted over all
    forty, that is a loss of 1/40, within a margin of 0.03."""
    labels = tuple(f"label {number}" for number in range(40))
    head = HeadSpec(kind="multiclass", labels=labels, metric="macro_f1")
    targets = (np.arange(4000) % 40).astype(np.int32)
    right = HeadScores(kind="multiclass", labels=labels, targets=targets, decisions=targets)
    wrong = replace(right, decisions=np.where(targets == 7, 8, targets).astype(np.int32))
    rules = replace(RULES, champion_margin=0.03)
    verdict = judge_champion({"topic": wrong}, {"topic": right}, rules, {"topic": head}, seen=targets != 7)
    finding = verdict.findings[0]
    assert finding.outcome == "fail" and finding.figures["difference"] == -1.0
    assert finding.figures["labels_without_rows"] == 39 and "39 labels have no row left" in finding.reason


def test_multilabel_rows_and_labels_are_left_out_too() -> None:
    targets = np.zeros((900, 3), dtype=np.int8)
    targets[:300, 0] = targets[300:600, 1] = targets[600:, 2] = 1
    head = HeadSpec(kind="multilabel", labels=LABELS, metric="macro_f1")
    right = HeadScores(kind="multilabel", labels=LABELS, targets=targets, decisions=targets)
    bad = targets.copy()
    bad[600:] = 0
    wrong = replace(right, decisions=bad)
    finding = judge_champion(
        {"tags": wrong}, {"tags": right}, RULES, {"tags": head}, seen=first(600, 900)
    ).findings[0]
    assert finding.figures["difference"] == -1.0 and finding.figures["n"] == 300
    assert finding.figures["labels_without_rows"] == 2


def test_not_knowing_what_it_has_seen_is_said_and_fails_nobody() -> None:
    """A pass against a champion that may have an advantage is a pass; a fail may be that advantage."""
    good, bad = answers(first(0)), answers(first(300))
    assert judged(good, good, None)["topic vs champion"].outcome == "pass"
    assert judged(bad, good, first(0))["topic vs champion"].outcome == "fail"
    unknown = judged(bad, good, None)
    assert unknown["topic vs champion"].outcome == "inconclusive"
    assert "not known on which of these rows" in unknown["topic vs champion"].reason
    assert "is not known" in unknown[TEST_ROWS].reason
    broken = replace(good, probabilities=np.full((1000, 3), np.nan))
    assert judged(broken, good, None)["topic vs champion"].outcome == "fail", "that is no advantage"


def test_a_broken_model_fails_also_where_no_row_is_left() -> None:
    broken = replace(answers(first(0)), probabilities=np.full((1000, 3), np.inf))
    assert judged(broken, answers(first(0)), ~first(0))["topic vs champion"].outcome == "fail"


def test_a_mask_of_other_rows_is_refused() -> None:
    same = answers(first(0))
    with pytest.raises(ValueError):
        judged(same, same, first(3, 999))


def test_terminal_page_and_mlflow_show_how_many_rows_were_compared() -> None:
    same = answers(first(0))
    finding = judged(same, same, first(400))[TEST_ROWS]
    assert figures_of(finding).numbers() == {"rows": 600.0, "left_out": 400.0}
    [row] = verdict_rows(Verdict(gate="champion", findings=(finding,)))
    assert (row["subject"], row["metric"]) == (TEST_ROWS, "600 of 1,000 rows")


def test_an_ending_says_once_that_the_champion_has_seen_test_rows() -> None:
    same, other = answers(first(0)), "a source is absent"
    remark = SeenTestRows(rows=1000, seen=400, left={"topic": (600, 1000)}).remark()
    of_data = (other, f"T{remark[1:]}")
    told = Verdict(gate="champion", findings=(judged(same, same, first(400))[TEST_ROWS],))
    assert without_repeats(of_data, told) == (other,)
    silent = Verdict(gate="champion", findings=(judged(same, same, first(1000))[TEST_ROWS],))
    assert without_repeats(of_data, silent) == of_data, "the verdict has no remark on them"


TOPICS = {"topic": HeadSpec(kind="multiclass")}
N = 1500


def merged(folder: Path, seed: int, test: Collection[int] | None = None, *, start: int = 0) -> DatasetRef:
    """N texts from `start` on, split by hash with a seed, or with those of `test` given to the test split."""
    folder.mkdir()
    rows = ["text,topic,split"]
    for at in range(start, start + N):
        split = "" if test is None else ["train", "test"][at in test]
        rows.append(
            f"message {at},{'ab'[at % 2]},{'validation' if split == 'train' and at % 9 == 0 else split}"
        )
    (folder / "rows.csv").write_text("\n".join(rows))
    source = SourceSpec(
        path="rows.csv", heads={"topic": "topic"}, split_column=None if test is None else "split"
    )
    return build_dataset({"rows": source}, TOPICS, SplitSpec(seed=seed), folder, folder / "data")


def evidence(folder: Path, data: DatasetRef) -> Measured:
    """The files that scoring and timing leave, of models that are always right."""
    folder.mkdir()
    targets = np.load(data.path / "rows" / "test.topic.npy")
    path = folder / "scores.npz"
    np.savez(path, **{"targets:topic": targets, "decisions:topic": targets})
    empty = folder / "timing.json"
    empty.write_text(json.dumps(_timings()))
    http = folder / "http.json"
    http.write_text(json.dumps(_http()))
    return Measured(
        scores={
            label: ScoresRef(path=str(path), sha256=file_sha256(path), bundle_sha256=label)
            for label in ("shared", "baseline:topic", "champion")
        },
        timing=TimingRef(path=str(empty), sha256=file_sha256(empty)),
        http=TimingRef(path=str(http), sha256=file_sha256(http)),
    )


def _timings() -> dict[str, Any]:
    names = ("shared", "baseline:topic", "champion", "control")
    block, text = np.divmod(np.arange(200), 10)
    requests: dict[str, Any] = {
        "block": np.tile(block, 4).tolist(),
        "bundle": np.repeat(names, 200).tolist(),
        "text": np.tile(text, 4).tolist(),
        "total_ms": np.random.default_rng(4).gamma(400, 0.01, 800).tolist(),
    }
    figures = {"peak_rss_mb": dict.fromkeys(names, 120.0), "bundle_bytes": dict.fromkeys(names, 1 << 20)}
    digests = {name: name for name in names} | {"control": "shared"}
    return {"requests": requests, "threads": 2, "machine": {}, "digest": digests, **figures}


def _http() -> dict[str, Any]:
    requests = {"late_ms": [0.1] * 150, "latency_ms": [8.0] * 150, "status": [200] * 150}
    served = {"rate_per_s": RULES.http_rate_per_s, "threads": 2, "bundle_sha256": "shared"}
    return {**requests, "version": ["1"] * 150, **served, "peak_rss_mb": 200.0}


def released(
    folder: Path, data: DatasetRef, seen: SeenRef | None, heads: Mapping[str, HeadSpec] | None = None
) -> dict[str, Finding]:
    """The findings about the champion, from files, as the flow judges them."""
    bundle = folder / "champion"
    bundle.mkdir(parents=True, exist_ok=True)
    labels = list(data.heads["topic"].labels)
    card = {"heads": {"topic": {"kind": "multiclass", "labels": labels, "metric": "accuracy"}}}
    (bundle / "card.json").write_text(json.dumps(card))
    verdict = judge_release(
        heads or data.heads,
        evidence(folder / "evidence", data),
        RULES,
        champion_bundle=bundle,
        dataset=data.path,
        champion_seen=seen,
    )
    return {f.subject: f for f in verdict.findings if "champion" in f.subject or f.subject == "evidence"}


def test_the_same_split_compares_all_rows(tmp_path: Path) -> None:
    data = merged(tmp_path / "one", 1)
    found = released(tmp_path / "run", data, write_seen(data.path, tmp_path / "seen"))
    assert found["topic vs champion"].outcome == "pass"
    assert found[TEST_ROWS].figures["n"] == data.rows["test"]
    assert found[TEST_ROWS].figures["left_out"] == 0


def test_another_seed_leaves_a_part(tmp_path: Path) -> None:
    """A row of the new test split was for training or validation before with probability 0.8 or so."""
    old, new = merged(tmp_path / "old", 1), merged(tmp_path / "new", 2)
    found = released(tmp_path / "run", new, write_seen(old.path, tmp_path / "seen"))
    rows, left = new.rows["test"], found[TEST_ROWS].figures["n"]
    was_test = (old.path / "rows" / "test.texts.jsonl").read_text().splitlines()
    is_test = (new.path / "rows" / "test.texts.jsonl").read_text().splitlines()
    assert left == len(set(was_test) & set(is_test))
    assert isinstance(left, int) and 0 < left < rows / 2
    assert found["topic vs champion"].figures["left_out"] == rows - left


def test_an_exchanged_test_file_leaves_none(tmp_path: Path) -> None:
    """Rows 0 to 120 were the test file, rows 121 to 241 are it now: 121 of 121 were trained on."""
    old, new = merged(tmp_path / "old", 1, range(121)), merged(tmp_path / "new", 1, range(121, 242))
    found = released(tmp_path / "run", new, write_seen(old.path, tmp_path / "seen"))
    assert found["topic vs champion"].outcome == found[TEST_ROWS].outcome == "inconclusive"
    assert "0 of 121 test rows: 121 are left out" in found[TEST_ROWS].reason


def test_without_a_list_all_rows_are_compared_with_a_remark(tmp_path: Path) -> None:
    data = merged(tmp_path / "one", 1)
    found = released(tmp_path / "run", data, None)
    assert found["topic vs champion"].outcome == "pass"
    assert "is not known" in found[TEST_ROWS].reason


def test_a_list_that_was_changed_fails_the_evidence(tmp_path: Path) -> None:
    data = merged(tmp_path / "one", 1)
    seen = write_seen(data.path, tmp_path / "seen")
    (tmp_path / "seen").write_bytes(b"HGSEEN1\n")
    assert released(tmp_path / "run", data, seen)["evidence"].outcome == "fail"


def test_a_dataset_that_tests_on_its_training_rows_fails(tmp_path: Path) -> None:
    data = merged(tmp_path / "one", 1)
    rows = data.path / "rows"
    with (rows / "train.texts.jsonl").open("a") as lines:
        lines.writelines((rows / "test.texts.jsonl").read_text().splitlines(keepends=True)[:5])
    found = released(tmp_path / "run", data, None)
    assert found["evidence"].outcome == "fail" and "5 train texts" in found["evidence"].reason


def test_rows_that_are_new_since_the_champion_are_compared_and_said(tmp_path: Path) -> None:
    """Of 81 test rows 21 were test rows, 10 training rows, and 50 were not there."""
    old = merged(tmp_path / "old", 1, range(121))
    new = merged(tmp_path / "new", 1, {*range(100, 131), *range(1500, 1550)}, start=100)
    seen = replace(write_seen(old.path, tmp_path / "seen"), version=3)
    rows = released(tmp_path / "run", new, seen)[TEST_ROWS]
    assert rows.reason == (
        "compared on 71 of 81 test rows: 10 are left out, because version 3 was trained (or its thresholds "
        "were chosen) on them; 50 of those compared are new since version 3"
    )
    assert rows.remark == rows.reason, "page and terminal show it although it passed"
    same = released(tmp_path / "same", old, seen)[TEST_ROWS]
    assert same.reason == "compared on all 121 test rows; version 3 was trained on none of them"
    assert not same.remark
