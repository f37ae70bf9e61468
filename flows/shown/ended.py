"""How a run ended, shown where its users look: artifacts of Prefect's and lines of the run's log.

A run never fails by it: what could not be shown is a line of its log.
"""

from __future__ import annotations

from collections.abc import Iterable

from flows.cli.console import headline
from flows.ending import state_name
from flows.outcome import Outcome
from flows.parts.graph import step
from report.ending import Shown
from report.progress import log_line, print_line
from report.verdict_table import COLUMNS
from tasks.report.publish_artifacts import publish_artifacts


def published(outcome: Outcome, after: Iterable[object] = ()) -> None:
    """Show how a run ended beside the run.

    Args:
        after: results that it comes after.
    """
    shown = Shown(
        ending=state_name(outcome.stage),
        said=outcome.sentence or headline(outcome.stage)[1],
        reasons=outcome.reasons,
        remarks=outcome.remarks,
        paste=outcome.paste,
    )
    log(outcome, shown)
    try:
        step(publish_artifacts, after)(
            outcome.name, shown, outcome.rows, outcome.pages, report_address(outcome)
        )
    except Exception as error:  # Prefect's client raises many kinds, and none of them is worth a run
        print_line(f"Prefect's artifacts could not be written ({type(error).__name__})")


def report_address(outcome: Outcome) -> str:
    """Address of a run's pages where they are served: by a registry that has a server."""
    store = str(outcome.registered.get("tracking_uri", ""))
    served = store.startswith(("http://", "https://"))
    return f"{store.rstrip('/')}/{outcome.registered.get('page', '')}" if served else ""


def log(outcome: Outcome, shown: Shown) -> None:
    """The lines that the terminal shows at the end, in the run's log."""
    for row in outcome.rows:
        log_line("  ".join(str(row.get(column, "")) for column in COLUMNS))
    log_line(f"{shown.ending}  {outcome.name}: {shown.said}")
    for reason in (*outcome.reasons, *outcome.remarks):
        log_line(f"  • {reason}")
    for title, path in outcome.pages.items():
        log_line(f"  {title}: {path}")
