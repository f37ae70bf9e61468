"""Find a registered version that did not pass, with all that judging it again needs."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from release.home import Home
from release.moves.judge_again import Judgeable, find_judgeable
from release.spec import RegistrySpec
from report.progress import Step


@task(name="find-candidate", task_run_name="find-candidate", cache_policy=NO_CACHE, persist_result=False)
def find_candidate(home: Home, name: str, registry: RegistrySpec, version: int) -> Judgeable:
    """Version `version` of project `name`, its bundles and rows verified.

    Raises:
        release.moves.judge_again.NotJudgedAgain: it passed, or is older than one that was promoted.
        release.kept_evidence.EvidenceGone: its models or rows are not there any more.
        release.registry.judgement.NotJudged: the record of its verdict can't be believed.
        serving.store.manifest.ReleaseRefused: its bundle is not the one that was judged.
        release.registry.client.RegistryProblem: there is no such version, or the registry can't be reached.
    """
    with Step("find the version") as step:
        found = find_judgeable(home, name, registry, version)
        step.outcome = f"version {version}, of run {found.kept.run.id}"
    return found
