"""Make the endpoint serve the champion and see, over HTTP, that it answers as the bundle did.

If it does not, the former version is restored. Never cached: what was true of an endpoint a minute ago
says nothing. Does not know how versions are approved.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.errors import HeadgateError
from model.faults import fault
from release.home import Home
from release.journal import Entry
from release.moves.restore import restore
from release.registry.judgement import NotJudged
from release.releases import Releases, open_releases
from release.settings import Settings, endpoint_log, load_settings, save_settings, state_file
from release.spec import RegistrySpec
from release.targets import plugin as target
from report.progress import Step
from serving.client import NoAnswer, ask, read_token, wait_for_version
from serving.errors import PortTaken as PortTaken
from serving.http.replies import DECIMALS
from serving.process import control as process
from serving.process.job import EndpointJob, endpoint_job
from serving.spec import ENDPOINT, DeploySpec
from serving.store.manifest import BUNDLE_FOLDER, ReleaseRefused

TEXTS_AT_ONCE = 32
"""Golden texts in one request; fewer where the endpoint takes fewer."""


class WrongAnswers(HeadgateError):
    """The endpoint answers the golden texts differently from the bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOutcome:
    """What serves after a deployment or a rollback."""

    deployed: bool
    """Whether the version that was wanted serves, or, with no endpoint running, will serve."""
    wanted: int
    """Version that was to be served."""
    serving: int | None
    """Version that the champion's alias and the pointer name now."""
    url: str | None
    """Address of the endpoint, or target and name of a plugin's; None where none runs."""
    reason: str = ""
    """Why it was not deployed; empty if it was."""


@task(name="deploy", cache_policy=NO_CACHE, persist_result=False)
def deploy(home: Home, name: str, registry: RegistrySpec, spec: DeploySpec, version: int) -> DeployOutcome:
    """Make the endpoint of `name` serve `version`, which was promoted, or restore the former one."""
    with Step("deploy") as step:
        outcome = deploy_version(home, name, registry, spec, version)
        step.outcome = f"version {version} at {outcome.url}" if outcome.deployed else outcome.reason
    return outcome


def refuse_impossible(home: Home, name: str, spec: DeploySpec) -> None:
    """Return if it could be deployed where it should. Ask before anything is trained or moved.

    Raises:
        PortTaken: something else listens there, or the address is not this machine's.
        release.targets.plugin.TargetUnknown: no plugin of that name is installed.
    """
    if spec.target == ENDPOINT:
        refuse_taken_port(home, name, spec)
    else:
        target.target_client(spec.target)


def refuse_taken_port(home: Home, name: str, spec: DeploySpec) -> None:
    """Return if the endpoint could listen where it should. Ask before anything is trained or moved.

    Raises:
        PortTaken: something else listens there, or the address is not this machine's.
    """
    running = process.status(state_file(home, name))
    if spec.port == 0 or (running is not None and running.port == spec.port):
        return
    family = socket.AF_INET6 if ":" in spec.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((spec.host, spec.port))
        except OSError as error:
            raise PortTaken(
                f"deploy.port: {spec.host}:{spec.port} can't be listened on ({error.strerror}); stop what "
                "listens there, or set another deploy.port (0 takes any free one)"
            ) from error


def deploy_version(
    home: Home, name: str, registry: RegistrySpec, spec: DeploySpec, version: int
) -> DeployOutcome:
    """As `deploy`, without Prefect.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached while the alias must go back.
    """
    releases = open_releases(home, name, registry)
    if spec.target != ENDPOINT:
        return deploy_to_target(releases, spec, version)
    _leave_if_changed(releases, spec)
    save_settings(home, name, Settings(registry=registry, deploy=spec))
    fault("settings_saved")
    try:
        state = process.start(
            releases.folder.path, releases.public_key, spec, state_file(home, name), endpoint_log(home, name)
        )
        fault("endpoint_started")
        confirm(releases, state.url, spec, version)
    except (process.EndpointError, NoAnswer, WrongAnswers) as error:
        return _undo(releases, spec, version, str(error))
    releases.journal.append(Entry(event="deployed", version=version, detail=state.url))
    fault("deployment_journalled")
    releases.folder.prune(spec.keep_versions, releases.public_key)
    fault("versions_pruned")
    return DeployOutcome(deployed=True, wanted=version, serving=version, url=state.url)


