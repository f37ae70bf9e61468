"""The quickstart's data: seeded customer messages with a topic, a rating and emotions.

    python -m sources.quickstart.generate OUT_DIR [--rows 5000] [--seed 17]

writes two sources that label different heads and hold some texts in common:

- `reviews.csv`: `text`, `rating` 1–5, `emotions` between `|` (empty: none applies), `split`;
- `tickets.jsonl`: `text`, `topic`, `emotions` as a list (no key: unlabelled), `split`.

The texts are made of the phrases in `sources.quickstart.phrases`. One seed and one number of rows give equal
bytes on any machine: only `Random.random` is used, whose sequence Python guarantees.

**How hard it is.** No model can answer a head perfectly. With the shares in `sources.quickstart.messages`:

- *topic*: 0.03 of the texts have no topical clause, where the best guess is the commonest topic (0.20); 0.15
  name two topics, of which the first is meant in 3 of 4; 0.03 of all labels are replaced by another topic.
  Ceiling 0.97 · (1 − 0.03·0.80 − 0.15·0.25) ≈ 0.91 accuracy.
- *rating*: 0.12 of the texts show a neighbouring tone, and 0.12 of the labels are one off. Ceiling about
  (1 − 0.12)² ≈ 0.77, less where neither judgement nor emotion shows the tone; the commonest rating is 0.24.
- *emotions*: 0.06 of the true ones are missing and 0.01 of the others are added; 0.15 are expressed by words
  that another emotion shares. A label with a share of 0.15 allows precision 0.94 and recall
  0.94·0.15 / (0.94·0.15 + 0.01·0.85) = 0.94, so F1 0.94, or 0.94 · (1 − 0.15/2) = 0.87 where each shared
  expression is guessed by chance.

A logistic regression on words and word pairs reaches 0.83, 0.71 and 0.82; the packaged encoder with the
recipe of `configs/quickstart.yaml` about 0.86, 0.73 and 0.86.

**How many test rows.** The gate compares the shared model with a baseline on equal rows. If only one of
them is right on a share d of n rows, the difference of accuracies has a standard error of sqrt(d/n). To show
"not worse by the margin m" at 95% one-sided with 80% power, n ≥ d·((1.645 + 0.842)/m)². Seen were d = 0.12
(rating) and 0.07 (topic): m = 0.03 needs 825 rows if sharing costs nothing, and 0.12·(2.487/0.021)² = 1,683
if it costs 0.009. Scoring is cheap and training is not, so three in five texts are test rows.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from model.files import write_bytes
from sources.quickstart.messages import EMOTIONS, Message, draw_messages, pick

UNLABELLED_SHARE = 0.4
"""Tickets that are unlabelled for emotions: the key is absent; an empty list means that none applies."""
CONFLICT_SHARE = 0.02
"""Texts of both sources on which the two sources name different emotions."""
BLANK_ROWS = 2
"""Rows of `reviews.csv` without a text, as real exports have: the data report names them."""


def write_sources(out: Path, *, rows: int, seed: int) -> tuple[Path, Path]:
    """Write `reviews.csv` and `tickets.jsonl`, each in one step; returns their paths.

    Raises:
        ValueError: fewer than 1 row was asked for.
    """
    if rows < 1:
        raise ValueError(f"rows is {rows}, expected at least 1")
    messages = draw_messages(rows, seed)
    rng = Random(seed + 1)
    out.mkdir(parents=True, exist_ok=True)
    reviews, tickets = out / "reviews.csv", out / "tickets.jsonl"
    write_bytes(reviews, _reviews_csv(messages).encode())
    write_bytes(tickets, _tickets_jsonl(messages, rng).encode())
    return reviews, tickets


def _reviews_csv(messages: Sequence[Message]) -> str:
    rows = [message for message in messages if message.source != "tickets"]
    # A blank text keeps its labels: only the text is missing, as when an export cuts a column.
    rows += [replace(rows[0], text=" " * blank, split="train") for blank in range(1, BLANK_ROWS + 1) if rows]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("text", "rating", "emotions", "split"))
    writer.writerows((m.text, m.rating, "|".join(m.emotions), m.split) for m in rows)
    return buffer.getvalue()


def _tickets_jsonl(messages: Sequence[Message], rng: Random) -> str:
    lines = []
    for message in messages:
        if message.source == "reviews":
            continue
        row: dict[str, object] = {"text": message.text, "topic": message.topic}
        unlabelled, conflict, extra = rng.random(), rng.random(), pick(rng, EMOTIONS)
        if unlabelled >= UNLABELLED_SHARE:
            differs = message.source == "both" and conflict < CONFLICT_SHARE
            row["emotions"] = sorted(set(message.emotions) ^ {extra}) if differs else list(message.emotions)
        lines.append(json.dumps({**row, "split": message.split}, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m sources.quickstart.generate",
        description="Write the quickstart's two generated sources.",
    )
    parser.add_argument("out", type=Path, help="folder to write reviews.csv and tickets.jsonl to")
    parser.add_argument("--rows", type=int, default=5000, help="distinct texts (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=17, help="seed of the generator (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.rows < 1:
        parser.error(f"--rows is {options.rows}, expected at least 1")
    for path in write_sources(options.out, rows=options.rows, seed=options.seed):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
