"""The one module that knows Great Expectations: evaluates checks on tables and renders its Data Docs.

The library takes seconds to import, so it is imported inside the functions. Its context lives in memory:
it writes nothing, reads no project, and reports nothing to anyone. Does not know rules or verdicts, nor
why a check is made.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.data.check import Check
from model.suggestions import did_you_mean
from report.page import TEMPLATES

# Counts, but none of the values that were found: texts must not travel into results or pages.
COUNTS_ONLY = {"result_format": "SUMMARY", "partial_unexpected_count": 0}


MOST_ASKED = 10_000
"""Rows that break an expectation are looked for only if there are no more: the library takes them one by one
(a million take minutes)."""
ROW = "row number"
"""Column that tells rows apart while those that break an expectation are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What the engine said about one check."""

    success: bool | None
    """Whether the expectation was met; none where the engine could not say."""
    error: str | None = None
    """Why it could not be evaluated; never holds a value from the data."""
    elements: int | None = None
    """Elements that it applies to (nulls left out); none for an expectation about a whole column or table."""
    unexpected: int | None = None
    """Elements that break it."""
    rows: NDArray[np.int64] | None = None
    """(unexpected,): rows of the table that break it, for the user's own expectations about single rows;
    none where there are more than `MOST_ASKED`."""
    observed: float | None = None
    """The observed figure of an expectation about a whole column or table, if it is one number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """All checks of a run, and the pages that Great Expectations makes of them."""

    evaluations: tuple[Evaluation, ...]
    """One a check, in the order of the checks."""
    pages: Mapping[str, str]
    """Table → HTML of its validation page, usable offline."""


def evaluate(
    checks: Sequence[Check], tables: Mapping[str, pd.DataFrame], own_names: Sequence[str] = ()
) -> Evaluated:
    """Evaluate every check on its table. Never raises for a check that cannot be evaluated: that is an
    outcome of its own.

    Args:
        tables: name → rows. A check whose table is not there cannot be evaluated.
        own_names: further names that a misspelt one may have meant.
    """
    import great_expectations as gx
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults

    # Its defaults would make a temporary folder for a site that is never built.
    nowhere = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    )
    context = gx.get_context(mode="ephemeral", project_config=nowhere)
    context.enable_analytics(False)
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    source = context.data_sources.add_pandas("dataset")
    said: dict[int, Evaluation] = {}
    pages: dict[str, str] = {}
    for name in dict.fromkeys(check.table for check in checks):
        at = [i for i, check in enumerate(checks) if check.table == name]
        if name not in tables:
            said |= dict.fromkeys(at, Evaluation(success=None, error=f"there is no table {name!r}"))
            continue
        suite = gx.ExpectationSuite(name=name)
        for i in at:
            made = _expectation(checks[i], i, own_names)
            if isinstance(made, str):
                said[i] = Evaluation(success=None, error=made)
            else:
                suite.add_expectation(made)
        if not suite.expectations:
            continue
        definition = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        batch = definition.get_batch(batch_parameters={"dataframe": tables[name]})
        results = batch.validate(suite, result_format=COUNTS_ONLY).results
        if len(results) > 1:
            # One expectation that raises can take others of its suite with it: ask those again alone.
            results = [
                result
                if _raised(result.exception_info) is None
                else batch.validate(result.expectation_config.to_domain_obj(), result_format=COUNTS_ONLY)
                for result in results
            ]
        for result in results:
            i = result.expectation_config.meta["check"]
            said[i] = _evaluation(result, checks[i], list(tables[name].columns))
            if name in ("dataset", "rows") and 0 < (said[i].unexpected or 0) <= MOST_ASKED:
                said[i] = replace(said[i], rows=_broken(source, name, tables[name], result))
        pages[name] = _page(name, results, said)
    unsaid = Evaluation(success=None, error="the engine gave no result")
    return Evaluated(evaluations=tuple(said.get(i, unsaid) for i in range(len(checks))), pages=pages)


def nearest(name: str, known: Sequence[str]) -> str:
    """` (did you mean …?)` for the known name nearest to `name`, or nothing."""
    return did_you_mean(name, known)


def _broken(source: Any, name: str, frame: pd.DataFrame, result: Any) -> NDArray[np.int64]:
    """Rows of `frame` that break an expectation, asked once more: counts alone are many times cheaper, so
    rows are asked for only where there are any. Of the answer the row numbers are kept, no values."""
    numbered = frame.assign(**{ROW: np.arange(len(frame))})
    asset = source.add_dataframe_asset(f"{name} {result.expectation_config.meta['check']}")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": numbered})
    again = batch.validate(
        result.expectation_config.to_domain_obj(),
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [ROW]},
    )
    found = (again.result or {}).get("unexpected_index_list") or []
    return np.array(sorted(int(one[ROW]) for one in found), dtype=np.int64)


