"""The quickstart's data: seeded customer messages with a topic, a rating and emotions.

    python -m sources.quickstart.generate OUT_DIR [--rows 5000] [--seed 17]

writes two sources that label different heads and hold some texts in common:

- `reviews.csv`: `text`, `rating` 1–5, `emotions` between `|` (empty: none applies), `split`;
- `tickets.jsonl`: `text`, `topic`, `emotions` as a list (no key: nobody looked), `split`.

All of it is generated, from phrases written for this project (`sources.quickstart.phrases`). The same seed
and number of rows give the same bytes on any machine: only `Random.random` is used, whose sequence
Python guarantees.

**How hard it is.** By design no head can be answered perfectly, whatever the model. With the shares below:

- *topic*: a share 0.03 has no topical clause, where the best guess is the commonest topic (0.20); a share
  0.15 talks of two topics, and which is meant follows the order in 3 of 4; 0.03 of all answers are
  replaced by another topic. Ceiling 0.97 · (1 − 0.03·0.80 − 0.15·0.25) ≈ 0.91 accuracy; the commonest
  topic alone is 0.20.
- *rating*: the text shows the tone in the clauses for it or, in 0.12, for a neighbouring tone; and 0.12 of
  annotators answer one off. Ceiling about (1 − 0.12)² ≈ 0.77, and less where a tone is shown by neither
  judgement nor emotion; the commonest rating alone is 0.24.
- *emotions*: each true emotion is forgotten in 0.06, each other one added in 0.01, and 0.15 of them are
  expressed by words that another emotion shares. At a label's share of 0.15 this allows precision 0.94 and
  recall 0.94·0.15 / (0.94·0.15 + 0.01·0.85) = 0.94, so F1 0.94 if every shared cue is guessed right and
  0.94 · (1 − 0.15/2) = 0.87 if a coin is tossed for each.

A logistic regression on words and word pairs reaches 0.83, 0.71 and 0.82; the packaged encoder with the
recipe of `configs/quickstart.yaml` about 0.86, 0.73 and 0.86.

**How many test rows.** The gate compares the shared model with a baseline on the same rows. Where their
answers differ in correctness on a share d of n rows, the difference of accuracies has a standard error
of sqrt(d/n); to tell "not worse by the margin m" at 95% one-sided with 80% power, n ≥ d·((1.645 + 0.842)/m)².
Seen were d = 0.12 (rating) and 0.07 (topic): m = 0.03 needs 825 rows if sharing costs nothing, and
0.12·(2.487/0.021)² = 1,683 if it truly costs 0.009. The default gives each head about that many or more.
Scoring is cheap and training is not, therefore three in five texts are test rows.
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

UNANSWERED_SHARE = 0.4
"""Tickets whose emotions nobody looked at: the key is absent, which is not the same as an empty list."""
CONFLICT_SHARE = 0.02
"""Texts of both sources on which the two sources name different emotions."""
BLANK_ROWS = 2
"""Rows of `reviews.csv` without a text: a defect that real exports have, for the data report to name."""


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
        unanswered, conflict, extra = rng.random(), rng.random(), pick(rng, EMOTIONS)
        if unanswered >= UNANSWERED_SHARE:
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
    parser.add_argument(
        "--seed", type=int, default=17, help="seed of everything drawn (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.rows < 1:
        parser.error(f"--rows is {options.rows}, expected at least 1")
    for path in write_sources(options.out, rows=options.rows, seed=options.seed):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
