"""Files of a made-up shop as people have them: two questions, each file written in another way."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path

from tests.support.workbooks import write_xlsx

TOPICS = {
    "billing": ["invoice", "charged", "refund", "card"],
    "delivery": ["parcel", "late", "courier", "box"],
    "product": ["broken", "quality", "size", "colour"],
}
TAGS = {"urgent": "now please hurry", "angry": "furious terrible", "happy": "great thanks", "asks": "how why"}
FILLERS = ["the", "a", "my", "it", "was", "is", "for", "with", "and", "on"]


def messages(seed: int, count: int) -> Iterator[tuple[str, str, list[str]]]:
    """Texts, each different, with their topic and tags."""
    dice = random.Random(seed)
    for number in range(count):
        topic = dice.choice(sorted(TOPICS))
        tags = [tag for tag in TAGS if dice.random() < 0.3]
        words = dice.choices(TOPICS[topic], k=5) + dice.choices(FILLERS, k=5)
        words += [word for tag in tags for word in dice.sample(TAGS[tag].split(), 2)]
        dice.shuffle(words)
        yield f"{' '.join(words)} {seed}{number}", topic, tags


def write_tickets(folder: Path, rows: int = 400) -> Path:
    """CSV: ids, dates, a customer, a subject beside the text, one label a cell."""
    file, dice = folder / "tickets.csv", random.Random(5)
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["id", "created_at", "customer_id", "subject", "message", "topic", "channel"])
        for number, (text, topic, _) in enumerate(messages(1, rows)):
            subject = " ".join(text.split()[:3])
            row = [number, f"2026-01-{number % 28 + 1:02}", f"c{number % 90}", subject, text, topic]
            writer.writerow([*row, dice.choice(["mail", "web"])])
    return file


def write_chats(folder: Path, rows: int = 400) -> Path:
    """CSV with semicolons: several labels a cell, joined by a bar."""
    file = folder / "chats.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, delimiter=";")
        writer.writerow(["text", "tags"])
        writer.writerows([text, "|".join(tags)] for text, _, tags in messages(2, rows))
    return file


def write_lines(folder: Path, rows: int = 400) -> Path:
    """JSON lines: lists, and a split by another name."""
    file = folder / "lines.jsonl"
    splits = ["train"] * 6 + ["dev"] * 2 + ["test"] * 2
    with file.open("w", encoding="utf-8") as out:
        for number, (text, topic, tags) in enumerate(messages(3, rows)):
            row = {"body": text, "topic": topic, "tags": tags, "split": splits[number % 10]}
            out.write(json.dumps(row) + "\n")
    return file


def write_flags(folder: Path, rows: int = 400) -> Path:
    """CSV: a column of 0 and 1 for each label."""
    file = folder / "flags.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["comment", *TAGS])
        writer.writerows([text, *(int(t in tags) for t in TAGS)] for text, _, tags in messages(4, rows))
    return file


def write_sheet(folder: Path, rows: int = 400) -> Path:
    """Excel: texts and ratings."""
    file, dice = folder / "ratings.xlsx", random.Random(6)
    table = [[text, dice.randint(1, 5)] for text, _, _ in messages(5, rows)]
    write_xlsx(file, {"Sheet1": [["review", "rating"], *table]})
    return file