def _expectation(check: Check, at: int, own_names: Sequence[str]) -> Any:
    """The library's expectation for a check, or a sentence that says why there is none."""
    from great_expectations.expectations import registry

    if check.problem is not None:
        return check.problem
    known = [
        name
        for name in registry.list_registered_expectation_implementations()
        if name.startswith("expect_") or name == "unexpected_rows_expectation"
    ]
    if check.type not in known:
        return (
            f"expectations.{check.rule}.type: Great Expectations has no expectation {check.type!r}"
            f"{nearest(check.type, [*known, *own_names])}"
        )
    made = registry.get_expectation_impl(check.type)
    try:
        return made(**check.kwargs, severity=check.severity, meta={"check": at})
    except (TypeError, ValueError, AttributeError) as error:
        fields = [name for name in getattr(made, "__fields__", {}) if not name.startswith("_")]
        misspelt = "".join(nearest(name, fields) for name in check.kwargs if name not in fields)
        return (
            f"expectations.{check.rule}.kwargs: {check.type} does not take these arguments "
            f"({_first_line(error)}){misspelt}"
        )


def _first_line(error: Exception) -> str:
    """The gist of a validation error about the configuration, on one line."""
    return " ".join(str(error).split())[:200]


def _evaluation(result: Any, check: Check, columns: Sequence[str]) -> Evaluation:
    """The library's result as one of three: met, not met, not evaluated.

    An exception leaves `success` false, as if the data were bad; it is told apart here.
    """
    raised = _raised(result.exception_info)
    if raised is not None:
        for key, column in check.kwargs.items():
            if key.startswith("column") and isinstance(column, str) and column not in columns:
                return Evaluation(
                    success=None, error=f"there is no column {column!r}{nearest(column, list(columns))}"
                )
        return Evaluation(success=None, error=f"{raised} while {check.type} was evaluated")
    figures = result.result or {}
    elements, missing = figures.get("element_count"), figures.get("missing_count") or 0
    return Evaluation(
        success=bool(result.success),
        elements=None if elements is None else int(elements) - int(missing),
        unexpected=None if figures.get("unexpected_count") is None else int(figures["unexpected_count"]),
        observed=_number(figures.get("observed_value")),
    )


def _number(value: Any) -> float | None:
    """A plain number, also from numpy; none for anything else, which might be a value from the data."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return None
    return float(value)


def _raised(info: Any) -> str | None:
    """The class of the exception that the engine met, or none.

    Only the class: the message may quote values from the data.
    """
    if not isinstance(info, Mapping):
        return None
    found = [info] if "raised_exception" in info else [v for v in info.values() if isinstance(v, Mapping)]
    for one in found:
        if one.get("raised_exception"):
            last = str(one.get("exception_traceback") or "").strip().splitlines()[-1:] or [""]
            named = re.match(r"(?:\w+\.)*(\w+(?:Error|Exception|Warning|Interrupt))\b", last[0])
            return named.group(1) if named else "an engine error"
    return None


def _page(name: str, results: Sequence[Any], said: Mapping[int, Evaluation]) -> str:
    """The library's validation page for one table, from a copy without values from the data.

    The renderer writes strings unescaped: those of the configuration are escaped before it sees them.
    """
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    shown = []
    for result in results:
        config = result.expectation_config
        i = config.meta["check"]
        kwargs = {key: value for key, value in config.kwargs.items() if key != "batch_id"}
        figures = {key: value for key, value in (result.result or {}).items() if _number(value) is not None}
        if "unexpected_percent" not in figures:
            figures.pop("unexpected_count", None)  # the renderer wants both or neither
        trouble = said[i].error
        info = {
            "raised_exception": trouble is not None,
            "exception_message": None if trouble is None else html.escape(trouble, quote=False),
            "exception_traceback": None if trouble is None else "",
        }
        shown.append(
            ExpectationValidationResult(
                success=result.success,
                expectation_config=ExpectationConfiguration(
                    type=config.type, kwargs=_escaped(kwargs), severity=config.severity
                ),
                result=figures,
                exception_info=info,
            )
        )
    met = sum(bool(result.success) for result in shown)
    copy = ExpectationSuiteValidationResult(
        success=all(bool(result.success) for result in shown),
        results=shown,
        suite_name=name,
        statistics={
            "evaluated_expectations": len(shown),
            "successful_expectations": met,
            "unsuccessful_expectations": len(shown) - met,
            "success_percent": 100.0 * met / max(len(shown), 1),
        },
        meta={"batch_kwargs": {"data_asset_name": name}},
    )
    rendered = ValidationResultsPageRenderer(run_info_at_end=True).render(copy)
    # The library's own sections in a page of ours: its page fetches styles and scripts from the network.
    view = DefaultJinjaPageView(custom_views_directory=str(TEMPLATES))
    style = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    page = str(view.render(rendered, template="data_docs.html", style=style))
    # Charts of distributions come as scripts, which need a library from the network.
    page = re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL | re.IGNORECASE)
    # Links into parts of the library's site that are not built.
    return re.sub(r'<a\s[^>]*href="\.\./[^"]*"[^>]*>(.*?)</a>', r"\1", page, flags=re.DOTALL)


def _escaped(value: Any) -> Any:
    """Every string in a structure, escaped for HTML."""
    if isinstance(value, str):
        return html.escape(value)
    if isinstance(value, Mapping):
        return {_escaped(key): _escaped(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(inner) for inner in value]
    return value
