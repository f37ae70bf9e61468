"""Read Hugging Face datasets: by name and revision from the hub, or a folder from `save_to_disk`.

The library is imported only when such a source is read. No code of a dataset is ever run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from model.bundle.masking import masked
from model.bundle.telemetry import telemetry_off
from sources.errors import DataError, Problem, UnreadableSource
from sources.formats.columnar import from_arrow
from sources.formats.table import CHUNK_ROWS, Table, Wanted

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
    yield from _tables(_opened(folder, name), name, wanted)


def saved_rows(folder: Path, name: str) -> Iterator[tuple[str | None, list[dict[str, Any]]]]:
    """(Split's name in the dataset, or None; its rows as objects) for each split of a saved dataset.

    Raises:
        UnreadableSource: as `read_saved`.
    """
    for split, part in _parts(_opened(folder, name), name).items():
        try:
            yield split, part.to_list()
        except Exception as error:
            # As below: a damaged Arrow file surfaces as many types.
            seen = f"the dataset cannot be read ({_first_line(error)})"
            raise UnreadableSource(Problem(seen, file=name)) from error


def _opened(folder: Path, name: str) -> Any:
    """The saved dataset. Raises `UnreadableSource` if it is none."""
    if not is_saved(folder):
        seen = "not a folder written by save_to_disk (no dataset_dict.json or state.json)"
        raise UnreadableSource(Problem(seen, advice="Set `format` to that of the files in it.", file=name))
    import datasets  # type: ignore[import-untyped]

    try:
        return datasets.load_from_disk(str(folder))
    except Exception as error:
        # The library raises whatever its parts raise (JSON, Arrow, OS errors).
        seen = f"the saved dataset cannot be opened ({_first_line(error)})"
        raise UnreadableSource(Problem(seen, file=name)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class HubDataset:
    """Which dataset of the hub is meant, and how it is fetched."""

    name: str
    config: str | None = None
    """Its configuration (subset)."""
    revision: str | None = None
    """Branch, tag or commit."""
    streaming: bool = False
    """Row by row, instead of a download of all files first."""
    data_files: str | list[str] | dict[str, str | list[str]] | None = None
    """Paths or patterns in its repository, or split → such; None: all that it says are its own."""
    data_dir: str | None = None
    """Folder of its repository."""

    def __str__(self) -> str:
        """As messages call it."""
        return f"hub:{self.name}" + (f"@{self.revision}" if self.revision else "")


def read_hub(dataset: HubDataset, wanted: Wanted) -> Iterator[tuple[str | None, Table]]:
    """(Split's name, its table) for each split of a hub dataset.

    Raises:
        UnreadableSource: the hub cannot be reached, or has no such dataset, configuration or revision,
            or the dataset needs code to be loaded.
        BadTable: as `sources.formats.columnar`.
    """
    name = str(dataset)
    telemetry_off()
    import datasets

    try:
        found = datasets.load_dataset(
            dataset.name,
            dataset.config,
            revision=dataset.revision,
            streaming=dataset.streaming,
            data_files=dataset.data_files,
            data_dir=dataset.data_dir,
        )
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
    advice = (
        "Check `hub`, `hub_config`, `revision`, `data_files` and `data_dir`; datasets that need code to load "
        "are refused."
    )
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

    for split, part in _parts(found, name).items():
        place = f"{name}[{split}]" if split else name
        try:
            if isinstance(part, datasets.IterableDataset):
                table, features = _streamed(part, wanted)
            else:
                # Row selections (`select`, `filter`) live in an index beside the table: apply them first.
                part = part.flatten_indices() if part._indices is not None else part
                part = part.with_format("arrow")
                columns = [
                    c for c in part.column_names if wanted.all_columns or c in (*wanted.columns, *wanted.also)
                ]
                table, features = pa.table(part.select_columns(columns)[:]), part.features
            for column in table.column_names:
                table = _with_class_names(table, column, features[column], datasets)
        except DataError:
            raise
        except Exception as error:
            # As above: a damaged Arrow file surfaces as many types.
            seen = f"the dataset cannot be read ({_first_line(error)})"
            raise UnreadableSource(Problem(seen, file=place)) from error
        yield split, from_arrow(table, place, wanted)


def _parts(found: Any, name: str) -> dict[str | None, Any]:
    """Split → its dataset; a dataset without splits has the split None."""
    import datasets

    several = isinstance(found, datasets.DatasetDict | datasets.IterableDatasetDict)
    parts = dict(found) if several else {None: found}
    if not parts:
        raise UnreadableSource(Problem("the dataset holds no split", file=name))
    return parts


def _streamed(part: Any, wanted: Wanted) -> tuple[pa.Table, Any]:
    """The rows of a dataset that is read row by row, at most `wanted.limit`, and the types of its columns."""
    if part.features is None:  # known only once a row was seen
        part = part._resolve_features()
    columns = [c for c in part.features if wanted.all_columns or c in (*wanted.columns, *wanted.also)]
    rows = part if wanted.limit is None else part.take(wanted.limit)
    batches = list(rows.select_columns(columns).with_format("arrow").iter(batch_size=CHUNK_ROWS))
    if not batches:
        return part.features.arrow_schema.empty_table().select(columns), part.features
    return pa.concat_tables(batches, promote_options="permissive"), part.features


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
