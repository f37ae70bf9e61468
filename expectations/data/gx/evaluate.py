"""Evaluates checks by Great Expectations, and renders what its Data Docs say.

The library takes seconds to import, so it is imported inside the functions. Its context lives in memory:
it writes nothing, reads no project, and reports nothing to anyone. Does not know rules or verdicts, nor
why a check is made.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.data.check import Check, CheckResult, Counted
from expectations.data.gx.library import COUNTS_ONLY, load_library
from model.suggestions import did_you_mean

NOT_COUNTED: Mapping[int, Counted] = MappingProxyType({})
MOST_ROWS = 10_000
"""Rows that break a custom expectation are looked for only if there are no more: the library takes them one
by one (a million take minutes)."""
MAX_BETWEEN = "expect_column_max_to_be_between"
ROW = "row number"
"""Column that tells rows apart while those that break an expectation are looked for."""

# The library's own sections; the last one repeats when and with which version it ran.
SECTIONS = """{% for section in sections[:-1] %}
{% set section_loop = loop %}
{% include 'section.j2' %}
{% endfor %}"""


def evaluate(
    checks: Sequence[Check],
    tables: Mapping[str, pd.DataFrame],
    custom_names: Sequence[str] = (),
    counted: Mapping[int, Counted] = NOT_COUNTED,
) -> tuple[tuple[CheckResult, ...], dict[str, str]]:
    """Evaluate every check on its table: one result a check, in their order, and table → HTML of what Great
    Expectations' Data Docs say of it.

    Never raises for a check that cannot be evaluated: that is an outcome of its own. A result's reason says
    why a check was skipped or could not be evaluated, and is else empty.

    Args:
        tables: name → rows. A check whose table is not there cannot be evaluated.
        custom_names: further names that a misspelt one may have meant.
        counted: check's position → cells that were counted already. The library then judges the share that
            holds, in a table of one row, in place of a column of millions of cells.
    """
    load_library()
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
    found = [
        CheckResult(check=check, outcome="not looked at", reason=check.skipped)
        if check.skipped is not None
        else _failed(check, "the engine gave no result")
        for check in checks
    ]
    pages: dict[str, str] = {}
    for name in dict.fromkeys(check.table for check in checks if check.skipped is None):
        asked_of = []
        for at, check in enumerate(checks):
            if check.table != name or check.skipped is not None:
                continue
            asked = _of_share(check, at) if at in counted else check
            made = _expectation(asked, at, custom_names) if name in tables else f"there is no table {name!r}"
            if isinstance(made, str):
                found[at] = _failed(check, made)
            else:
                asked_of.append(made)
        if not asked_of:
            continue
        suite = gx.ExpectationSuite(name=name, expectations=asked_of)
        shares = {f"{at}": [_share(one)] for at, one in counted.items() if checks[at].table == name}
        looked_at = pd.DataFrame(shares, dtype=float) if shares else tables[name]
        definition = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        batch = definition.get_batch(batch_parameters={"dataframe": looked_at})
        results = batch.validate(suite, result_format=COUNTS_ONLY).results
        if len(results) > 1:
            # One expectation that raises can take others of its suite with it: evaluate those again alone.
            results = [
                result
                if _raised(result.exception_info) is None
                else batch.validate(result.expectation_config.to_domain_obj(), result_format=COUNTS_ONLY)
                for result in results
            ]
        results = [_with_counts(result, checks, counted) for result in results]
        for result in results:
            at = result.expectation_config.meta["check"]
            one = _result(result, checks[at], list(tables[name].columns))
            if at in counted:
                one = replace(one, rows=counted[at].rows if one.count else None)
            elif name in ("dataset", "rows") and 0 < (one.count or 0) <= MOST_ROWS:
                one = replace(one, rows=_broken(source, name, tables[name], result))
            found[at] = one
        pages[name] = _page(name, results, found)
    return tuple(found), pages


def taken_names() -> dict[str, Any]:
    """Name → class of every expectation of the library itself."""
    load_library()
    from great_expectations.expectations import core, registry

    assert core  # imported so that the library's own names are registered before custom ones
    made = {
        str(name): registry.get_expectation_impl(name)
        for name in registry.list_registered_expectation_implementations()
    }
    return {name: cls for name, cls in made.items() if cls.__module__.startswith("great_expectations.")}


def restore_library(taken: Mapping[str, Any]) -> str | None:
    """Undo that a custom class took the name of one of the library's; the name of that class, or none."""
    from great_expectations.expectations import registry

    for name, made in taken.items():
        if registry.get_expectation_impl(name) is not made:
            registry.register_expectation(made)
            return "".join(part.capitalize() for part in name.split("_"))
    return None


