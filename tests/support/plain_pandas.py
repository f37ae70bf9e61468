"""A plain pandas script that merges and checks the three files of `tests.support.scale_rows`.

What a careful person writes in an afternoon; it must yield the counts that Headgate yields.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.support.scale_rows import FLAGS, TAGS, TOPICS

SPLITS = ["train", "validation", "test"]
LABELS = {"topic": TOPICS, "tags": TAGS, "flags": FLAGS}


def merge_plainly(folder: Path, out: Path) -> dict[str, Any]:
    """Read, join, settle and write the three sources below `folder`; returns the counts."""
    rows = pd.concat([_mails(folder), _chats(folder), _votes(folder)], ignore_index=True)
    rows["text"] = rows["text"].str.normalize("NFC").str.replace("\r\n?", "\n", regex=True).str.strip()
    blank = int((rows["text"] == "").sum())
    kept = rows[rows["text"] != ""].copy()
    kept["text_id"] = [hashlib.sha256(text.encode()).hexdigest()[:32] for text in kept["text"]]
    kept["code"] = kept["split"].map({name: code for code, name in enumerate(SPLITS)})
    by_text = kept.groupby("text_id", sort=True)
    texts = by_text.agg(text=("text", "first"), code=("code", "max"), least=("code", "min"))
    conflicts = {}
    for head in LABELS:
        answers = by_text[head].agg(["nunique", "first"])
        conflicts[head] = int((answers["nunique"] > 1).sum())
        texts[head] = answers["first"].where(answers["nunique"] == 1)
    texts["split"] = [SPLITS[code] for code in texts["code"]]
    shared = int((texts["code"] != texts["least"]).sum())
    out.mkdir(parents=True, exist_ok=True)
    texts.drop(columns=["code", "least"]).to_parquet(out / "dataset.parquet")
    rows.assign(blank=rows["text"] == "").to_parquet(out / "observations.parquet")
    _hand_over(texts, out)
    counts = {
        "rows": {split: int((texts["split"] == split).sum()) for split in SPLITS},
        "blank": blank,
        "shared": shared,
        "conflicts": conflicts,
        "labels": {head: _label_counts(texts, head) for head in LABELS},
    }
    (out / "profile.json").write_text(json.dumps(counts), encoding="utf-8")
    return counts


def judge_plainly(counts: dict[str, Any]) -> bool:
    """The checks that the data gate makes, on the counts: whether nothing critical is broken."""
    observed = sum(counts["rows"].values())
    few_blank = counts["blank"] <= 0.01 * observed
    few_conflicts = all(number <= 0.02 * observed for number in counts["conflicts"].values())
    covered = all(sum(of.values()) >= 20 for head in counts["labels"].values() for of in head.values())
    frequent = all(n >= 10 for head in counts["labels"].values() for n in head["train"].values())
    return few_blank and few_conflicts and covered and frequent


def _mails(folder: Path) -> pd.DataFrame:
    mails = pd.read_csv(folder / "mails.csv", dtype=str, keep_default_na=False)
    return _known(mails, "topic", TOPICS).assign(source="mails")


def _chats(folder: Path) -> pd.DataFrame:
    chats = pd.read_json(folder / "chats.jsonl", lines=True, dtype=False)
    unknown = set().union(*chats["tags"]) - set(TAGS)
    if unknown:
        raise ValueError(f"unknown tags: {sorted(unknown)}")
    chats["tags"] = ["|".join(sorted(tags)) for tags in chats["tags"]]
    return chats.assign(source="chats")


def _votes(folder: Path) -> pd.DataFrame:
    votes = pd.read_parquet(folder / "votes.parquet")
    bits = votes[list(FLAGS)].to_numpy(dtype=float, na_value=np.nan)
    silent = np.isnan(bits).all(axis=1)
    written = np.full(len(votes), "", dtype=object)
    for place, flag in enumerate(FLAGS):
        written = written + np.where(bits[:, place] == 1, f"{flag}|", "")
    votes["flags"] = pd.Series([text.rstrip("|") for text in written]).where(~silent)
    return _known(votes.drop(columns=list(FLAGS)), "topic", TOPICS).assign(source="votes")


def _known(frame: pd.DataFrame, column: str, labels: tuple[str, ...]) -> pd.DataFrame:
    unknown = set(frame[column]) - set(labels)
    if unknown:
        raise ValueError(f"unknown {column}: {sorted(unknown)}")
    return frame


def _label_counts(texts: pd.DataFrame, head: str) -> dict[str, dict[str, int]]:
    counts = {}
    for split in SPLITS:
        cells = texts.loc[texts["split"] == split, head].dropna()
        if head != "topic":
            cells = cells.str.split("|").explode()
        found = cells.value_counts()
        counts[split] = {label: int(found.get(label, 0)) for label in LABELS[head]}
    return counts


def _hand_over(texts: pd.DataFrame, out: Path) -> None:
    """Texts and target arrays a split, as training reads them."""
    for split in SPLITS:
        part = texts[texts["split"] == split]
        with (out / f"{split}.texts.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(text, ensure_ascii=False)}\n" for text in part["text"])
        topic = part["topic"].map({label: place for place, label in enumerate(TOPICS)})
        np.save(out / f"{split}.topic.npy", topic.fillna(-1).to_numpy(np.int32))
        for head in ("tags", "flags"):
            dummies = part[head].str.get_dummies("|").reindex(columns=list(LABELS[head]), fill_value=0)
            targets = dummies.to_numpy(np.int8).copy()
            targets[part[head].isna().to_numpy()] = -1
            np.save(out / f"{split}.{head}.npy", targets)


def differing(ours: Any, plain: Any) -> int:
    """How many figures of two nested tables of counts differ; a missing one counts."""
    if isinstance(ours, Mapping) and isinstance(plain, Mapping):
        return sum(differing(ours.get(key), plain.get(key)) for key in {*ours, *plain})
    return int(ours != plain)
