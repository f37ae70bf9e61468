"""Where a project's state lives, and how a process is prepared to keep it there.

Knows folders and environment variables; called by commands, never at import.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from pathlib import Path

from model.bundle.masking import mask_process
from model.bundle.telemetry import SWITCHES
from model.errors import HeadgateError
from release.home import HOME_MODE, PROFILE, Home, environment
from release.home_needs import refuse_unusable

HOME_VARIABLE = "HEADGATE_HOME"
FOLDER = ".headgate"
_COMMAND = re.compile(
    r"`headgate (?:judge|promote|rollback|serve|predict|status|follow) (?P<name>\w[\w.-]*)[^`]*`"
)
"""A command in a sentence that has a project's name and no configuration."""


class NoHome(HeadgateError):
    """No state folder was found; the message says where it was looked for."""

    kind = "usage"


def config_home(config: Path, home: Path | None) -> Path:
    """The state folder for a configuration: `--home`, `HEADGATE_HOME`, or `.headgate` next to it.

    Next to where it was named, not to what a link there leads to: Kubernetes mounts configurations as links
    into a dated folder, which is gone with the next change.
    """
    if home is not None:
        return home.resolve()
    if os.environ.get(HOME_VARIABLE):
        return Path(os.environ[HOME_VARIABLE]).resolve()
    return config.parent.resolve() / FOLDER


def existing_home(home: Path | None, name: str | None) -> Path:
    """The state folder for a command that has no configuration at hand.

    `--home`, `HEADGATE_HOME`, else `.headgate` here or in `configs/`: the first that knows `name`.

    Raises:
        NoHome: none of them does.
    """
    if home is not None:
        places = [home]
    elif os.environ.get(HOME_VARIABLE):
        places = [Path(os.environ[HOME_VARIABLE])]
    else:
        places = [Path(FOLDER), Path("configs") / FOLDER]
    for place in places:
        if place.is_dir() and (name is None or _knows(place, name)):
            return place.resolve()
    looked = ", ".join(str(place) for place in places)
    if name is None:
        raise NoHome(
            f"no state folder found (looked at {looked}); give it with --home, or run a retraining first"
        )
    raise NoHome(
        f"nothing was ever deployed as {name!r} (looked at {looked}); check the name, give the state folder "
        f"with --home, or run `headgate retrain CONFIG` first"
    )


def home_option(home: Path, name: str | None) -> str:
    """` --home …`, ready to paste, where a command would not find the state folder of `name` by itself."""
    try:
        found = existing_home(None, name) == home.resolve()
    except NoHome:
        found = False
    return "" if found else f" --home {shlex.quote(str(home))}"


def with_home(sentence: str, home: Path) -> str:
    """The sentence, its commands ready to paste: with ` --home …` where they would not find the state folder
    by themselves."""

    def placed(found: re.Match[str]) -> str:
        where = "" if " --home " in found[0] else home_option(home, found["name"])
        return f"{found[0][:-1]}{where}`"

    return _COMMAND.sub(placed, sentence)


def _knows(place: Path, name: str) -> bool:
    """Whether something was deployed as `name` in a state folder, or registered there."""
    return (place / "releases" / name).is_dir() or (place / "projects" / f"{name}.json").is_file()


def prepare(home: Path, *, on_console: bool) -> None:
    """Make this process keep every library's state under `home`, with telemetry off and secrets masked.

    What the user has set stays, except telemetry and, without `PREFECT_API_URL`, which profile Prefect reads.
    A folder of the default name is closed to others, whoever made it.

    Raises:
        release.home_needs.HomeUnusable: the folder can't be what a state folder has to be.
    """
    state = Home(home)
    if home.name == FOLDER and home.is_dir() and home.stat().st_mode & 0o077:
        with contextlib.suppress(OSError):
            home.chmod(HOME_MODE)
    refuse_unusable(state)
    if not os.environ.get("PREFECT_API_URL"):
        os.environ.pop("PREFECT_API_URL", None)  # empty names no server
    for variable, value in environment(state).items():
        if variable in SWITCHES or variable in PROFILE or variable not in os.environ:
            os.environ[variable] = value
    mask_process()
    if os.environ.get("PREFECT_HOME") == str(home / "prefect"):
        state.prefect.mkdir(exist_ok=True)  # Prefect does not make the folders above its own
    if on_console:
        os.environ.setdefault("HEADGATE_CONSOLE", "1")
        # The command shows each error once itself; of an interrupted run, Prefect's services add theirs.
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        os.environ.setdefault("PREFECT_INTERNAL_LOGGING_LEVEL", "CRITICAL")
