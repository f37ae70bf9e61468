"""Watch the version that was just deployed; go back where its answers to real requests break a bound."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from release.bake import watch
from release.bake.watch import BakeEvents, BakeOutcome
from release.home import Home
from report.progress import Step, print_line


@task(name="bake", cache_policy=NO_CACHE, persist_result=False)
def bake(home: Home, name: str, *, begun_only: bool = False) -> BakeOutcome | None:
    """How the watch over project `name` ended that was planned or cut short; None where there is none.

    Args:
        begun_only: leave a watch that has not begun to whoever deploys.

    Raises:
        release.pointed.ChampionUnverified: it can't be verified which version serves.
        release.registry.client.RegistryProblem: the registry can't be reached, and nothing went back.
    """
    with Step("watch what serves", unit="s") as step:
        events = BakeEvents(
            on_change=print_line,
            on_look=lambda spent_s, of_s, requests: step.to(
                round(min(spent_s, of_s)), round(of_s), f"{requests:.0f} requests"
            ),
        )
        outcome = watch.bake(home, name, begun_only=begun_only, events=events)
        step.outcome = "nothing to watch" if outcome is None else f"{outcome.end}: {outcome.why}"
    return outcome
