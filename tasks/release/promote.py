"""Make a version that passed its gates the champion."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from release.home import Home
from release.moves.contract import ContractBroken
from release.moves.promote import Overtaken, Promotion, promote_version
from release.registry.candidate import Candidate
from release.registry.register import RegisteredVersion, approve
from release.spec import RegistrySpec
from report.progress import Step


@task(name="promote", task_run_name="promote", cache_policy=NO_CACHE, persist_result=False)
def promote(
    home: Home, name: str, spec: RegistrySpec, registered: RegisteredVersion, candidate: Candidate
) -> Promotion | str:
    """Promote the registered version of a candidate of project `name`; why not, where what serves changed
    since it was judged.

    Raises:
        expectations.verdict.NotApproved: its verdict is not a pass.
        serving.store.release_folder.PromotionRefused: the registry has another record of it.
        serving.store.manifest.ReleaseRefused: the bundle is not the one that was judged.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    with Step("promote") as step:
        try:
            done = promote_version(
                home,
                name,
                spec,
                approve(registered, candidate.verdict),
                bundle=candidate.bundle,
                evidence=candidate.evidence,
                configuration=candidate.configuration,
            )
        except (Overtaken, ContractBroken) as held:
            step.outcome = "held: what serves changed since it was judged"
            return str(held)
        step.outcome = f"version {done.version}, before: {done.former or 'none'}"
    return done
