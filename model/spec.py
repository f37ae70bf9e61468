"""What is to be learned and how: plain dataclasses that every layer may read (stdlib only).

These classes are the schema of the YAML configuration (`flows.config.schema`) and of the job files that
`python -m model` reads: a field is declared, bounded and documented once, here.

Does not know where texts come from, and never opens a file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, assert_never, get_args

from .bundle.card import HeadKind as HeadKind
from .bundle.card import MetricName as MetricName
from .bundle.card import Precision

# Each closed set is declared once, here or in `model.bundle.card`; every dispatch over one is exhaustive.
SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
"""The three parts of a dataset, in the order in which they are listed everywhere."""

Schedule = Literal["linear", "cosine", "constant", "plateau"]
Pooling = Literal["mean", "cls", "attention"]
LossForm = Literal["cross_entropy", "focal", "asymmetric"]
TeacherKind = Literal["in_sample", "out_of_fold"]
ComputePrecision = Literal["float32", "bfloat16"]
"""Type of the matrix products of a training."""
ComputeChoice = Literal["auto", ComputePrecision]
PrecisionChoice = Literal["auto", Precision]
"""Precision of the weights that ship, or `auto`: chosen by measurement."""

ReferenceName = Literal["majority", "bag_of_words"]
REFERENCES: tuple[ReferenceName, ...] = get_args(ReferenceName)
"""Cheap models that every head is held beside: one constant answer, and TF-IDF with logistic regression."""

UNLABELLED = -1
"""In target arrays: the row has no target for the head (multilabel: for the label)."""

SCHEMA_CONFIG = {"extra": "forbid", "use_attribute_docstrings": True}
"""Read by pydantic when a dataclass here is part of the YAML schema; pydantic is not imported."""


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a numeric field, in the field's unit.

    `Annotated[float, Range(gt=0)]` is enforced where the configuration is read: pydantic calls
    `__get_pydantic_core_schema__`, whose schema is a plain dict, so nothing heavier than the
    standard library is needed here.
    """

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        """The bounds as pydantic enforces them."""
        bounds = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**handler(source), **{k: v for k, v in bounds.items() if v is not None}}


@dataclass(frozen=True, slots=True)
class Pattern:
    """What the whole of a text field looks like, as a regular expression; enforced as `Range` is."""

    expression: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        """The pattern as pydantic enforces it."""
        return {**handler(source), "pattern": f"^{self.expression}$"}


