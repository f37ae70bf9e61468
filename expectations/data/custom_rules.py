"""The user's own expectations in Python: files that the configuration names are run, and asked.

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
that library then knows by name. This runs the user's code with the user's rights; nothing is run that the
configuration does not name. Does not know severities, nor what an outcome leads to.
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

BEGINNING = "expect_"
"""How the name of a function begins that can be asked for."""


class OwnRulesError(HeadgateError):
    """A file of `expectations.modules` cannot be used; the message names it, the line and what to do."""

    kind = "usage"


@dataclass(frozen=True, slots=True)
class OwnRules:
    """What the user's files define."""

    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    """Name → function."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Name → the file that defines it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one function said."""

    cells: pd.Series[Any] | None = None
    """(rows,) nullable: True where it is met, missing where it does not apply."""
    whole: bool | None = None
    """One answer for the whole table."""
    problem: str | None = None
    """Why there is no answer; never holds a value from the data."""


def load_own_rules(modules: Sequence[str], base: Path) -> OwnRules:
    """Run the files and collect their functions; without any, nothing is imported.

    Args:
        base: what relative paths start from.

    Raises:
        OwnRulesError: a file is missing, is not Python, fails while it is run, or defines a name that is
            taken.
    """
    if not modules:
        return OwnRules()
    from great_expectations.expectations import core, registry

    assert core  # imported so that the library's own names are registered before
    taken = {name: registry.get_expectation_impl(name) for name in _registered(registry)}
    library = {
        name: made for name, made in taken.items() if made.__module__.startswith("great_expectations.")
    }
    functions: dict[str, Callable[..., Any]] = {}
    files: dict[str, Path] = {}
    for at, name in enumerate(modules):
        field_name, path = f"expectations.modules[{at}]", base / name
        module = _run(field_name, path)
        for known, made in library.items():
            if registry.get_expectation_impl(known) is not made:
                registry.register_expectation(made)
                raise OwnRulesError(
                    f"{field_name}: {path}: the class {_class_name(known)} takes the name of an expectation "
                    "of Great Expectations; give it another name"
                )
        for own, function in vars(module).items():
            if not own.startswith(BEGINNING) or getattr(function, "__module__", None) != module.__name__:
                continue
            if own in library or own in functions:
                owner = files.get(own, "Great Expectations")
                raise OwnRulesError(
                    f"{field_name}: {path}: the name {own!r} is taken ({owner}); give the function another"
                )
            functions[own], files[own] = function, path
    return OwnRules(functions, files)


def ask(own: OwnRules, name: str, rows: pd.DataFrame, arguments: Mapping[str, Any]) -> Answer:
    """Call a function; whatever it raises or returns becomes an answer or a problem."""
    path = own.files[name]
    try:
        said = own.functions[name](rows.copy(deep=False), **arguments)
    except Exception as error:
        # Only the class: the message may quote a value from the data.
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
        ]
        place = f"line {lines[-1]}" if lines else "when it was called"
        hint = f"; it was given rows and {', '.join(arguments) or 'no kwargs'}" if not lines else ""
        return Answer(problem=f"{path}, {place}: {type(error).__name__} in {name}{hint}")
    if isinstance(said, bool | np.bool_):
        return Answer(whole=bool(said))
    wanted = f"expected True or False for each of the {len(rows):,} rows, or one for all"
    if not isinstance(said, pd.Series | np.ndarray | list | tuple):
        return Answer(problem=f"{path}: {name} returned {type(said).__name__}, {wanted}")
    if len(said) != len(rows):
        return Answer(problem=f"{path}: {name} returned {len(said):,} values, {wanted}")
    try:
        cells = pd.Series(np.asarray(said, dtype=object) if isinstance(said, list | tuple) else said)
        return Answer(cells=cells.reset_index(drop=True).astype("boolean"))
    except (TypeError, ValueError):
        return Answer(problem=f"{path}: {name} returned values that are not True or False, {wanted}")


def _run(field_name: str, path: Path) -> ModuleType:
    if path.suffix != ".py" or not path.is_file():
        raise OwnRulesError(
            f"{field_name}: {path}: no such Python file; paths start from the configuration's folder"
        )
    name = f"headgate_own_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # the name ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise OwnRulesError(f"{field_name}: {path}, line {error.lineno}: not Python ({error.msg})") from error
    except (Exception, SystemExit) as error:
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
        ]
        place = f", line {lines[-1]}" if lines else ""
        raise OwnRulesError(
            f"{field_name}: {path}{place}: {type(error).__name__} while it was loaded ({error})"
        ) from error
    return module


def _registered(registry: Any) -> list[str]:
    return [str(name) for name in registry.list_registered_expectation_implementations()]


def _class_name(expectation: str) -> str:
    return "".join(part.capitalize() for part in expectation.split("_"))
