"""Passwords and tokens, masked wherever something is shown, logged or kept (stdlib only).

They are known by their place (`scheme://user:password@host`, `?token=…`, `Authorization: Bearer …`), by their
form (tokens of hubs and clouds) and by their value: what this process was given in variables such as
`MLFLOW_TRACKING_PASSWORD`. Foreseen errors mask themselves (`model.bundle.errors`), `mask_process` does it
for logs and tracebacks, of libraries too; a library's error that somebody keeps goes through
`error_without_secret`, what is written elsewhere through `masked`.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable
from functools import lru_cache
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote

MASK = "***"
SHORTEST = 8
"""In characters. A shorter value of a variable is not masked by its value: it may be any word."""

_WORDS = (
    r"(?:token|password|passwd|pwd|secret|api[_-]?key|access[_-]?key|signature|sig|credentials?|auth|"
    r"auth_string|authorization)"
)
_USER = re.compile(
    # Up to the last @ of the authority; or a password that holds what should have been escaped, but no port.
    r"""(?P<scheme>[a-zA-Z][\w+.-]{0,20})://(?P<user>[^\s/?\#"'<>]*"""
    r"""|[^\s/?\#@"'<>\[:]*:(?!\d+(?:[/?\#]|$))[^\s@"'<>]*)@""",
    re.VERBOSE,
)
_ASSIGNED = re.compile(rf"""(?<![A-Za-z0-9])({_WORDS}=)(?!\*\*\*)[^\s&;,#"'<>)]+""", re.IGNORECASE)
_QUOTED = re.compile(rf"""((?<![A-Za-z0-9]){_WORDS}\\?["']\s*:\s*\\?["'])[^"'\\]+""", re.IGNORECASE)
_HEADER = re.compile(r"\b((?:Bearer|Basic|bearer|basic)\s+)(?=\S*[\d=])[\w.~+/=-]{8,}")
_FORM = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|pn[ub]_[A-Za-z0-9]{16,}|dapi[0-9a-f]{32}|gh[pousr]_[A-Za-z0-9]{30,}"
    r"|github_pat_\w{30,}|glpat-[\w-]{20,}|AKIA[0-9A-Z]{16}|sk-[\w-]{20,}|xox[abp]-[\w-]{20,})"
)
_SECRET_NAME = re.compile(
    r"(?:PASSWORD|PASSWD|_PWD|(?:^|_)TOKEN|(?:^|_)SECRET|API_?KEY|ACCESS_KEY|PRIVATE_KEY|AUTH_STRING)$"
)


def masked(text: str) -> str:
    """`text` with `***` in the place of every password and token in it."""
    if "://" in text:  # as below: what a pattern cannot do without is looked for first, which is faster
        text = _USER.sub(rf"\g<scheme>://{MASK}@", text)
    if "=" in text:
        text = _ASSIGNED.sub(rf"\g<1>{MASK}", text)
    if ":" in text:
        text = _QUOTED.sub(rf"\g<1>{MASK}", text)
    text = _HEADER.sub(rf"\g<1>{MASK}", text)
    text = _FORM.sub(MASK, text)
    for value in _given():
        text = text.replace(value, MASK)
    return text


def error_without_secret(error: BaseException) -> BaseException:
    """The error itself; where it shows a password or token, one that says the same without it.

    Some libraries make their text anew from other errors, statements or requests that they hold, so that it
    can't be masked in place. An error of the system stays one.
    """
    if all(masked(text) == text for text in (str(error), repr(error))):
        return error
    kind = OSError if isinstance(error, OSError) else RuntimeError
    return kind(f"{type(error).__name__}: {masked(str(error))}")


def holds_secret(text: str) -> bool:
    """Whether an address or another field that is going to be kept holds a password or token.

    By place and form alone: a field may well be equal to some variable's value. A user's name without a
    password is none, but for HTTP, where it is a token.
    """
    for found in _USER.finditer(text):
        if found["user"].partition(":")[2] or (found["user"] and found["scheme"].startswith("http")):
            return True
    return bool(_FORM.search(text) or ("://" in text and _ASSIGNED.search(text)))


def is_secret_name(name: str) -> bool:
    """Whether a variable or field of this name holds a password or token, rather than the file of one."""
    return _named_secret(name.upper().replace("-", "_"))


@lru_cache(maxsize=1024)
def _named_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _given() -> list[str]:
    """Secret values in this process's environment, the longest first."""
    found: set[str] = set()
    for name, value in os.environ.items():
        if _named_secret(name):
            found |= {value, value.partition(":")[2]}
        elif "://" in value:
            for address in _USER.finditer(value):
                password = address["user"].partition(":")[2]
                found |= {password, unquote(password), quote(unquote(password), safe="")}
    return sorted((value for value in found if len(value) >= SHORTEST), key=len, reverse=True)


def mask_process() -> None:
    """Mask what this process logs, through any library, and the tracebacks that end it or one of its
    threads. Calling it again changes nothing."""
    records = logging.getLogRecordFactory()
    if isinstance(records, _MaskedRecords):
        return
    logging.setLogRecordFactory(_MaskedRecords(records))
    shown, shown_of_thread = sys.excepthook, threading.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        if masked(text) == text:
            shown(kind, error, trace)
        else:
            sys.stderr.write(masked(text))

    def show_of_thread(found: threading.ExceptHookArgs) -> None:
        text = "".join(traceback.format_exception(found.exc_type, found.exc_value, found.exc_traceback))
        if masked(text) == text:
            shown_of_thread(found)
        else:
            sys.stderr.write(masked(text))

    sys.excepthook, threading.excepthook = show, show_of_thread


class _MaskedRecords:
    """Makes log records as another factory does, their message and traceback masked.

    At the record, because every handler of every library gets the same one. A record without a secret stays
    as it is: some formatters read its arguments.
    """

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        try:
            text = record.getMessage()
        except Exception:  # its arguments do not fit its format: logging says so itself
            return record
        if (safe := masked(text)) != text:
            record.msg, record.args = safe, ()
        if record.exc_info and record.exc_info[0] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            if (safe := masked(trace)) != trace:
                record.exc_text = safe  # formatters take it instead of formatting the traceback
        return record
