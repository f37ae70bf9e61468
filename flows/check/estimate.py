"""What a first run will take: time, memory, disk. Estimates, from figures that were measured once.

`benchmarks/RESULTS.md`: two cores with AVX512-BF16 trained the packaged encoder at 159 to 176 rows/s and
DistilBERT at 43 on texts of about 20 tokens: for both 108 billion operations a second and core, counted as 6
for each weight of a layer and token (Kaplan et al. 2020, section 2.1).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from flows.check.finding import Finding
from flows.config.schema import Project
from model.jobs.hub import cached_config
from model.measure.machine import cores
from model.spec import BackboneSpec
from model.train.backbone import OFFLINE_NAME, packaged_folder
from sources.look.declared import Declared

OPERATIONS_S = 1.0e11
"""Of one core that multiplies bfloat16 natively, in operations a second."""
SLOW_OPERATIONS_S = 2.5e10
"""Of one that does not: a first quickstart took about four times as long on one."""
FIXED_S = 60.0
"""Of every run: reading, packaging, scoring, timing, the registry, in seconds."""
CHARS_A_TOKEN = 4.5
"""Of English text in the vocabularies of BERT's family."""
TRAINED = 0.8
"""Share of the rows that is trained on."""
GIGA = 1e9
MEGA = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large an encoder is."""

    hidden: int
    layers: int
    vocabulary: int

    @property
    def of_layers(self) -> int:
        """Weights of all layers: 12 matrices of hidden × hidden each."""
        return 12 * self.layers * self.hidden**2

    @property
    def weights(self) -> int:
        """All weights."""
        return self.of_layers + self.vocabulary * self.hidden


def size_of(spec: BackboneSpec) -> Size | None:
    """The size that the encoder's `config.json` names; None where there is none at hand."""
    if spec.name == OFFLINE_NAME:
        file: Path | None = packaged_folder() / "config.json"
    elif Path(spec.name).expanduser().is_dir():
        file = Path(spec.name).expanduser() / "config.json"
    else:
        file = cached_config(spec)
    try:
        found: dict[str, Any] = {} if file is None else json.loads(file.read_text(encoding="utf-8"))
        hidden = int(found.get("hidden_size") or found["dim"])
        layers = int(found.get("num_hidden_layers") or found["n_layers"])
        return Size(hidden=hidden, layers=spec.layers or layers, vocabulary=int(found["vocab_size"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def look_at_needs(project: Project, sources: Mapping[str, Declared], folder: Path) -> Iterator[Finding]:
    """Time, memory and disk of a first run.

    Args:
        sources: source → its rows, as far as they are known.
        folder: the state folder.
    """
    size = size_of(project.backbone)
    if size is None:
        yield Finding(what="time", says="not known before the encoder is here", state="remark")
    else:
        yield _time(project, sources, size)
        yield _memory(project, size)
    yield _disk(project, sources, size, folder)


def _time(project: Project, sources: Mapping[str, Declared], size: Size) -> Finding:
    first, later = map(_minutes, _seconds(project, sources, size))
    says = f"about {first}"
    if first != later:
        says += f" for a first run, {later} for later ones, as baselines are kept"
    if (bake := project.deploy.bake) is not None:
        says += f", and {_minutes(60 * bake.minutes)} to watch a version that takes another's place"
    if unknown := sorted(set(project.sources) - set(sources)):
        says += f"; without the rows of {', '.join(unknown)}, which are not known"
    return Finding(what="time", says=says, state="remark" if unknown else "ok")


def _seconds(project: Project, sources: Mapping[str, Declared], size: Size) -> tuple[float, float]:
    """Of a first run, and of one whose baselines are kept."""
    length = min(float(project.train.max_length), _tokens(sources))
    a_row_s = 6 * size.of_layers * length / operations_s(project)
    trained = TRAINED * project.train.epochs
    shared = trained * sum(one.rows for one in sources.values())
    alone = 0.0
    for name, source in project.sources.items():
        heads = len(source.heads) or len(project.heads)
        if name in sources and len(project.heads) > 1:
            alone += trained * sources[name].rows * heads * project.gates.baseline_seeds
    if len(project.heads) == 1:
        alone = shared * project.gates.baseline_seeds
    return FIXED_S + (shared + alone) * a_row_s, FIXED_S + shared * a_row_s


def _tokens(sources: Mapping[str, Declared]) -> float:
    """Of a row, on average."""
    rows = sum(one.rows for one in sources.values())
    chars = sum(one.rows * one.chars for one in sources.values())
    return 2.0 + chars / max(rows, 1) / CHARS_A_TOKEN


def operations_s(project: Project) -> float:
    """What a training does in a second, on all its threads."""
    threads = project.train.threads or cores()
    try:
        signs = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        signs = ""
    native = "avx512_bf16" in signs or "amx_bf16" in signs
    return threads * (OPERATIONS_S if native else SLOW_OPERATIONS_S)


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{round(seconds, -1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _memory(project: Project, size: Size) -> Finding:
    """Of a training: libraries, weights with gradients and two averages, and what a batch keeps."""
    batch = project.train.batch_tokens * size.layers * size.hidden * 34 * 2
    needed = 0.8 * GIGA + 16 * size.of_layers + 4 * size.weights + batch
    free = float(psutil.virtual_memory().available)
    says = f"about {needed / GIGA:.1f} GB for a training, {free / GIGA:.1f} GB available"
    if free < needed:
        return Finding(
            what="memory", says=f"{says}; lower `train.batch_tokens`, or end something", state="remark"
        )
    return Finding(what="memory", says=says)


def _disk(project: Project, sources: Mapping[str, Declared], size: Size | None, folder: Path) -> Finding:
    """Fitted models and bundles of every head and of the shared model, the registry's copy, the data."""
    models = len(project.heads) * project.gates.baseline_seeds + 1
    weights = 4 * size.weights if size is not None else 4 * 66e6
    data = 4 * sum(one.size for one in sources.values())
    needed = (2 * models + 3) * weights + data
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = float(shutil.disk_usage(place).free)
    says = f"at most {_bytes(needed)} for a first run, {_bytes(free)} free"
    if free < 0.25 * needed:
        advice = "make room, or choose another place with --home FOLDER"
        return Finding(what="disk", says=f"{os.fspath(place)}: {says}; {advice}", state="problem")
    return Finding(what="disk", says=says, state="remark" if free < needed else "ok")


def _bytes(count: float) -> str:
    return f"{count / GIGA:,.1f} GB" if count >= GIGA else f"{count / MEGA:,.0f} MB"
