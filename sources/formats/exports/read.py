"""Read one file of a labelling tool as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import assert_never

from sources.errors import BadTable, Problem
from sources.formats.exports.answers import Export, export_table
from sources.formats.exports.argilla import argilla_records, read_argilla
from sources.formats.exports.doccano import read_doccano
from sources.formats.exports.label_studio import read_label_studio
from sources.formats.exports.lines import read_fasttext, read_label_text
from sources.formats.exports.nested_json import read_nested
from sources.formats.exports.prodigy import read_prodigy
from sources.formats.exports.spacy import read_spacy
from sources.formats.huggingface import saved_rows
from sources.formats.table import Table, Wanted
from sources.spec import ExportFormat


def read_export(
    file: Path, name: str, format: ExportFormat, wanted: Wanted, records: str | Mapping[str, str] | None
) -> Iterator[tuple[str | None, Table]]:
    """(The split that the file itself names, or None; its table) for each part of an exported file.

    Args:
        file: or, for Argilla, a folder from `save_to_disk`.
        records: the way to the records of nested JSON (`sources.formats.exports.nested_json`).

    Raises:
        DataError: see the readers.
    """
    for split, export in _exports(file, name, format, wanted, records):
        yield split, export_table(export, wanted, name)


def _exports(
    file: Path, name: str, format: ExportFormat, wanted: Wanted, records: str | Mapping[str, str] | None
) -> Iterator[tuple[str | None, Export]]:
    match format:
        case "label_studio":
            yield None, read_label_studio(file, name, wanted)
        case "doccano":
            yield None, read_doccano(file, name, wanted)
        case "prodigy":
            yield None, read_prodigy(file, name, wanted)
        case "argilla" if file.is_dir():
            for split, rows in saved_rows(file, name):
                if not rows:
                    raise BadTable(
                        Problem("the split has no records", "at least one", file=f"{name}[{split}]")
                    )
                yield split, argilla_records(list(enumerate(rows, start=1)), name, wanted)
        case "argilla":
            yield None, read_argilla(file, name, wanted)
        case "spacy":
            yield None, read_spacy(file, name, wanted)
        case "fasttext":
            yield None, read_fasttext(file, name, wanted)
        case "label_text":
            yield None, read_label_text(file, name, wanted)
        case "json":
            yield from read_nested(file, name, wanted, records)
        case _:
            assert_never(format)
