"""Make the endpoint serve the champion and see, over HTTP, that it answers as the bundle did.

If it does not, the former version is restored. Never cached: an endpoint may have changed a
minute later. Does not know how versions are approved.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from model.faults import fault
from release.home import Home
from release.journal import Entry
from release.moves.restore import restore
from release.registry.deploy_clients import deploy_client
from release.registry.judgement import NotJudged
from release.releases import Releases, open_releases
from release.saved_settings import Settings, endpoint_log, load_settings, save_settings, state_file
from release.spec import RegistrySpec
from release.targets import plugin
from release.targets.golden import WrongAnswers, confirm
from serving.client import NoAnswer, read_token, wait_for_version
from serving.errors import PortTaken
from serving.process import control as process
from serving.process.job import EndpointJob, endpoint_job
from serving.spec import ENDPOINT, DeploySpec
from serving.store.manifest import ReleaseRefused


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


def refuse_impossible(home: Home, name: str, spec: DeploySpec) -> None:
    """Return if it could be deployed where it should. Ask before anything is trained or moved.

    Raises:
        PortTaken: something else listens there, or the address is not this machine's.
        release.registry.deploy_clients.TargetUnknown: no plugin of that name is installed.
    """
    if spec.target == ENDPOINT:
        refuse_taken_port(home, name, spec)
    else:
        deploy_client(spec.target)


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
    """Make the endpoint of `name`, or another target, serve `version`, which was promoted, or restore the
    former one.

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
    except process.EndpointError as error:
        return _undo(releases, spec, version, str(error))
    fault("endpoint_started")
    return confirm_deployment(releases, state.url, spec, version)


def confirm_deployment(releases: Releases, url: str, spec: DeploySpec, version: int) -> DeployOutcome:
    """Wait until the running endpoint serves `version` and answers as its bundle did; else undo."""
    try:
        confirm(releases, url, spec, version)
    except (NoAnswer, WrongAnswers) as error:
        return _undo(releases, spec, version, str(error))
    return _record_deployment(releases, spec, version, url)


def _record_deployment(releases: Releases, spec: DeploySpec, version: int, where: str) -> DeployOutcome:
    releases.journal.append(Entry(event="deployed", version=version, detail=where))
    fault("deployment_journalled")
    releases.folder.prune(spec.keep_versions, releases.public_key)
    fault("versions_pruned")
    return DeployOutcome(deployed=True, wanted=version, serving=version, url=where)


def deploy_to_target(releases: Releases, spec: DeploySpec, version: int) -> DeployOutcome:
    """Hand a version to the target of a plugin and see that it answers; else hand it the former one.

    Raises:
        release.registry.deploy_clients.TargetUnknown: there is no such target.
        release.targets.plugin.TargetError: it does not take the former version back either.
        release.registry.client.RegistryProblem: the registry can't be reached while the alias must go back.
    """
    save_settings(releases.home, releases.name, Settings(registry=releases.registry.spec, deploy=spec))
    fault("settings_saved")
    try:
        where = plugin.put(releases, spec, version)
        fault("endpoint_swapped")
        if spec.verify_target:
            plugin.compare_answers(releases, spec, version)
        fault("endpoint_verified")
    except (plugin.TargetError, ReleaseRefused, NotJudged) as error:
        return _undo(releases, spec, version, str(error))
    # Had it been deployed here before, that endpoint would go on beside the target.
    process.stop(state_file(releases.home, releases.name))
    return _record_deployment(releases, spec, version, where)


def _undo(releases: Releases, spec: DeploySpec, version: int, reason: str) -> DeployOutcome:
    """Take a version that does not answer as it was judged out of service, wherever it was put."""
    releases.journal.append(Entry(event="not deployed", version=version, detail=reason))
    fault("refusal_journalled")
    serving = restore(releases, version, reason)
    url = None
    if spec.target == ENDPOINT:
        url = _return_endpoint(releases, spec, serving)
    elif serving is None:
        plugin.remove(releases, spec)
    else:
        plugin.put(releases, spec, serving)
    return DeployOutcome(deployed=False, wanted=version, serving=serving, url=url, reason=reason)


def _return_endpoint(releases: Releases, spec: DeploySpec, serving: int | None) -> str | None:
    """Wait until the running endpoint serves what the pointer names again, or stop it; its address."""
    file = state_file(releases.home, releases.name)
    if serving is None:
        # What it holds in memory may be what was just refused.
        process.stop(file)
        fault("endpoint_stopped")
        return None
    running = process.status(file)
    if running is None:
        return None
    token = read_token(spec.token_file)
    wait_for_version(
        running.url, serving, token=token, timeout_s=spec.start_timeout_s, poll_s=spec.wait_poll_s
    )
    return running.url


def _leave_if_changed(releases: Releases, spec: DeploySpec) -> None:
    """Stop an endpoint that was started with other settings; the new ones need a new process."""
    file = state_file(releases.home, releases.name)
    former = load_settings(releases.home, releases.name).deploy

    def job(deploy: DeploySpec) -> EndpointJob:
        return endpoint_job(releases.folder.path, releases.public_key, deploy, file)

    if process.status(file) is not None and job(former) != job(spec):
        process.stop(file)
