"""The bearer token that an endpoint asks for, read from its file: by the endpoint, and by whoever asks it.

Read anew whenever it is needed, because an operator exchanges it. Its content is in no message.
"""

from __future__ import annotations

import stat
from pathlib import Path

from model.files import RecordDamaged, plain_bytes
from serving.errors import WrongUsage

SHORTEST = 16
"""Fewest characters of a token that an endpoint accepts."""


def read_token(file: str | Path | None) -> str | None:
    """The token in a file, without white space around it; None where no file is given.

    Raises:
        WrongUsage: it can't be read, is empty, or holds something else than printable ASCII.
    """
    if file is None:
        return None
    path = Path(file).expanduser()
    try:
        token = (plain_bytes(path) or b"").decode("ascii").strip()
    except (RecordDamaged, UnicodeDecodeError) as error:
        raise WrongUsage(
            f"token file {path}: can't be read as ASCII text; write it there again, or correct "
            "`deploy.token_file`"
        ) from error
    if not token or not token.isprintable():
        raise WrongUsage(
            f"token file {path}: expected one line of printable ASCII characters; write it there, or correct "
            "`deploy.token_file`"
        )
    return token


def guarded_token(file: str | Path | None) -> str | None:
    """As `read_token`, for an endpoint, which takes only a token that is long and a file that is private.

    Raises:
        WrongUsage: as `read_token`; others may read the file, or the token is short.
    """
    token = read_token(file)
    if file is None or token is None:
        return None
    path = Path(file).expanduser()
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise WrongUsage(f"token file {path}: can't be read ({error.strerror})") from error
    if mode & 0o077:
        raise WrongUsage(f"token file {path}: its mode is {mode:04o}, so others may read it; expected 0600")
    if len(token) < SHORTEST:
        raise WrongUsage(
            f"token file {path}: the token has {len(token)} characters, expected at least {SHORTEST}"
        )
    return token
