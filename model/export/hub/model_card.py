"""The README of an exported head: what a model hub shows of it, and what whoever takes it has to know.

Figures and counts only: no text of the data. Does not know how the model was exported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never

from ...bundle.card import Card, HeadCard
from ...errors import BackboneError
from ...jobs.hub import cached_file
from ...spec import BackboneSpec
from ...train.backbone import OFFLINE_NAME, packaged_folder

OFFLINE_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
"""What the packaged encoder is called on the hub."""
METRIC_TYPES = {"accuracy": "accuracy", "macro_f1": "f1", "micro_f1": "f1", "subset_accuracy": "accuracy"}
"""Our metrics → the hub's names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A head on the test rows."""

    metric: str
    value: float
    lower: float | None
    """Lower bound, at the verdict's confidence."""
    rows: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the bundle itself does not know."""

    project: str
    version: int
    """Registered version."""
    outcome: str
    """Of its verdict."""
    test: Mapping[str, Measured] = field(default_factory=dict)
    """Head → its figure on the test rows, as the gates saw it."""
    override: bool = False
    """Whether it serves by a person's word."""


def model_card(head: str, card: Card, about: About, bundle_sha256: str, difference: float) -> str:
    """README.md of one head, with the hub's metadata in front."""
    from huggingface_hub import EvalResult, ModelCardData

    backbone = card.provenance.get("backbone", {})
    licence = licence_of(backbone)
    name = f"{about.project}-{head}"
    seen = about.test.get(head)
    results = []
    if seen is not None:
        results.append(
            EvalResult(
                task_type="text-classification",
                dataset_type=about.project,
                dataset_name=f"test rows of {about.project}",
                dataset_split="test",
                metric_type=METRIC_TYPES.get(seen.metric, seen.metric),
                metric_name=seen.metric,
                metric_value=round(seen.value, 4),
            )
        )
    data = ModelCardData(
        model_name=name if results else None,
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["headgate", "text-classification"],
        base_model=_base_model(backbone),
        license=licence,
        eval_results=results or None,
    )
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# {name}",
        _what(head, card.heads[head]),
        _use(card.heads[head], card.max_length),
        _measured(head, card, about, seen),
        _data(head, card),
        _limits(card, difference),
        _licence(backbone, licence),
        f"Version {about.version} of `{about.project}`, made and exported by Headgate.\n\n"
        f"Bundle: `{bundle_sha256}`.",
    ]
    return "\n\n".join(parts) + "\n"


def licence_of(backbone: Mapping[str, Any]) -> str | None:
    """What the encoder's own card says of its licence; None where there is no card or it does not say."""
    name = str(backbone.get("name", ""))
    try:
        folder = packaged_folder() if name == OFFLINE_NAME else Path(name).expanduser()
    except BackboneError:
        return None
    file = folder / "README.md"
    if not folder.is_dir():
        revision = backbone.get("revision")
        file = cached_file(BackboneSpec(name=name, revision=revision), "README.md") or file
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    front = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    found = re.search(r"^license:\s*['\"]?([\w.-]+)", front[1], re.MULTILINE) if front else None
    return found[1] if found else None


def _base_model(backbone: Mapping[str, Any]) -> str | None:
    name = str(backbone.get("name", ""))
    if name == OFFLINE_NAME:
        return OFFLINE_MODEL
    # A folder of this machine is nobody else's business.
    return name if backbone.get("revision") else None


def _what(head: str, card: HeadCard) -> str:
    labels = ", ".join(f"`{label}`" for label in card.labels)
    match card.kind:
        case "multiclass":
            return f"Answers `{head}` with exactly one of {len(card.labels)} labels: {labels}."
        case "multilabel":
            return f"Answers `{head}` with any number of {len(card.labels)} labels: {labels}."
        case _:
            assert_never(card.kind)


def _use(card: HeadCard, max_length: int) -> str:
    lines = [
        "## Use",
        "",
        "```python",
        "from transformers import pipeline",
        "",
        'classify = pipeline("text-classification", "PATH OR NAME", top_k=None)',
        'classify(["a text"], truncation=True)',
        "```",
        "",
        f"It reads {max_length} tokens; without `truncation=True` longer texts are refused or misread. "
        "Scores are calibrated probabilities.",
    ]
    if card.thresholds is not None:
        lines += [
            "",
            "A label applies from its own threshold on, in `model.config.thresholds`:",
            "",
            "| label | applies from |",
            "|---|---|",
            *(f"| {label} | {at:.4f} |" for label, at in zip(card.labels, card.thresholds, strict=True)),
        ]
    return "\n".join(lines)


def _measured(head: str, card: Card, about: About, seen: Measured | None) -> str:
    lines = ["## Figures", "", "| rows | metric | value | count |", "|---|---|---|---|"]
    if seen is not None:
        bound = "" if seen.lower is None else f" (surely more than {seen.lower:.4f})"
        lines.append(f"| test | {seen.metric} | {seen.value:.4f}{bound} | {seen.rows or ''} |")
    for name, value in card.metrics.get("validation", {}).get(head, {}).items():
        if name != "rows":
            rows = card.metrics["validation"][head].get("rows", 0)
            lines.append(f"| validation | {name} | {value:.4f} | {rows:.0f} |")
    said = f"Verdict of the release gates: **{about.outcome}**."
    return "\n".join([*lines, "", said + (" It serves by a person's override." if about.override else "")])


def _data(head: str, card: Card) -> str:
    lines = ["## Data", ""]
    rows = card.provenance.get("dataset_rows", {})
    counts = ", ".join(f"{count:,} {split}" for split, count in rows.items())
    lines.append(f"Rows: {counts or 'not known'}. Texts are not part of this model.")
    splits = ((card.data_profile or {}).get("heads", {}).get(head) or {}).get("splits", {})
    counted = splits.get("train", {}).get("counts")
    if isinstance(counted, Mapping):
        lines += ["", "| label | training rows |", "|---|---|"]
        lines += [f"| {label} | {count:,} |" for label, count in counted.items()]
    if fingerprint := card.provenance.get("dataset_fingerprint"):
        lines += ["", f"Fingerprint of the data: `{fingerprint}`."]
    return "\n".join(lines)


def _limits(card: Card, difference: float) -> str:
    lines = [
        "## Limits",
        "",
        "- Made for texts like those that it was trained on; of others nothing was measured.",
        f"- Weights are those of the model that was judged, which is {card.precision}; answers to the texts "
        f"that come with it differ by at most {difference:.1g} of a probability.",
        "- For float32. The last layers hold the pooling and the calibration as weights of very different "
        "size: in half precision or 8 bits, and after further training, answers are wrong.",
        "- A text that spells a special token of the tokenizer out may be read otherwise than by Headgate.",
    ]
    return "\n".join(lines)


def _licence(backbone: Mapping[str, Any], licence: str | None) -> str:
    name = _base_model(backbone)
    what = f"the encoder, {name}," if name else "the encoder"
    if licence is None:
        return (
            f"## Licence\n\nThe licence of {what} is not known here: look it up before you pass this model "
            "on. That of the data is for its owner to say."
        )
    return (
        f"## Licence\n\nThe licence above is that of {what} which this model was made from: {licence}. "
        "That of the data is for its owner to say."
    )
