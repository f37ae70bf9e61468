"""Keep what came of a run's inputs, so that equal ones are not trained again."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from release.home import Home
from release.keys import signing_pair
from release.runs import judged
from release.spec import RegistrySpec


@task(name="keep-judged", task_run_name="keep-judged", cache_policy=NO_CACHE, persist_result=False)
def keep_judged(home: Home, name: str, registry: RegistrySpec, record: judged.JudgedInputs) -> None:
    """Sign the record of project `name` and write it.

    Raises:
        OSError: it can't be written.
        serving.store.signing.KeyProblem: the key can't be used.
    """
    private_key, _ = signing_pair(home, name, registry)
    judged.keep_judged(home, record, private_key)
