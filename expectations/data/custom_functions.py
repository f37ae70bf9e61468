"""Custom expectations in Python: files that the configuration names are run, and their functions called.

    # my_rules.py                                    # project.yaml
    def expect_no_signature(rows, words):            expectations:
        return ~rows["text"].str.contains(words)       modules: [my_rules.py]
                                                       extra:
                                                         - type: expect_no_signature
                                                           kwargs: {words: "Sent from"}
                                                           severity: warning
                                                           tolerance: 0.01

A function gets the table as a pandas frame and returns one True (met), False or missing (does not apply) a
row, or one for the whole table. A file may also define subclasses of Great Expectations expectations, which
that library then knows by name. The user's code runs with the user's rights, and only where the configuration
names it. Does not know severities, nor what an outcome leads to.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from model.errors import HeadgateError

PREFIX = "expect_"
"""How the name of a function begins that can be used as a `type`."""


class CustomRulesError(HeadgateError):
    """A file of `expectations.modules` cannot be used; the message names it, the line and what to do."""

    kind = "usage"


@dataclass(frozen=True, slots=True)
class CustomRules:
    """What the user's files define."""

    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    """Name → function."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Name → the file that defines it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What one function returned."""

    cells: pd.Series[Any] | None = None
    """(rows,) nullable: True where it is met, missing where it does not apply."""
    whole: bool | None = None
    """One value for the whole table."""
    problem: str | None = None
    """Why neither could be had; never holds a value from the data."""


def load_custom_rules(modules: Sequence[str], base: Path) -> CustomRules:
    """Run the files and collect their functions; without any, nothing is imported.

    Args:
        base: what relative paths start from.

    Raises:
        CustomRulesError: a file is missing, is not Python, fails while it is run, or defines a name that is
            taken.
    """
    if not modules:
        return CustomRules()
    from expectations.data.gx.evaluate import restore_library, taken_names

    library = taken_names()
    functions: dict[str, Callable[..., Any]] = {}
    files: dict[str, Path] = {}
    for at, name in enumerate(modules):
        place, path = f"expectations.modules[{at}]", base / name
        module = _run(place, path)
        if (overwritten := restore_library(library)) is not None:
            raise CustomRulesError(
                f"{place}: {path}: the class {overwritten} takes the name of an expectation of Great "
                "Expectations; give it another name"
            )
        for defined, function in vars(module).items():
            if not defined.startswith(PREFIX) or getattr(function, "__module__", None) != module.__name__:
                continue
            if defined in library or defined in functions:
                owner = files.get(defined, "Great Expectations")
                raise CustomRulesError(
                    f"{place}: {path}: the name {defined!r} is taken ({owner}); give the function another"
                )
            functions[defined], files[defined] = function, path
    return CustomRules(functions, files)


def call(rules: CustomRules, name: str, rows: pd.DataFrame, arguments: Mapping[str, Any]) -> Returned:
    """Call a function; whatever it raises or returns becomes cells, one value or a problem."""
    path = rules.files[name]
    try:
        value = rules.functions[name](rows.copy(deep=False), **arguments)
    except Exception as error:
        # Only the class: the message may quote a value from the data.
        line = _line(error, path)
        place = f"line {line}" if line else "when it was called"
        hint = "" if line else f"; it was given rows and {', '.join(arguments) or 'no kwargs'}"
        return Returned(problem=f"{path}, {place}: {type(error).__name__} in {name}{hint}")
    if isinstance(value, bool | np.bool_):
        return Returned(whole=bool(value))
    wanted = f"expected True or False for each of the {len(rows):,} rows, or one for all"
    if not isinstance(value, pd.Series | np.ndarray | list | tuple):
        return Returned(problem=f"{path}: {name} returned {type(value).__name__}, {wanted}")
    if len(value) != len(rows):
        return Returned(problem=f"{path}: {name} returned {len(value):,} values, {wanted}")
    try:
        cells = pd.Series(np.asarray(value, dtype=object) if isinstance(value, list | tuple) else value)
        return Returned(cells=cells.reset_index(drop=True).astype("boolean"))
    except (TypeError, ValueError):
        return Returned(problem=f"{path}: {name} returned values that are not True or False, {wanted}")


def _line(error: BaseException, path: Path) -> int | None:
    """The last line of the user's file that an exception passed through."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    return lines[-1] if lines else None


def _run(place: str, path: Path) -> ModuleType:
    if path.suffix != ".py" or not path.is_file():
        raise CustomRulesError(
            f"{place}: {path}: no such Python file; paths start from the configuration's folder"
        )
    name = f"headgate_custom_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # the name ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise CustomRulesError(f"{place}: {path}, line {error.lineno}: not Python ({error.msg})") from error
    except (Exception, SystemExit) as error:
        line = _line(error, path)
        raise CustomRulesError(
            f"{place}: {path}{f', line {line}' if line else ''}: {type(error).__name__} while it was loaded "
            f"({error}); correct the file"
        ) from error
    return module