Share = Annotated[float, Range(ge=0, le=1)]
"""A share of a whole, between 0 and 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadSpec:
    """One classification question."""

    __pydantic_config__ = SCHEMA_CONFIG

    kind: HeadKind
    """`multiclass`: exactly one label (softmax). `multilabel`: any number of labels (sigmoid)."""
    labels: tuple[str, ...] = ()
    """Label names in the order of the head's outputs. Empty: inferred from the training rows, sorted."""
    weight: Annotated[float, Range(gt=0)] = 1.0
    """Factor of this head's loss in the sum: π and 1 − π in the two-loss form π·L_Y + (1 − π)·L_Z. Losses are
    brought to one scale first, so 1.0 treats all heads alike. `headgate sweep` tries a grid of weights."""
    metric: MetricName | None = None
    """Primary metric, which the gate compares. Default: `accuracy` for multiclass, `macro_f1` for
    multilabel (accuracy would reward answering nothing where labels are rare)."""

    @property
    def primary_metric(self) -> MetricName:
        """The metric that the gate compares, with the default for the kind filled in."""
        if self.metric is not None:
            return self.metric
        match self.kind:
            case "multiclass":
                return "accuracy"
            case "multilabel":
                return "macro_f1"
            case _:
                assert_never(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """Which pretrained encoder to start from."""

    __pydantic_config__ = SCHEMA_CONFIG

    name: str = "distilbert-base-uncased"
    """A hub name, a local folder, or `offline` for the encoder packaged as a pinned dependency."""
    revision: str | None = None
    """Branch, tag or commit on the hub. Pin a commit for runs that must be repeatable."""
    layers: Annotated[int, Range(ge=1)] | None = None
    """Number of transformer layers to keep, counted from the input; none keeps all. Time falls in
    proportion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSpec:
    """How the shared model and every baseline are trained. Both use one recipe: with two, the gate would
    compare recipes instead of the effect of sharing."""

    __pydantic_config__ = SCHEMA_CONFIG

    epochs: Annotated[int, Range(ge=1)] = 3
    """Passes over the training rows. 3: encoders of this size overfit small sets soon after."""
    batch_rows: Annotated[int, Range(ge=1)] = 32
    """Most rows in a batch."""
    batch_tokens: Annotated[int, Range(ge=16)] = 4096
    """Most tokens in a batch, padding included: keeps memory flat when texts are long."""
    max_length: Annotated[int, Range(ge=8, le=8192)] = 128
    """Longest text, in tokens; the rest is cut. 128 covers most short messages."""
    learning_rate: Annotated[float, Range(gt=0)] = 1e-4
    """Peak learning rate of the encoder (AdamW). BERT's authors tried at most 5e-5; smaller encoders need
    more: the packaged one, on 4,500 rows of two real data sets, reached a mean metric of 0.622, 0.638, 0.638
    and 0.620 with 5e-5, 1e-4, 2e-4 and 4e-4 (one seed)."""
    head_learning_rate: Annotated[float, Range(gt=0)] = 1e-3
    """Peak learning rate of the heads. Higher than the encoder's, because heads start from random weights."""
    layer_decay: Annotated[float, Range(gt=0, le=1)] = 1.0
    """Factor of the encoder's learning rate from each layer to the one below it: lower layers hold general
    features and change less (Howard & Ruder 2018, "ULMFiT", section 3.2; 0.65 to 0.9 are usual). 1 switches
    it off."""
    adam_beta2: Annotated[float, Range(gt=0, lt=1)] = 0.999
    """AdamW's decay of the squared gradients' average; 0.99 in the published 9-in-1 recipe."""
    weight_decay: Annotated[float, Range(ge=0)] = 0.01
    """AdamW's decoupled decay, on matrices only."""
    warmup_share: Share = 0.1
    """Share of all steps over which the learning rate rises from 0."""
    schedule: Schedule = "linear"
    """What the learning rate does after warm-up. `plateau`: it halves after `patience` epochs without a
    better mean metric, and training ends when it would halve more than `plateau_drops` times, or after
    `epochs` (the schedule of DeepPavlov Dream's 9-in-1 model)."""
    plateau_drops: Annotated[int, Range(ge=0)] = 2
    """For `schedule: plateau`: how often the learning rate halves before training ends."""
    patience: Annotated[int, Range(ge=1)] = 2
    """For `schedule: plateau` and `early_stopping`: number of epochs in a row that may pass without a better
    mean of the heads' primary metrics on validation rows."""
    early_stopping: bool = False
    """With the other schedules: end training after `patience` epochs without a better mean metric (Prechelt
    1998, "Early stopping - but when?"). Off by default: with a learning rate that falls to 0, the last epoch
    is often the best."""
    gradient_clip: Annotated[float, Range(gt=0)] = 1.0
    """Largest global gradient norm."""
    dropout: Share = 0.1
    """Dropout before each head."""
    encoder_dropout: Share = 0.0
    """Dropout inside the encoder. 0 by default: with few epochs dropout costs a tenth of the time and gains
    nothing."""
    mixing_exponent: Share = 1.0
    """Exponent of a head's share of the labelled rows in the sum of losses. 1: every labelled row counts
    equally. 0: every head counts equally. 0.5, the square root, is usual where sources differ in size; it
    helps small heads a little and cost the largest head of `feelings` 1.5 to 4 points (decision 0026)."""
    mixing_final_exponent: Share | None = None
    """Value of `mixing_exponent` at the end of training, reached in a straight line; none: it stays constant
    (annealed sampling of Stickland & Murray 2019, "BERT and PALs", section 3.4, goes from 1 to 0.2)."""
    pooling: Pooling = "mean"
    """How token states become one vector: masked mean, the first token, or one attention a head."""
    frozen_embeddings: bool = True
    """Keep the pretrained word embeddings fixed: training on a CPU takes a third less time, at equal
    quality."""
    precision: ComputeChoice = "auto"
    """Autocast type of the forward pass; weights stay float32. `auto`: bfloat16 where the hardware
    multiplies it natively."""
    loss: LossForm = "cross_entropy"
    """`focal`: rows and cells that are already answered well count less, by (1 − p)^γ (Lin et al. 2017,
    eq. 4). `asymmetric`: only absent labels count less, and not at all where their probability is below 0.05
    (Ridnik et al. 2021, eq. 4–7). It applies to multilabel heads; multiclass heads keep cross-entropy."""
    focal_gamma: Annotated[float, Range(ge=0)] = 2.0
    """γ of `focal` (2 in the paper) and of the absent labels of `asymmetric` (4 there). 0: no effect."""
    label_smoothing: Annotated[float, Range(ge=0, lt=1)] = 0.0
    """Multiclass: share of a row's target that is spread over all labels (Szegedy et al. 2016, section 7).
    Multilabel: share of each cell's target that is spread over 1 and 0."""
    rare_label_exponent: Share = 0.0
    """Exponent e of the weight of rare labels, at most 100. Multiclass: a row's weight is its label's share
    to the power −e, scaled to 1 on average. Multilabel: a present cell's weight is (absent / present)^e.
    0: no weights. 1: all labels count equally, as scikit-learn's `class_weight="balanced"`."""
    balance_losses: bool = True
    """Divide each head's loss by the loss of answering with the label frequencies, so that a head of 77
    classes does not outweigh one of 3."""
    distillation: Share = 0.5
    """Share of the loss taken from the baselines' answers at the start of training, falling to
    `distillation_final` at the end (teacher annealing, Clark et al. 2019, BAM!). 0 switches the teachers
    off. The shared model only."""
    distillation_final: Share = 0.0
    """Share of the loss taken from the baselines' answers at the end of training. 0 as in BAM!; equal to
    `distillation` for a constant share (Hinton et al. 2015)."""
    distillation_mixing: Share = 0.0
    """As `mixing_exponent`, for the baselines' part of the loss. 0: every baseline counts equally, also on
    texts that only another head labels. 1: a baseline counts by its head's share of the labelled rows."""
    distillation_teachers: TeacherKind = "in_sample"
    """Which models answer the training rows. `in_sample`: the baselines, which were trained on these rows
    and tend to repeat their labels. `out_of_fold`: for each head, its labelled rows are answered by models
    that were fitted without them, other rows by its baseline (cross-fitting, Dao et al. 2021, "Knowledge
    Distillation as Semiparametric Inference"). This costs `distillation_folds` - 1 further trainings of
    every baseline. They are cached, and shared with `label_check: out_of_fold`."""
    distillation_folds: Annotated[int, Range(ge=2, le=20)] = 3
    """For `out_of_fold`: number of parts that a head's labelled training rows are cut into; `seed` decides
    which row goes where. Default and seed equal those of `label_check`, so that both use the same models."""
    distillation_temperature: Annotated[float, Range(gt=0)] = 2.0
    """Softens teacher and student alike; 2 as in Hinton et al. 2015's text experiments."""
    ema_decay: Annotated[float, Range(ge=0, lt=1)] = 0.0
    """Decay of the running average of weights that is evaluated and shipped. 0 switches it off."""
    keep_best: bool = True
    """Ship the epoch with the best mean of the heads' primary metrics on validation rows."""
    checkpoint_every_steps: Annotated[int, Range(ge=0)] = 0
    """Steps between checkpoints from which a killed training resumes. 0: one an epoch."""
    seed: int = 17
    """Seed of weights, order and dropout."""
    threads: Annotated[int, Range(ge=1)] | None = None
    """CPU threads. Default: the cores this process may use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSpec:
    """How a fitted model becomes the bytes that ship."""

    __pydantic_config__ = SCHEMA_CONFIG

    precision: PrecisionChoice = "auto"
    """Engine and precision that the bundle is judged and served in. `auto`: the fastest, on this machine, of
    those that it has, in which no head's metric on validation rows falls by more than `int8_tolerance`; the
    card says which and why. onnxruntime: `float32`; `int8`, weights and activations by blocks; `int8_rows`,
    activations with one scale a row. OpenVINO, which some processors and installations lack:
    `openvino_float32`, `openvino_bfloat16`, and `openvino_int8` with 8-bit weights. Baselines get the
    precision of the shared model: otherwise the latency gate would compare precisions."""
    int8_tolerance: Share = 0.01
    """How much lower a head's primary metric may be than in float32, in units of the metric. 0.01,
    one row in a hundred, buys a quarter of the bytes and half of the time. It is more than the noise of the
    comparison: where 1% of 1,500 decisions change, their standard error is 0.0026. The gates judge the bytes
    that ship in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageJob:
    """One packaging: what `python -m model package` does."""

    fitted: Path
    """Fitted folder that the bundle is made of."""
    out: Path
    """Folder of the bundle; replaced if it exists."""
    name: str
    """Name of the model, as its card says it."""
    rows: Path | None
    """Rows folder: its validation rows decide about the precision, and are measured. None: a precision is
    asked for, and nothing is measured."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Where the model comes from, for the card."""
    profile: Mapping[str, Any] | None = None
    """Profile of the training data, for the card."""
    package: PackageSpec = PackageSpec()
    graphs: Path | None = None
    """Folder with the graphs of architectures, which only lack weights; made there. None: each is traced."""
    threads: int | None = None
    """CPU threads while measuring. Default: the cores that this process may use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitJob:
    """One training: what `python -m model fit JOB.json` reads."""

    heads: dict[str, HeadSpec]
    """Name → head, labels filled in. One head for a baseline, all for the shared model."""
    backbone: BackboneSpec
    train: TrainSpec
    rows: str
    """Folder with the rows (see `model.rows`)."""
    out: str
    """Folder that the fitted model is written to."""
    teachers: dict[str, str] = field(default_factory=dict)
    """Head → `.npy` file of teacher logits (N_train, L_h), float32, one row a training row."""
    labelled_only: bool = False
    """Train only on rows that at least one of `heads` labels (baselines), not on all."""
    encoder_sha256: str = ""
    """Digest that the encoder's files must have (`ResolvedBackbone.files_sha256`): it may have been exchanged
    since the job was made, or be another one on another machine. Empty: not checked."""


def head_from_json(raw: Mapping[str, Any]) -> HeadSpec:
    """A `HeadSpec` from what `json.load` gives (lists become tuples)."""
    return HeadSpec(**{**raw, "labels": tuple(raw.get("labels", ()))})


def fit_job_from_json(raw: Mapping[str, Any]) -> FitJob:
    """A `FitJob` from what `json.load` gives.

    Raises:
        TypeError: a field is unknown or missing; the message names it.
    """
    return FitJob(
        **{
            **raw,
            "heads": {name: head_from_json(head) for name, head in raw["heads"].items()},
            "backbone": BackboneSpec(**raw["backbone"]),
            "train": TrainSpec(**raw["train"]),
        }
    )
