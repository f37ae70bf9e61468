"""Read Hugging Face datasets: by name and revision from the hub, or a folder from `save_to_disk`.

The library is imported only when such a source is read. No code of a dataset is ever run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from model.bundle.masking import masked
from model.bundle.telemetry import telemetry_off
from sources.errors import DataError, Problem, UnreadableSource
from sources.formats.columnar import from_arrow
from sources.formats.table import Table, Wanted

OFFLINE = frozenset(
    ("ConnectionError", "ConnectError", "OfflineModeIsEnabled", "LocalEntryNotFoundError", "ConnectTimeout")
)
"""Types of exceptions, of several libraries, that mean that the hub cannot be reached."""


def is_saved(folder: Path) -> bool:
    """Whether `folder` was written by `save_to_disk`."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "dataset_info.json").is_file() and (folder / "state.json").is_file()
    )


def read_saved(folder: Path, name: str, wanted: Wanted) -> Iterator[tuple[str | None, Table]]:
    """(Split's name in the dataset, or None; its table) for each split of a saved dataset.

    Raises:
        UnreadableSource: no such folder, or not one that `save_to_disk` wrote.
        BadTable: as `sources.formats.columnar`.
    """
    if not is_saved(folder):
        seen = "not a folder written by save_to_disk (no dataset_dict.json or state.json)"
        raise UnreadableSource(Problem(seen, advice="Set `format` to that of the files in it.", file=name))
    import datasets  # type: ignore[import-untyped]

    try:
        found = datasets.load_from_disk(str(folder))
    except Exception as error:
        # The library raises whatever its parts raise (JSON, Arrow, OS errors).
        seen = f"the saved dataset cannot be opened ({_first_line(error)})"
        raise UnreadableSource(Problem(seen, file=name)) from error
    yield from _tables(found, name, wanted)


def read_hub(
    dataset: str, config: str | None, revision: str | None, wanted: Wanted
) -> Iterator[tuple[str | None, Table]]:
    """(Split's name, its table) for each split of a hub dataset.

    Raises:
        UnreadableSource: the hub cannot be reached, or has no such dataset, configuration or revision,
            or the dataset needs code to be loaded.
        BadTable: as `sources.formats.columnar`.
    """
    name = f"hub:{dataset}" + (f"@{revision}" if revision else "")
    telemetry_off()
    import datasets

    try:
        found = datasets.load_dataset(dataset, config, revision=revision)
    except Exception as error:
        # Network, HTTP, missing names and refused scripts come as a dozen unrelated types.
        raise UnreadableSource(_hub_problem(name, error)) from error
    yield from _tables(found, name, wanted)


def _hub_problem(name: str, error: Exception) -> Problem:
    reason = f"{type(error).__name__}: {_first_line(error)}"
    kinds = {cls.__name__ for cause in _causes(error) for cls in type(cause).__mro__}
    if kinds & OFFLINE:
        advice = (
            "Check the network and HF_ENDPOINT, or save the dataset with save_to_disk where there is a "
            "network and set `path` and `format: saved`."
        )
        return Problem(f"the hub cannot be reached ({reason})", advice=advice, file=name)
    advice = "Check `hub`, `hub_config` and `revision`; datasets that need code to load are refused."
    return Problem(f"the hub dataset cannot be loaded ({reason})", advice=advice, file=name)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _tables(found: Any, name: str, wanted: Wanted) -> Iterator[tuple[str | None, Table]]:
    """Each split of a `DatasetDict`, or the one of a `Dataset`. Class numbers become class names."""
    import datasets

    parts = found if isinstance(found, datasets.DatasetDict) else {None: found}
    if not parts:
        raise UnreadableSource(Problem("the dataset holds no split", file=name))
    for split, part in parts.items():
        place = f"{name}[{split}]" if split else name
        try:
            # Row selections (`select`, `filter`) live in an index beside the table: apply them first.
            part = part.flatten_indices() if part._indices is not None else part
            part = part.with_format("arrow")
            columns = [c for c in part.column_names if wanted.all_columns or c in wanted.columns]
            table = pa.table(part.select_columns(columns)[:])
            for column in columns:
                table = _with_class_names(table, column, part.features[column], datasets)
        except DataError:
            raise
        except Exception as error:
            # As above: a damaged Arrow file surfaces as many types.
            seen = f"the dataset cannot be read ({_first_line(error)})"
            raise UnreadableSource(Problem(seen, file=place)) from error
        yield split, from_arrow(table, place, wanted)


def _with_class_names(table: pa.Table, column: str, feature: Any, datasets: Any) -> pa.Table:
    """`column` with class names instead of class numbers (-1, the library's "unknown", becomes null)."""
    at = table.schema.get_field_index(column)
    if isinstance(feature, datasets.ClassLabel):
        values = [_class_name(feature, n) for n in table.column(column).to_pylist()]
        return table.set_column(at, column, pa.array(values, pa.string()))
    inner = getattr(feature, "feature", None)
    if isinstance(inner, datasets.ClassLabel):
        lists = [
            None if cell is None else [_class_name(inner, n) for n in cell]
            for cell in table.column(column).to_pylist()
        ]
        return table.set_column(at, column, pa.array(lists, pa.list_(pa.string())))
    return table


def _class_name(feature: Any, number: int | None) -> str | None:
    return None if number is None or number < 0 else str(feature.int2str(number))


def _first_line(error: BaseException) -> str:
    return (masked(str(error)).splitlines() or [type(error).__name__])[0][:160]