def _of_share(check: Check, at: int) -> Check:
    """The check, asked of the share of cells that hold in place of the cells. A column's maximum takes the
    library a fifth of the time that its values take."""
    kwargs = {"column": f"{at}", "min_value": check.kwargs.get("mostly", 1.0)}
    return replace(check, type=MAX_BETWEEN, kwargs=kwargs)


def _share(one: Counted) -> float:
    """What holds of cells; all of none."""
    return 1.0 if one.holds is None else one.holds


def _with_counts(result: Any, checks: Sequence[Check], counted: Mapping[int, Counted]) -> Any:
    """The library's result about a share, as one about the cells that it is of."""
    from great_expectations.core import ExpectationValidationResult

    at = result.expectation_config.meta["check"]
    if at not in counted or _raised(result.exception_info) is not None:
        return result
    one, unexpected = counted[at], int(counted[at].rows.size)
    figures: dict[str, float] = {
        "element_count": one.cells,
        "unexpected_count": unexpected,
        "missing_count": one.missing,
    }
    if one.elements:
        figures["unexpected_percent"] = unexpected / one.elements * 100
        figures["unexpected_percent_nonmissing"] = figures["unexpected_percent"]
    if one.cells:
        figures["missing_percent"] = one.missing / one.cells * 100
        figures["unexpected_percent_total"] = unexpected / one.cells * 100
    return ExpectationValidationResult(
        success=result.success,
        expectation_config=_expectation(checks[at], at, ()).configuration,
        result=figures,
        exception_info=result.exception_info,
    )


def _failed(check: Check, reason: str) -> CheckResult:
    return CheckResult(check=check, outcome="could not be evaluated", reason=reason)


def _broken(source: Any, name: str, frame: pd.DataFrame, result: Any) -> NDArray[np.int64]:
    """Rows of `frame` that break an expectation, by evaluating it once more: counts alone are many times
    cheaper, so rows are looked for only where there are any. Their numbers are kept, no values."""
    numbered = frame.assign(**{ROW: np.arange(len(frame))})
    asset = source.add_dataframe_asset(f"{name} {result.expectation_config.meta['check']}")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": numbered})
    again = batch.validate(
        result.expectation_config.to_domain_obj(),
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [ROW]},
    )
    found = (again.result or {}).get("unexpected_index_list") or []
    return np.array(sorted(int(one[ROW]) for one in found), dtype=np.int64)


def _expectation(check: Check, at: int, custom_names: Sequence[str]) -> Any:
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
            f"{did_you_mean(check.type, [*known, *custom_names])}"
        )
    made = registry.get_expectation_impl(check.type)
    try:
        return made(**check.kwargs, severity=check.severity, meta={"check": at})
    except (TypeError, ValueError, AttributeError) as error:
        fields = [name for name in getattr(made, "__fields__", {}) if not name.startswith("_")]
        misspelt = "".join(did_you_mean(name, fields) for name in check.kwargs if name not in fields)
        return (
            f"expectations.{check.rule}.kwargs: {check.type} does not take these arguments "
            f"({_first_line(error)}){misspelt}"
        )


def _first_line(error: Exception) -> str:
    """The gist of a validation error about the configuration, on one line."""
    return " ".join(str(error).split())[:200]


def _result(result: Any, check: Check, columns: Sequence[str]) -> CheckResult:
    """The library's result as one of three: met, not met, could not be evaluated.

    An exception leaves `success` false, as if the data were bad; it is told apart here.
    """
    raised = _raised(result.exception_info)
    if raised is not None:
        for key, column in check.kwargs.items():
            if key.startswith("column") and isinstance(column, str) and column not in columns:
                return _failed(check, f"there is no column {column!r}{did_you_mean(column, columns)}")
        return _failed(check, f"{raised} while {check.type} was evaluated")
    figures = result.result or {}
    elements, unexpected = figures.get("element_count"), figures.get("unexpected_count")
    return CheckResult(
        check=check,
        outcome="met" if result.success else "not met",
        elements=None if elements is None else int(elements) - int(figures.get("missing_count") or 0),
        count=None if unexpected is None else int(unexpected),
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


def _page(name: str, results: Sequence[Any], found: Sequence[CheckResult]) -> str:
    """What the library's validation page says of one table, from a copy without values from the data.

    The renderer writes strings unescaped: those of the configuration are escaped before it sees them.
    """
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    shown = []
    for result in results:
        config = result.expectation_config
        at = config.meta["check"]
        kwargs = {key: value for key, value in config.kwargs.items() if key != "batch_id"}
        figures = {key: value for key, value in (result.result or {}).items() if _number(value) is not None}
        if "unexpected_percent" not in figures:
            figures.pop("unexpected_count", None)  # the renderer wants both or neither
        trouble = found[at].reason or None
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
    # Sections only: the library's page fetches styles and scripts from the network.
    page = str(DefaultJinjaPageView().env.from_string(SECTIONS).render(rendered.to_json_dict()))
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
