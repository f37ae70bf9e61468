"""Run a flow in this process and sort what can go wrong into exit codes.

A foreseen error is shown as one clear message, any other with its traceback.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from expectations.ahead import load_ahead
from flows.cli import exit_codes
from flows.cli.interrupts import ended_in_time
from flows.cli.prefect_server import TemporaryServer, begin_server, lost_server, refuse_unusable_server
from flows.outcome import STAGES, Outcome
from flows.state_folder import with_home
from model.errors import foreseen, told
from serving.shown import several_lines

COMPILES_ANEW = (
    "  PYTHONDONTWRITEBYTECODE is set, and the libraries are not compiled: each process compiles them anew, "
    "which doubles the time of a small run. Unset it once, or run `python -m compileall` on them"
)


def run_flow(
    which: str,
    *,
    home: Path,
    console: Console,
    begun: tuple[TemporaryServer | None, list[str]] | None = None,
    **arguments: Any,
) -> Outcome | int:
    """The outcome of the flow `which`, or an exit code after its error was shown on `console`.

    `arguments` are those of that flow.

    Args:
        begun: what `begin_server` gave, where it was called already.

    Raises:
        flows.cli.prefect_server.PrefectProblem: there is no server for the run, or it was lost.
    """
    console.print("  starting Prefect …", style="dim")
    server, said = begun or begin_server(home)
    if compiles_anew():
        console.print(Text(COMPILES_ANEW), style="dim")
    with ended_in_time(), server_watched(), contextlib.ExitStack() as stack:
        if server is not None:
            stack.callback(server.end_unused)
        for line in said:
            console.print(Text(several_lines(f"  {line}"), style="dim"))
        if server is None:
            refuse_unusable_server()  # at once, before the flows' libraries are loaded
        from flows.ending import state_name
        from flows.prefect_runs import end_orphan_servers, mask_states, own_temporary_server
        from release.home import Home

        # Alone: the others load what it does not need.
        flow = getattr(importlib.import_module(f"flows.{which}"), which)
        if which == "validate":
            load_ahead()  # while Prefect's server starts
        mask_states()
        if server is not None:
            stack.enter_context(server.used())
            console.print(f"  ✓ Prefect answers              ({server.start_s:.1f} s)", style="dim")
        else:
            for line in end_orphan_servers(Home(home)):
                console.print(Text(several_lines(f"  {line}"), style="dim"))
            own_temporary_server()
        state = flow(home=home, return_state=True, **arguments)
        if state.data is not None and state.name in map(state_name, STAGES):
            outcome = state.result(raise_on_failure=False)
            if isinstance(outcome, Outcome):
                return outcome
        return _show_error(state.result(raise_on_failure=False), console, home)


def compiles_anew() -> bool:
    """Whether this process and those that it starts compile every module that they load."""
    found = importlib.util.find_spec("prefect") if sys.dont_write_bytecode else None
    if found is None or found.origin is None:
        return False
    return not Path(importlib.util.cache_from_source(found.origin)).exists()


@contextlib.contextmanager
def server_watched() -> Iterator[None]:
    """What Prefect's client raises where its server is gone becomes a foreseen error."""
    import httpx
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        yield
    except (httpx.TransportError, PrefectHTTPStatusError) as error:
        raise lost_server(error) from error


def _show_error(error: object, console: Console, home: Path) -> int:
    """Show a foreseen error in its own words and give the exit code; what nobody foresaw is raised."""
    kind = foreseen(error)
    if kind is not None:
        text = several_lines(f"headgate: {with_home(told(error), home)}")
        console.print(Text(text, style="red"), soft_wrap=True)
        return exit_codes.of_error(kind)
    if isinstance(error, BaseException):
        raise error
    text = several_lines(f"headgate: the flow ended without an outcome: {error}")
    console.print(Text(text, style="red"))
    return exit_codes.FAILED
