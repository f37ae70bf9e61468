"""What is expected of data and models: plain dataclasses, part of the YAML schema (stdlib only).

Does not know how an expectation is evaluated (`expectations.data.gate`, `expectations.gates.accuracy`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from model.spec import SCHEMA_CONFIG, Range, Share

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How much of a defect is tolerated, and what happens beyond that."""

    __pydantic_config__ = SCHEMA_CONFIG

    severity: Severity = "critical"
    """`critical` stops the run before training; `warning` is reported; `info` is listed only."""
    tolerance: Share = 0.0
    """Share of rows that may break the rule before it counts as broken. Defects within the tolerance
    are still named, as warnings."""


# `_rule` returns a dataclass field with a factory, so RUF009 (one default shared by all) does not apply.
# ruff: noqa: RUF009


def _rule(severity: Severity, tolerance: float = 0.0) -> Any:
    return field(default_factory=lambda: Rule(severity=severity, tolerance=tolerance))


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRules:
    """What is expected of the data before anything is trained. The defaults let real data with a few
    known defects through, as warnings that name them."""

    __pydantic_config__ = SCHEMA_CONFIG

    text_present: Rule = _rule("critical", 0.01)
    """Every row has a text. Rows without are left out of training."""
    text_not_blank: Rule = _rule("critical", 0.01)
    """No text is empty after white space is trimmed. Blank rows are left out of training."""
    text_length: Rule = _rule("warning", 0.01)
    """Texts have between `min_chars` and `max_chars` characters. (What the model cuts off, in tokens, is
    `truncation`.)"""
    min_chars: Annotated[int, Range(ge=0)] = 1
    """Shortest text, in characters."""
    max_chars: Annotated[int, Range(ge=1)] = 20_000
    """Longest text, in characters."""
    labels_known: Rule = _rule("critical")
    """Every label is one of the head's. An unknown one is usually a typo or a renamed label."""
    multiclass_exactly_one: Rule = _rule("critical")
    """A labelled multiclass cell holds exactly one label."""
    labels_stripped: Rule = _rule("warning", 1.0)
    """Labels have no blanks at their ends. They are removed, so the default names how many there were."""
    number_spellings: Rule = _rule("warning", 1.0)
    """Whole numbers are not written as floats: `5.0` beside `5` is read as `5`, and the default names it."""
    empty_lists: Rule = _rule("warning", 1.0)
    """No cell of a multiclass head is an empty list. They are read as unlabelled, and the default names
    it."""
    choices_read: Rule = _rule("warning", 1.0)
    """No cell is an object `{"choices": […]}`. They are read as lists of labels, and the default names it."""
    joined_labels: Rule = _rule("critical", 0.05)
    """No label looks like several labels of the head, joined by `# ; , / | + &` or a line break: it would be
    a class of its own. Labels that the head lists are taken as they are, here and below."""
    missing_words: Rule = _rule("warning")
    """No label looks like a word for a missing one: `nan`, `None`, `N/A`, `-`, `?`; or -1 among numbers from
    0. `missing` in the source's `heads` makes them unlabelled."""
    clean_labels: Rule = _rule("warning")
    """No label stands in quotes, nor holds HTML entities, control or invisible characters, or UTF-8 that was
    read as Latin-1."""
    coverage: Rule = _rule("critical")
    """Every head has labelled rows in every split: at least `min_rows_per_split`."""
    min_rows_per_split: Annotated[int, Range(ge=1)] = 20
    """Fewest labelled rows of a head in a split. Below 20 every metric is noise."""
    rows_per_label: Rule = _rule("warning")
    """Every label of every head has at least `min_rows_per_label` training rows."""
    min_rows_per_label: Annotated[int, Range(ge=1)] = 10
    """Fewest training rows a label."""
    single_split: Rule = _rule("warning", 0.02)
    """No text stands in two splits as given. Such texts stay in test before validation before train."""
    one_answer: Rule = _rule("critical", 0.02)
    """No text has two different answers for one head. Tolerated ones follow `split.conflicts`."""
    sources_consistent: Rule = _rule("warning", 0.02)
    """No source gives one text two different answers: a labelling guide that is not clear."""
    sources_agree: Rule = _rule("warning", 0.02)
    """No two sources give one text different answers: their labelling guides differ."""
    labelled_share: Rule = _rule("warning")
    """Every head is labelled on at least `min_labelled_share` of the rows of every split."""
    min_labelled_share: Share = 0.01
    """Smallest share of a split's rows that is labelled for a head. Sources that label different heads
    share the rows between them, so this is low; below a hundredth a batch hardly ever holds the head."""
    labels_in_every_split: Rule = _rule("warning")
    """Every label of a head applies to a validation and to a test row: else nobody knows how well the
    model finds it."""
    imbalance: Rule = _rule("warning")
    """In no split is the most frequent label of a head more than `max_imbalance` times as frequent as the
    rarest that occurs. `tolerance` is not used."""
    max_imbalance: Annotated[float, Range(ge=1)] = 100.0
    """Largest ratio of the most frequent label to the rarest (MaxIR, Charte et al. 2015)."""
    label_entropy: Rule = _rule("warning")
    """The labels of a head carry information: their normalised entropy is at least `min_normalised_entropy`
    in every split. `tolerance` is not used."""
    min_normalised_entropy: Share = 0.2
    """Smallest entropy of the labels that apply by that of equally frequent ones. Two labels of which one
    has 97% of the rows reach 0.19."""
    label_cardinality: Rule = _rule("warning")
    """A labelled row of a multilabel head holds at least `min_cardinality` labels on average, in every
    split. `tolerance` is not used."""
    min_cardinality: Annotated[float, Range(ge=0)] = 0.01
    """Fewest labels a row, on average. 0.01: one row of a hundred has a label."""
    label_density: Rule = _rule("warning")
    """A labelled row of a multilabel head does not hold nearly all labels: the mean share of them is at most
    `max_density`, in every split. `tolerance` is not used."""
    max_density: Share = 0.9
    """Largest mean share of the labels that apply to a row (density, Tsoumakas & Katakis 2007)."""
    informative_labels: Rule = _rule("warning")
    """No label applies to every row or to no row of the training split: it could not be learned."""
    unseen_labels: Rule = _rule("critical", 0.05)
    """The labels of validation and test rows also stand in training rows. `tolerance` is the share of those
    rows. A label that the head does not list and that no training row has is left out of the head there."""
    look_alike_labels: Rule = _rule("warning")
    """No two labels of a head differ only by case, white space, zero-width or look-alike characters, or are
    one number (`7`, `007`) or truth (`true`, `1`): they are usually one label, written in two ways. `map` in
    the source's `heads` makes them one."""
    two_answers: Rule = _rule("critical")
    """The training rows of a head hold at least two different answers: one alone cannot be learned."""
    near_duplicates: Rule = _rule("warning", 0.05)
    """Few texts are almost equal to one of another split."""
    text_quality: Rule = _rule("warning", 0.01)
    """Few texts hold replacement or control characters, or UTF-8 that was read as Latin-1 (`Ã©`)."""
    markup: Rule = _rule("warning", 0.05)
    """Few texts hold HTML tags, comments or entities (`<br>`, `&amp;`): the model would learn the export."""
    repeated_text: Rule = _rule("warning", 0.05)
    """Few rows hold a text that stands more than `max_repeats` times among all input rows: canned answers
    and test messages."""
    max_repeats: Annotated[int, Range(ge=1)] = 20
    """How often one text may stand among the rows of all sources."""
    language: Rule = _rule("warning", 0.05)
    """Few texts are in another language than `languages`. Looked at only where those are given and the
    detector is installed (`pip install "headgate[language]"`). Texts that it is not sure of, mostly short
    ones, do not count."""
    languages: tuple[str, ...] = ()
    """Languages that are expected (ISO 639-1): `[en, de]`. Empty: language is not looked at."""
    language_sample: Annotated[int, Range(ge=1)] = 5_000
    """Texts whose language is detected, drawn by `language_seed`; about 0.2 ms each."""
    language_seed: int = 17
    """Seed of the sample of texts."""
    truncation: Rule = _rule("critical", 0.8)
    """Few texts of a head are longer than the model reads, `train.max_length` tokens, in every split.
    `tolerance` is a share of texts. (`text_length` is about characters.)"""
    truncation_warn: Share = 0.1
    """Share of a head's texts that are cut from which it is named, though tolerated."""
    unknown_tokens: Rule = _rule("critical", 0.5)
    """The encoder knows the words of a head's texts, in every split. `tolerance` is the share of tokens that
    its vocabulary lacks: to the encoder all of them are one and the same. Encoders of bytes lack none."""
    unknown_tokens_warn: Share = 0.1
    """Share of a head's tokens that the encoder does not know from which it is named, though tolerated."""
    source_truncation: Rule = _rule("warning", 0.8)
    """As `truncation`, for the texts of each source, where there are several: a small one hides in its heads'
    figures."""
    source_unknown_tokens: Rule = _rule("warning", 0.1)
    """As `unknown_tokens`, for the texts of each source, where there are several."""
    rows_against_champion: Rule = _rule("critical")
    """Every head has about as many labelled rows, over all splits, as in the data that the champion was
    trained on: at least `min_rows_against_champion` times as many. Half an export trains without an error,
    and the model forgets the other half. A first run has nothing to compare with. `tolerance` is not
    used."""
    min_rows_against_champion: Share = 0.1
    """Labelled rows of a head by those that the champion had, below which the rule is broken. A tenth is
    hardly ever meant. 0: never broken."""
    few_rows_against_champion: Share = 0.5
    """As above, below which it is named. From half on the margin that the test rows certify is 1.4 times as
    wide."""
    many_rows_against_champion: Annotated[float, Range(ge=1)] = 2.0
    """As above, from which it is named: rows may have been read twice, or of another file. Data grow, so more
    rows never break the rule."""
    test_rows_decide: Rule = _rule("warning")
    """The test rows of every head are enough for its margin (`gates.margin`): an equally good model passes
    it with a chance of at least `min_chance`. If not, the run is likely to end undecided. `tolerance` is not
    used."""
    min_chance: Share = 0.5
    """Smallest such chance, worked out as the gate works out its bound. 0.5: more likely than not."""
    drift: Rule = _rule("warning")
    """Labels, text lengths and words are as in the data that the champion was trained on. A first run has
    nothing to compare with. `tolerance` is not used: the levels below are."""
    drift_psi_warn: Annotated[float, Range(gt=0)] = 0.1
    """Population stability index (nats) from which a change is named. 0.1 and 0.25 are the levels that
    credit scoring uses; a change within sampling noise never counts."""
    drift_psi_fail: Annotated[float, Range(gt=0)] = 0.25
    """Population stability index (nats) from which the rule is broken."""
    drift_js_warn: Annotated[float, Range(gt=0, le=1)] = 0.02
    """Jensen–Shannon divergence (bits) from which a change is named. For small changes it is about a
    fifth to a sixth of the index above, so the levels agree."""
    drift_js_fail: Annotated[float, Range(gt=0, le=1)] = 0.05
    """Jensen–Shannon divergence (bits) from which the rule is broken."""
    drift_min_rows: Annotated[int, Range(ge=1)] = 200
    """Fewest labelled rows on either side; below it a distribution is not compared, and its state says so."""
    drift_unseen_warn: Annotated[float, Range(gt=0, le=1)] = 0.05
    """Share of words that the champion's training texts do not hold, beyond the share that its own
    validation texts had, from which a change of vocabulary is named. 0.05: one word more in twenty."""
    drift_unseen_fail: Annotated[float, Range(gt=0, le=1)] = 0.15
    """Such a share from which the rule is broken: about one more unknown word in every short sentence."""
    drift_min_tokens: Annotated[int, Range(ge=1)] = 1_000
    """Fewest words on either side; below it vocabularies are not compared, and their state says so."""
    extra: tuple[dict[str, Any], ...] = ()
    """Further expectations by name, Great Expectations' or custom ones of `modules`:
    `{type: expect_column_values_to_match_regex, kwargs: {column: text, regex: …}, severity: warning}`.
    Also `tolerance` and `table`: `dataset` (the default: one row a text; columns `text`, `split`,
    `weight`, `group`, `head:NAME`, and for multilabel heads `count:NAME` and `label:NAME:LABEL`) or
    `observations` (one row an input row). Rows can be picked by `row_condition` in `kwargs`:
    `{type: comparison, column: {name: split}, operator: "==", parameter: test}`."""
    modules: tuple[str, ...] = ()
    """Python files with custom expectations, paths from the configuration's folder: `[my_rules.py]`. They are
    run, with your rights, only because they are named here. What they define is named in
    `extra`: a function `expect_…(rows)` that takes the table as a pandas frame (and `kwargs` by name) and
    returns True or False a row, or one for all; or a subclass of a Great Expectations expectation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRule:
    """A part of the test rows on which heads must hold, too. Give either `column` or a band of lengths."""

    __pydantic_config__ = SCHEMA_CONFIG

    column: str | None = None
    """What the rows are sliced by: `source`, `group`, a head (its label; of a multilabel head, each label
    that applies), or any column that a source carries along (`sources.NAME.keep`)."""
    values: tuple[str, ...] = ()
    """Which values of the column. None given: each value with enough rows; the others are named as not
    judged."""
    min_chars: Annotated[int, Range(ge=0)] | None = None
    """Shortest text of the slice, in characters."""
    max_chars: Annotated[int, Range(ge=0)] | None = None
    """Longest text of the slice, in characters."""
    heads: tuple[str, ...] = ()
    """Which heads are judged; none given: all."""
    margin: Annotated[float, Range(gt=0, lt=1)] | None = None
    """How much worse than its baseline a head may be on this slice; none: not compared with it. A slice has
    fewer rows than the whole, so it certifies wider margins only."""
    floor: Share | None = None
    """Lowest acceptable value of the head's metric on this slice (point estimate); none: no floor."""
    min_rows: Annotated[int, Range(ge=1)] = 100
    """Fewest labelled rows of a head from which a slice is judged. With fewer it is inconclusive, unless
    `values` does not name its value: it is then reported as not judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceRules:
    """What each head is held beside, to see whether it is of any use: two cheap models of the same rows."""

    __pydantic_config__ = SCHEMA_CONFIG

    majority: Literal["on", "off"] = "on"
    """One constant answer, the best for the head's metric that the training labels allow. A head must be
    certainly better."""
    bag_of_words: Literal["fail", "warn", "off"] = "fail"
    """TF-IDF with logistic regression. `fail`: a head that is certainly worse, by more than its margin,
    fails. `warn`: it is named. One that may be worse is named in either case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractRules:
    """What clients of the champion may lose. Without consent a run ends before anything is trained, and says
    the line that consents. New heads and labels need none."""

    __pydantic_config__ = SCHEMA_CONFIG

    allow: tuple[str, ...] = ()
    """Changes that are meant, one line each: `drop topic`, `drop marks:cold`, `rename topic → subject`,
    `rename topic:weather → climate`, `kind marks multiclass → multilabel`, `reorder topic` (its labels stand
    in another order). `->` does for `→`; a label that holds an arrow stands in double quotes. Heads are named
    as they are called now. A renamed label is compared with the champion under both names. A line that names
    nothing that happens is remarked on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """When a trained model may ship."""

    __pydantic_config__ = SCHEMA_CONFIG

    margin: Annotated[float, Range(gt=0, lt=1)] = 0.015
    """How much worse than its baseline a head may be, in units of its metric. 0.015: the gap that the
    literature on shared encoders calls "almost as good"."""
    margins: dict[str, Annotated[float, Range(gt=0, lt=1)]] = field(default_factory=dict)
    """Head → margin that replaces `margin` there."""
    baseline_seeds: Annotated[int, Range(ge=1, le=10)] = 1
    """How many baselines of each head are trained, with the seeds `train.seed`, `train.seed` + 1, …; the
    shared model is compared with their mean. Each costs one more training of every head, once: baselines are
    cached. With 1 the verdict also depends on the luck of one seed (docs/explain/statistics.md)."""
    baseline_new_rows: Annotated[float, Range(ge=0, le=0.1)] = 0.0
    """Share of a head's training rows that its baseline may have been fitted without: where only rows were
    added, and no more than this, the earlier baseline is kept, and what the new rows could be worth to it
    at most, if they are like the others, is taken off the margin. 0, or where there are `slices`: every
    baseline is fitted on all rows. `--force` fits them anew."""
    confidence: Annotated[float, Range(gt=0.5, le=0.9999)] = 0.95
    """Confidence of the one-sided bounds."""
    power: Annotated[float, Range(gt=0.5, lt=1)] = 0.8
    """Chance of passing that an equally good model should have; used only to report which margin the
    test rows can certify, and how many rows the configured margin needs."""
    resamples: Annotated[int, Range(ge=200)] = 2000
    """Bootstrap resamples for F1 metrics and for latency ratios."""
    floors: dict[str, Share] = field(default_factory=dict)
    """Head → lowest acceptable value of its metric on the test rows (point estimate)."""
    label_floors: dict[str, dict[str, Share]] = field(default_factory=dict)
    """Head → label → lowest acceptable F1 of that label on the test rows (point estimate)."""
    references: ReferenceRules = ReferenceRules()
    """Cheap models that each head is held beside."""
    allow_unanswered: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Head → labels that the model need not find. Any other label with test rows fails if it is never
    answered, or hardly oftener on its own rows than on others, where its rows are enough to be certain: 11
    rows of a label that is never answered. With fewer rows it is named."""
    max_calibration_error: dict[str, Share] = field(default_factory=dict)
    """Head → largest expected calibration error on the test rows (15 bins)."""
    slices: tuple[SliceRule, ...] = ()
    """Parts of the test rows on which the heads are judged again: by source, language, length, …"""
    champion_margin: Annotated[float, Range(gt=0, lt=1)] = 0.015
    """How much worse than the champion a head may be on the same rows."""
    contract: ContractRules = ContractRules()
    """What a model may take away from the clients of the champion."""
    budget_p95_ms: Annotated[float, Range(gt=0)] = 1000.0
    """Longest p95 latency for all heads of one text, in milliseconds. A second to answer everything."""
    max_latency_ratio: Annotated[float, Range(gt=0)] = 0.8
    """Largest latency of the shared model against the sum of its baselines. Sharing must pay. With one
    head there is nothing to share: then `max_single_head_ratio` holds instead."""
    max_single_head_ratio: Annotated[float, Range(gt=0)] = 1.1
    """Largest latency, resident set and size of a one-head model against its one baseline, which has the
    same architecture: the true ratio is 1, and 1.1 leaves room for noise and padding of the graph."""
    max_champion_latency_ratio: Annotated[float, Range(gt=0)] = 1.25
    """Largest latency against the champion's. Above 1, so that a head may be added."""
    control_tolerance: Annotated[float, Range(gt=0, lt=1)] = 0.05
    """How far the A/A control (the shared bundle timed against a second process of itself) may be off 1.0
    for certain before the machine counts as too noisy. Its bounds must also lie within three times that of
    1: a control that says "between 0.93 and 1.45" says nothing."""
    latency_requests: Annotated[int, Range(ge=20)] = 200
    """Timed requests a bundle at each look. The bound on p95 needs 72 at the first look (97.5%: 0.95^72 <
    0.025), 59 where `latency_looks` is 1."""
    latency_looks: Annotated[int, Range(ge=1, le=10)] = 4
    """How often the bundles are timed, each time with `latency_requests` more, until the timings decide; and
    how often the endpoint is, where a busy machine kept its timings from deciding. Each look has
    its share of the error that `confidence` allows, so that looking again makes no pass by luck."""
    quiet_wait_s: Annotated[float, Range(ge=0, le=86400)] = 60.0
    """Longest wait for a quiet machine, in seconds, over all looks: until others leave `latency_threads`
    cores free. Afterwards it is timed beside the other work. 0: no wait."""
    latency_threads: Annotated[int, Range(ge=1)] = 2
    """CPU threads of the bundle while it is timed; serve with the same number."""
    http_requests: Annotated[int, Range(ge=20)] = 150
    """Requests sent to a private endpoint with the candidate before it is promoted; 59 are the least, as
    above. They take `http_requests / http_rate_per_s` seconds."""
    http_rate_per_s: Annotated[float, Range(gt=0)] = 25.0
    """Requests a second, one text each, that the endpoint must answer within `budget_p95_ms`. They leave on
    schedule whatever the endpoint does, and latency is counted from when each was due. Declare what your
    callers send at their busiest."""
    max_memory_mb: Annotated[float, Range(gt=0)] = 2048.0
    """Largest resident set of a process that serves the bundle, in MiB; the endpoint's own, too."""
    max_bundle_mb: Annotated[float, Range(gt=0)] = 2048.0
    """Largest bundle on disk, in MiB."""
    max_memory_ratio: Annotated[float, Range(gt=0)] = 0.8
    """Largest resident set and bundle of the shared model against the sums of its baselines."""
    seed: int = 17
    """Seed of resampling and of the order of timed requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCheck:
    """The search for labels that look wrong, by confident learning (Northcutt et al. 2021): where a model
    that has not seen a row is sure of another answer than the one given. They are listed by source line,
    worst first; no label is ever changed, and no gate hangs on it."""

    __pydantic_config__ = SCHEMA_CONFIG

    mode: Literal["off", "baseline", "out_of_fold"] = "off"
    """`baseline`: the baselines, which are fitted anyway, answer every row. Validation and test rows they
    have not been trained on; training rows they have, and there they tend to agree with a wrong label that
    they have learned: what they still doubt is worth a look, and much is missed. `out_of_fold`: each
    training row is answered by a model that was fitted without it, which finds more and costs `folds` - 1
    further trainings of every baseline (cached by content)."""
    folds: Annotated[int, Range(ge=2, le=20)] = 3
    """Parts that the training rows of a head are cut into for `out_of_fold`. 3: every model still sees two
    thirds of the rows, for the price of two more trainings."""
    seed: int = 17
    """Seed of the folds."""
    most_rows: Annotated[int, Range(ge=1)] = 1000
    """Most rows listed a head, the worst; the report holds the true total."""
