"""The context in the state folder that a user of Great Expectations opens and continues.

    great_expectations.get_context(project_root_dir=STATE_FOLDER).checkpoints.get(PROJECT).run()

What was judged is kept as a table of one row, `gx/tables/PROJECT/judged.parquet`: one column an expectation,
whose cell is the share of rows, labels or texts that hold, or the figure that was looked at. No text of the
data and no label is in it. Data source, batch definition, suite, validation definition and checkpoint bear
the project's name; the results of all runs stay, and are this module's history.

Does not know how the data was judged (`expectations.data.gate`). The library is imported late: it takes
seconds.
"""

from __future__ import annotations

import html
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from expectations.data.check import VALUES_BETWEEN, CheckResult
from expectations.data.gx.library import COUNTS_ONLY, load_library
from model.bundle.telemetry import telemetry_off
from model.files import locked, read_json, replacing_path

FOLDER = "gx"
"""Name of the context's folder, which Great Expectations looks for in a project's."""
RESULTS = Path(FOLDER, "uncommitted", "validations")
"""Below the state folder: PROJECT/RUN/TIME/….json."""
TABLE = "judged"
SITE = "local_site"
DOCS_ACTION = "data docs"
BY_HAND = "__none__"
"""What the library calls a run without a name: one that a user started."""
MOST_RUNS = 12
"""Former runs that are told of."""

