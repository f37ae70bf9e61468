"""Passwords and tokens are masked by place, form and value; in errors, logs and tracebacks too."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import StatementError

from model.bundle.masking import error_without_secret, holds_secret, is_secret_name, masked
from model.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]

SHOWN = [
    ("http://user:pass@host:5000/api", "http://***@host:5000/api"),
    ("see 'postgresql+psycopg2://me:p%40ss@db/mlflow'", "see 'postgresql+psycopg2://***@db/mlflow'"),
    ("https://token@host", "https://***@host"),
    ("http://user:p@ss@host", "http://***@host"),
    ("http://user:pa/ss?w#o@host/x", "http://***@host/x"),
    ("http://:pass@host", "http://***@host"),
    ("GET http://host/p?access_token=abc&x=1", "GET http://host/p?access_token=***&x=1"),
    ("http://host/?X-Amz-Signature=abc#f", "http://host/?X-Amz-Signature=***#f"),
    ("host=db password=abc user=me", "host=db password=*** user=me"),
    ("{'Authorization': 'Bearer abc1234567'}", "{'Authorization': '***'}"),
    ("Authorization: Basic dXNlcjpwYXNz=", "Authorization: Basic ***"),
    ('{"api_key": "abc", "n": 1}', '{"api_key": "***", "n": 1}'),
    ('"{\\"token\\": \\"abc\\"}"', '"{\\"token\\": \\"***\\"}"'),
    ("hf_abcdefghijklmnopqrstuv failed", "*** failed"),
    ("two http://a:b@c and ftp://d:e@f", "two http://***@c and ftp://***@f"),
]


@pytest.mark.parametrize(("text", "shown"), SHOWN)
def test_a_secret_is_masked_where_it_stands(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked(shown) == shown, "masking twice changes nothing"


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8808/predict",
        "http://[::1]:8808/x@y",
        "http://host:5000/models/name@champion",
        "sqlite:////home/me/a@b/store.sqlite",
        "models:/quickstart@champion",
        "tokens=512, of 8 tokens",
        "token file /etc/token: can't be read as ASCII text",
        "deploy.token: unknown field; did you mean token_file?",
        "a basic understanding, the bearer of news",
        "mail me@example.org at 10:30",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text) == text
    assert not holds_secret(text)


PLAIN = st.text(st.characters(codec="ascii", exclude_characters="@\"'<>", categories=("L", "N", "P", "S")))


@given(PLAIN.filter(lambda one: len(one) >= 8 and not one[0].isdigit()))
def test_whatever_a_password_is_made_of_it_does_not_stay(password: str) -> None:
    """But for one that begins as a port does, `123/…`: that is an address with an @ in its path."""
    shown = masked(f"could not reach postgresql://headgate:{password}@db.example:5432/mlflow in time")
    assert password not in shown and shown.endswith("@db.example:5432/mlflow in time")


@pytest.mark.parametrize(
    ("name", "value", "quoted"),
    [
        ("MLFLOW_TRACKING_PASSWORD", "correct horse", "wrong: correct horse."),
        ("PREFECT_API_AUTH_STRING", "admin:battery-staple", "battery-staple was refused"),
        ("MLFLOW_TRACKING_URI", "http://me:pa%2Fssw0rd@host", "login with pa/ssw0rd failed"),
    ],
    ids=["password", "login", "address"],  # pytest puts the values themselves into a variable
)
def test_what_the_process_was_given_is_masked_by_its_value(
    name: str, value: str, quoted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert masked(quoted) == quoted
    monkeypatch.setenv(name, value)
    assert "***" in masked(quoted) and value.rpartition(":")[2] not in masked(quoted)


def test_the_file_of_a_secret_is_none() -> None:
    assert is_secret_name("HF_TOKEN") and is_secret_name("api-key") and is_secret_name("PGPASSWORD")
    for name in (
        "HF_TOKEN_PATH",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "TOKENIZERS_PARALLELISM",
        "PWD",
        "PGPASSFILE",
    ):
        assert not is_secret_name(name)


@pytest.mark.parametrize(
    "address",
    [
        "http://u:p@h",
        "https://t0ken@h",
        "mysql://u:p@h/db",
        "https://h/?token=a",
        "hf_abcdefghijklmnopqrstuv",
    ],
)
def test_an_address_that_holds_a_secret_is_known(address: str) -> None:
    assert holds_secret(address)


def test_a_name_alone_is_no_secret_but_for_http() -> None:
    assert not holds_secret("postgresql://headgate@db/mlflow")
    assert not holds_secret("ssh://git@host/repository")


def test_an_error_masks_itself_however_it_is_read() -> None:
    error = BadInput("no http://u:pass@h")
    assert str(error) == "no http://***@h" and "pass" not in repr(error)


class _Request(Exception):
    """An error whose text is none of its arguments, as those of some libraries."""

    def __str__(self) -> str:
        return "no answer from http://u:own-pass@h"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("http://u:a-pass@h", 7), "ValueError: ('http://***@h', 7)"),
        (RuntimeError(ValueError("token=inner-pass")), "RuntimeError: token=***"),
        (_Request(), "_Request: no answer from http://***@h"),
        (StatementError("failed", "a", {"uri": "http://u:pass@h"}, ValueError()), "StatementError: "),
    ],
)
def test_in_place_of_a_librarys_error_stands_one_that_says_it_without_the_secret(
    error: Exception, said: str
) -> None:
    safe = error_without_secret(error)
    assert str(safe).startswith(said) and type(safe) is RuntimeError
    assert "pass" not in str(safe) + repr(safe)


def test_an_error_without_a_secret_stays_and_one_of_the_system_stays_one() -> None:
    fine = KeyError("a")
    assert error_without_secret(fine) is fine
    safe = error_without_secret(ConnectionError("http://u:pass@h"))
    assert type(safe) is OSError and str(safe) == "ConnectionError: http://***@h"


LIBRARY = """
import logging, sys, threading
from model.bundle.masking import mask_process
mask_process(); mask_process()
logging.basicConfig(format="%(message)s")
log = logging.getLogger("some.library")
try:
    raise ConnectionError("http://u:inner-pass@h")
except ConnectionError as error:
    log.exception("no answer from %s: %r", "http://u:outer-pass@h", error)
log.warning("%s of %d", "fine", 2)
def work():
    raise RuntimeError("http://u:thread-pass@h")
thread = threading.Thread(target=work); thread.start(); thread.join()
raise RuntimeError("http://u:last-pass@h") from ValueError("token=cause-pass")
"""


def test_logs_and_tracebacks_of_libraries_are_masked() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIBRARY], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1 and "pass" not in done.stderr.replace("mask_process", "")
    assert done.stderr.count("***@h") == 5 and "token=***" in done.stderr
    assert "fine of 2" in done.stderr and "Traceback" in done.stderr


def test_a_record_without_a_secret_keeps_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    from model.bundle import masking

    make = masking._MaskedRecords(logging.LogRecord)
    plain = make("a", 20, "f.py", 1, "%s of %d", ("one", 2), None)
    assert plain.args == ("one", 2) and plain.msg == "%s of %d"
    odd = make("a", 20, "f.py", 1, "%d", ("no number",), None)
    assert odd.args == ("no number",), "logging says itself what is wrong"