def deploy_to_target(releases: Releases, spec: DeploySpec, version: int) -> DeployOutcome:
    """Hand a version to the target of a plugin and see that it answers; else hand it the former one.

    Raises:
        release.targets.plugin.TargetUnknown: there is no such target.
        release.targets.plugin.TargetError: it does not take the former version back either.
        release.registry.client.RegistryProblem: the registry can't be reached while the alias must go back.
    """
    save_settings(releases.home, releases.name, Settings(registry=releases.registry.spec, deploy=spec))
    fault("settings_saved")
    try:
        where = target.put(releases, spec, version)
        fault("endpoint_swapped")
        if spec.verify_target:
            target.compare_answers(releases, spec, version)
        fault("endpoint_verified")
    except (target.TargetError, ReleaseRefused, NotJudged) as error:
        releases.journal.append(Entry(event="not deployed", version=version, detail=str(error)))
        fault("refusal_journalled")
        serving = restore(releases, version, str(error))
        if serving is None:
            target.remove(releases, spec)
        else:
            target.put(releases, spec, serving)
        return DeployOutcome(deployed=False, wanted=version, serving=serving, url=None, reason=str(error))
    # Had it been deployed here before, that endpoint would go on beside the target.
    process.stop(state_file(releases.home, releases.name))
    releases.journal.append(Entry(event="deployed", version=version, detail=where))
    fault("deployment_journalled")
    releases.folder.prune(spec.keep_versions, releases.public_key)
    fault("versions_pruned")
    return DeployOutcome(deployed=True, wanted=version, serving=version, url=where)


def confirm(releases: Releases, url: str, spec: DeploySpec, version: int) -> None:
    """Return once the endpoint serves `version` and answers its golden texts as its bundle did.

    Raises:
        serving.client.NoAnswer: it refused the version, or does not serve it in time.
        WrongAnswers: it answers differently.
    """
    token = read_token(spec.token_file)
    wait_for_version(url, version, token=token, timeout_s=spec.start_timeout_s, poll_s=spec.wait_poll_s)
    fault("endpoint_swapped")
    bundle = releases.folder.version_dir(version) / BUNDLE_FOLDER
    golden = json.loads((bundle / "golden.json").read_bytes())
    card = json.loads((bundle / "card.json").read_bytes())
    labels = {head: described["labels"] for head, described in card["heads"].items()}
    compare_golden(url, golden, labels, version, token=token, at_once=min(TEXTS_AT_ONCE, spec.max_texts))
    fault("endpoint_verified")


def compare_golden(
    url: str,
    golden: Mapping[str, Any],
    labels: Mapping[str, Sequence[str]],
    version: int,
    *,
    token: str | None = None,
    at_once: int = TEXTS_AT_ONCE,
) -> None:
    """Ask the endpoint for the golden texts and compare every probability of every label.

    Args:
        url: address of the endpoint.
        golden: `golden.json` of the bundle.
        labels: head → its labels, in the order of the golden probabilities.
        version: version that must answer.
        token: bearer token, where the endpoint asks for one.
        at_once: most texts in one request.

    Raises:
        serving.client.NoAnswer: it does not answer.
        WrongAnswers: another version answers, a head or label is missing, or a probability is off.
    """
    tolerance = float(golden["tolerance"]) + 10**-DECIMALS
    for begin in range(0, len(golden["texts"]), at_once):
        reply = ask(url, golden["texts"][begin : begin + at_once], everything=True, token=token)
        if reply["version"] != version:
            raise WrongAnswers(f"version {reply['version']} answered, expected version {version}")
        for row, answer in enumerate(reply["answers"], start=begin):
            if set(answer) != set(labels):
                raise WrongAnswers(f"heads {sorted(answer)} answered, expected {sorted(labels)}")
            for head, answered in answer.items():
                seen = {entry["label"]: entry["probability"] for entry in answered["probabilities"]}
                wanted = dict(zip(labels[head], golden["probabilities"][head][row], strict=True))
                if seen.keys() != wanted.keys():
                    raise WrongAnswers(f"head {head}: labels {sorted(seen)}, expected {sorted(wanted)}")
                off = max(abs(seen[label] - wanted[label]) for label in wanted)
                if not off <= tolerance:
                    raise WrongAnswers(
                        f"head {head}, golden text {row}: a probability is {off:.2g} off, at most "
                        f"{tolerance:.2g} is allowed"
                    )


def _undo(releases: Releases, spec: DeploySpec, version: int, reason: str) -> DeployOutcome:
    releases.journal.append(Entry(event="not deployed", version=version, detail=reason))
    fault("refusal_journalled")
    serving = restore(releases, version, reason)
    file = state_file(releases.home, releases.name)
    url = None
    if serving is None:
        # What it holds in memory may be what was just refused.
        process.stop(file)
        fault("endpoint_stopped")
    elif (running := process.status(file)) is not None:
        url = running.url
        token = read_token(spec.token_file)
        wait_for_version(url, serving, token=token, timeout_s=spec.start_timeout_s, poll_s=spec.wait_poll_s)
    return DeployOutcome(deployed=False, wanted=version, serving=serving, url=url, reason=reason)


def _leave_if_changed(releases: Releases, spec: DeploySpec) -> None:
    """Stop an endpoint that was started with other settings; the new ones need a new process."""
    file = state_file(releases.home, releases.name)
    former = load_settings(releases.home, releases.name).deploy

    def job(deploy: DeploySpec) -> EndpointJob:
        return endpoint_job(releases.folder.path, releases.public_key, deploy, file)

    if process.status(file) is not None and job(former) != job(spec):
        process.stop(file)