_VIEWS = "headgate_views"
_PLUGIN = Path(__file__).with_name("views.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class GxProject:
    """Where a run's results belong."""

    root: Path
    """The state folder."""
    lock: Path
    """Held while the context is changed: all projects of a state folder share it."""
    name: str
    """Project."""
    run: str
    """Run of the flow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastValue:
    """What came of one expectation in one run."""

    met: bool
    value: float | None
    """The share that held, or the figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What came of each expectation over the runs."""

    runs: tuple[str, ...]
    """The newest runs that kept results, the oldest of them first."""
    values: Mapping[str, tuple[PastValue | None, ...]]
    """Subject of an expectation → one entry a run; None where it was not asked."""
    problem: str = ""
    """Why this run's results could not be kept; empty where they were."""


def keep_results(project: GxProject, results: Sequence[CheckResult]) -> History:
    """Keep what came of a run in the context, which is made or brought up to date, run its checkpoint, which
    also builds the Data Docs, and return the history of each expectation.

    Never raises: the context is the user's as well, who may have changed it, and no verdict depends on it.
    """
    telemetry_off()
    try:
        _keep(project, results)
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        problem = (
            f"Great Expectations' context {project.root / FOLDER} could not be brought up to date "
            f"({reason}); correct it, or move it away: the next run makes another"
        )
        return replace(read_history(project.root, project.name), problem=problem)
    return read_history(project.root, project.name)


def _keep(project: GxProject, results: Sequence[CheckResult]) -> None:
    looked_at = {one.subject: one for one in results if one.looked_at}
    with locked(project.lock):
        context = _context(project.root)
        folder = project.root / FOLDER / "tables" / project.name
        folder.mkdir(parents=True, exist_ok=True)
        row = {_column(subject): _value(one) for subject, one in looked_at.items()}
        with replacing_path(folder / f"{TABLE}.parquet") as file:
            pd.DataFrame([row], dtype=float).to_parquet(file)
        _declare(context, project.name, looked_at)
        # Opened anew, as a user does: objects that were brought up to date have lost their context.
        checkpoint = _context(project.root).checkpoints.get(project.name)
        checkpoint.run(run_id=_run_identifier(project.run))


def read_history(root: Path, name: str) -> History:
    """What the runs of a project kept, the newest `MOST_RUNS` of them."""
    found = sorted(_kept_files(root, name), key=lambda file: file.parent.name)[-MOST_RUNS:]
    read = [(file.parents[1].name, _read(file)) for file in found]
    runs = [(run, values) for run, values in read if values is not None]
    subjects = dict.fromkeys(subject for _, values in runs for subject in values)
    return History(
        runs=tuple(run for run, _ in runs),
        values={subject: tuple(values.get(subject) for _, values in runs) for subject in subjects},
    )


def _kept_files(root: Path, name: str) -> Iterator[Path]:
    for file in (root / RESULTS / name).glob("*/*/*.json"):
        if file.parents[1].name != BY_HAND:
            yield file


def _read(file: Path) -> dict[str, PastValue] | None:
    """Subject → what came of it; None for a file that cannot be read: it is the library's, or a user's."""
    try:
        found = {}
        for one in read_json(file)["results"]:
            value = one["result"].get("observed_value")
            subject = html.unescape(str(one["expectation_config"]["kwargs"]["column"]))
            figure = float(value) if isinstance(value, int | float) else None
            found[subject] = PastValue(met=bool(one["success"]), value=figure)
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _bounds(one: CheckResult) -> dict[str, Any]:
    """What the cell of an expectation has to be."""
    check = one.check
    if one.elements:
        return {"min_value": float(check.kwargs.get("mostly", 1.0 - check.tolerance))}
    if check.type == VALUES_BETWEEN and one.observed is not None:
        names = ("min_value", "max_value", "strict_min", "strict_max")
        return {name: check.kwargs[name] for name in names if check.kwargs.get(name) is not None}
    return {"min_value": 1.0}


def _value(one: CheckResult) -> float:
    """The cell of an expectation: what holds, as a share; a figure; or whether it is met."""
    if one.outcome == "could not be evaluated":
        return float("-inf") if "min_value" in _bounds(one) else float("inf")
    if one.elements:
        return 1.0 - (one.count or 0) / one.elements
    if one.check.type == VALUES_BETWEEN and one.observed is not None:
        return float(one.observed)
    return float(one.outcome in ("met", "tolerated"))


def _column(subject: str) -> str:
    """The column of an expectation. Data Docs show names as they are, and a configuration may choose them."""
    return html.escape(subject)


def _described(one: CheckResult) -> str:
    """What is expected, in words. Data Docs show it as it is, so that it is escaped here."""
    check = one.check
    about = " in ".join(part for part in (f"`{check.head}`" if check.head else "", check.split or "") if part)
    said = f"{about}: {check.expected}" if about else check.expected
    if one.elements:
        least = _bounds(one)["min_value"]
        said += f" (all {check.unit})" if least >= 1 else f" (at least {100 * least:.4g}% of {check.unit})"
    return html.escape(f"{said} · {one.subject}")


def _context(root: Path) -> Any:
    """The context, made where there is none."""
    load_library()
    import great_expectations as gx

    is_new = not (root / FOLDER / "great_expectations.yml").is_file()
    context = gx.get_context(mode="file", project_root_dir=root)
    plugin = root / FOLDER / "plugins" / f"{_VIEWS}.py"
    if is_new or not plugin.is_file():
        plugin.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_PLUGIN, plugin)
        context.enable_analytics(False)
        context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        context.variables.save()
        context.update_data_docs_site(SITE, _site())
    return context


def _site() -> dict[str, Any]:
    page = {"module_name": _VIEWS, "class_name": "OfflinePage"}
    sections = {
        section: {
            "class_name": "DefaultSiteSectionBuilder",
            "source_store_name": store,
            "renderer": {"module_name": "great_expectations.render.renderer", "class_name": renderer},
            "view": page,
        }
        for section, store, renderer in (
            ("expectations", "expectations_store", "ExpectationSuitePageRenderer"),
            ("validations", "validation_results_store", "ValidationResultsPageRenderer"),
        )
    }
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": f"uncommitted/data_docs/{SITE}/",
        },
        "site_index_builder": {
            "class_name": "DefaultSiteIndexBuilder",
            "view": {"module_name": _VIEWS, "class_name": "OfflineIndex"},
        },
        "site_section_builders": sections | {"profiling": "none"},
    }


def _run_identifier(run: str) -> Any:
    from great_expectations import RunIdentifier

    return RunIdentifier(run_name=run)


def _declare(context: Any, name: str, looked_at: Mapping[str, CheckResult]) -> None:
    """Suite, data, validation and checkpoint of a project, as they are now."""
    import great_expectations as gx
    from great_expectations.checkpoint import UpdateDataDocsAction
    from great_expectations.expectations import ExpectColumnMaxToBeBetween

    wanted = gx.ExpectationSuite(
        name=name,
        expectations=[
            ExpectColumnMaxToBeBetween(
                column=_column(subject),
                severity=one.check.severity,
                description=_described(one),
                meta={"rule": one.check.rule, "head": one.check.head, "split": one.check.split},
                **_bounds(one),
            )
            for subject, one in looked_at.items()
        ],
    )
    suite = _brought_up_to_date(context, wanted)
    batch = _batch(context, name)
    known = {one.name: one for one in context.checkpoints.all()}.get(name)
    if known is not None and _is_as_wanted(known, suite, batch):
        return
    definition = gx.ValidationDefinition(name=name, data=batch, suite=suite)
    checkpoint = gx.Checkpoint(
        name=name,
        validation_definitions=[_put(context.validation_definitions, definition)],
        actions=[UpdateDataDocsAction(name=DOCS_ACTION, site_names=[SITE])],
        result_format=COUNTS_ONLY,
    )
    _put(context.checkpoints, checkpoint)


def _put(kept: Any, one: Any) -> Any:
    """Add or replace what has a name; what is new is added, since `add_or_update` compares all parts."""
    is_known = any(other.name == one.name for other in kept.all())
    return kept.add_or_update(one) if is_known else kept.add(one)


def _brought_up_to_date(context: Any, wanted: Any) -> Any:
    """The suite of that name with the wanted expectations; one that is as before keeps its id. The library's
    own `add_or_update` does the same, but compares each expectation with all, three times a run."""
    known = {one.name: one for one in context.suites.all()}.get(wanted.name)
    if known is None:
        return context.suites.add(wanted)
    before = {one.column: (one.id, _content(one)) for one in known.expectations if hasattr(one, "column")}
    for one in wanted.expectations:
        same_id, content = before.get(one.column, (None, None))
        if content == _content(one):
            one.id = same_id
    if [one.id for one in known.expectations] != [one.id for one in wanted.expectations]:
        known.expectations = wanted.expectations
        known.save()
    return known


def _content(expectation: Any) -> Any:
    """What an expectation says: itself, but for its id and what is made of it."""
    return type(expectation), expectation.dict(exclude={"id", "rendered_content"})


def _is_as_wanted(checkpoint: Any, suite: Any, batch: Any) -> bool:
    """Whether a checkpoint judges this batch by this suite, keeps counts and builds the pages. Further
    actions are its user's."""
    definitions = checkpoint.validation_definitions
    return (
        [(one.name, one.suite.id, one.data.id) for one in definitions] == [(suite.name, suite.id, batch.id)]
        and checkpoint.result_format == COUNTS_ONLY
        and any(one.name == DOCS_ACTION and one.site_names == [SITE] for one in checkpoint.actions)
    )


def _batch(context: Any, name: str) -> Any:
    """The batch definition of a project's table; made once, so that what refers to it holds."""
    folder = Path(context.root_directory, "tables", name)
    if name in context.data_sources.all():
        source = context.data_sources.get(name)
    else:
        source = context.data_sources.add_pandas_filesystem(name, base_directory=folder)
    if Path(source.base_directory) != folder:
        # The state folder was moved. The library takes relative paths from the current folder.
        source.base_directory = folder
        source = context.update_datasource(source)
    asset = {asset.name: asset for asset in source.assets}.get(TABLE) or source.add_parquet_asset(TABLE)
    batches = {batch.name: batch for batch in asset.batch_definitions}
    return batches.get("newest") or asset.add_batch_definition_path("newest", f"{TABLE}.parquet")
