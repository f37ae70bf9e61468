"""Make the endpoint serve the champion and see, over HTTP, that it answers as the bundle did.

If it answers otherwise, the former version is restored; if nothing is known, nothing is destroyed. Never
cached: an endpoint may have changed a minute later. Does not know how versions are approved.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from typing import Literal

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
from release.targets.confirm import confirm
from serving.errors import PortTaken, StartRefused
from serving.process import control as process
from serving.process.job import EndpointJob, endpoint_job
from serving.spec import ENDPOINT, DeploySpec
from serving.store.manifest import ReleaseRefused

DeployEnd = Literal["deployed", "undone", "unconfirmed", "held"]
"""How a deployment or a rollback ended. `deployed`: what was wanted serves, or, with no endpoint running,
will serve. `undone`: it answers otherwise than it was judged, or was refused, and the former version is back.
`unconfirmed`: nobody could be asked; nothing was refused or withdrawn. `held`: it was not promoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOutcome:
    """What serves after a deployment or a rollback."""

    end: DeployEnd
    wanted: int
    """Version that was to be served."""
    serving: int | None
    """Version that the champion's alias and the pointer name now."""
    url: str | None
    """Address of the endpoint, or target and name of a plugin's; None where none runs."""
    reason: str = ""
    """Why it was not deployed, and what to do; empty if it was."""

    @property
    def deployed(self) -> bool:
        """Whether the version that was wanted serves."""
        return self.end == "deployed"


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
    running = process.status(state_file(home, name)) if home.root.is_dir() else None
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
    former one where it answers otherwise than it was judged.

    Where that can't be known, the version stays the champion: it passed its gates, and an endpoint that can't
    be asked is no reason against it. The next start asks again (`release.moves.reconcile.resume_deployment`).

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached while the alias must go back.
    """
    releases = open_releases(home, name, registry)
    outcome = put_in_place(releases, spec, version)
    if outcome.end == "unconfirmed":
        again = f"run `headgate serve {name}` or retrain" if spec.target == ENDPOINT else "retrain"
        advice = f"it stays the champion; mend that, then {again}"
        outcome = replace(outcome, reason=f"{outcome.reason}; {advice}")
    return outcome


def put_in_place(releases: Releases, spec: DeploySpec, version: int) -> DeployOutcome:
    """As `deploy_version`; what the pointer names when nothing is known is for the caller."""
    if spec.target != ENDPOINT:
        return deploy_to_target(releases, spec, version)
    try:
        _leave_if_changed(releases, spec)
        save_settings(releases.home, releases.name, Settings(registry=releases.registry.spec, deploy=spec))
        fault("settings_saved")
        file, log = state_file(releases.home, releases.name), endpoint_log(releases.home, releases.name)
        process.start(releases.folder.path, releases.public_key, spec, file, log)
    except StartRefused as error:
        if error.version == version:
            return _undo(releases, spec, version, str(error))
        return _unconfirmed(releases, version, str(error))
    except process.EndpointError as error:
        return _unconfirmed(releases, version, str(error))
    fault("endpoint_started")
    return confirm_deployment(releases, spec, version)


def confirm_deployment(releases: Releases, spec: DeploySpec, version: int) -> DeployOutcome:
    """See what the running endpoint serves and answers; undo only what it answers otherwise."""
    agreement = confirm(releases, spec, version)
    if agreement.known == "differs":
        return _undo(releases, spec, version, agreement.why)
    if agreement.known == "not known":
        return _unconfirmed(releases, version, agreement.why)
    running = process.status(state_file(releases.home, releases.name))
    return _record_deployment(releases, spec, version, running.url if running is not None else "")


def _record_deployment(releases: Releases, spec: DeploySpec, version: int, where: str) -> DeployOutcome:
    releases.journal.append(Entry(event="deployed", version=version, detail=where))
    fault("deployment_journalled")
    releases.folder.prune(spec.keep_versions, releases.public_key)
    fault("versions_pruned")
    return DeployOutcome(end="deployed", wanted=version, serving=version, url=where or None)


def _unconfirmed(releases: Releases, version: int, why: str) -> DeployOutcome:
    """Nothing is known of a version where it was put: it is neither refused nor taken out of service."""
    releases.journal.append(Entry(event="unconfirmed", version=version, detail=why))
    running = process.status(state_file(releases.home, releases.name))
    return DeployOutcome(
        end="unconfirmed",
        wanted=version,
        serving=releases.serving(),
        url=None if running is None else running.url,
        reason=f"whether version {version} answers as it was judged is not known: {why}",
    )


def deploy_to_target(releases: Releases, spec: DeploySpec, version: int) -> DeployOutcome:
    """Hand a version to the target of a plugin and see that it answers; if otherwise than the bundle, hand it
    the former one.

    Raises:
        release.registry.deploy_clients.TargetUnknown: there is no such target.
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
    except (plugin.WrongAnswers, ReleaseRefused, NotJudged) as error:
        return _undo(releases, spec, version, str(error))
    except plugin.TargetError as error:
        return _unconfirmed(releases, version, str(error))
    # Had it been deployed here before, that endpoint would go on beside the target.
    process.stop(state_file(releases.home, releases.name))
    return _record_deployment(releases, spec, version, where)


def _undo(releases: Releases, spec: DeploySpec, version: int, reason: str) -> DeployOutcome:
    """Take a version that does not answer as it was judged out of service, wherever it was put."""
    releases.journal.append(Entry(event="not deployed", version=version, detail=reason))
    fault("refusal_journalled")
    serving = restore(releases, version, reason)
    url, problem = None, ""
    if spec.target == ENDPOINT:
        url, problem = _return_endpoint(releases, spec, serving)
    else:
        problem = hand_back(releases, spec, serving)
    return DeployOutcome(
        end="undone",
        wanted=version,
        serving=serving,
        url=url,
        reason="; ".join(filter(None, (reason, problem))),
    )


def hand_back(releases: Releases, spec: DeploySpec, serving: int | None) -> str:
    """Make a plugin's target equal to the pointer again; what went wrong with that, empty if nothing. The
    next start tries it again then (`release.moves.reconcile`)."""
    try:
        if serving is None:
            plugin.remove(releases, spec)
            return ""
        where = plugin.put(releases, spec, serving)
    except (plugin.TargetError, ReleaseRefused, NotJudged) as error:
        return f"the target was not given version {serving or 'none'} back: {error}"
    releases.journal.append(Entry(event="deployed", version=serving, detail=where))
    return ""


def _return_endpoint(releases: Releases, spec: DeploySpec, serving: int | None) -> tuple[str | None, str]:
    """Make the running endpoint serve what the pointer names again, or stop it: its address, and what is not
    known of it."""
    file = state_file(releases.home, releases.name)
    try:
        if serving is None:
            # What it holds in memory may be what was just refused.
            process.stop(file)
            fault("endpoint_stopped")
            return None, ""
        if process.status(file) is None:
            return None, ""
        agreement = confirm(releases, spec, serving)
    except process.EndpointError as error:
        return None, str(error)
    running = process.status(file)
    return (
        None if running is None else running.url,
        "" if agreement.known == "matches" else f"version {serving} is back, unconfirmed: {agreement.why}",
    )


def _leave_if_changed(releases: Releases, spec: DeploySpec) -> None:
    """Stop an endpoint that was started with other settings; the new ones need a new process."""
    file = state_file(releases.home, releases.name)
    former = load_settings(releases.home, releases.name).deploy

    def job(deploy: DeploySpec) -> EndpointJob:
        return endpoint_job(releases.folder.path, releases.public_key, deploy, file)

    if process.status(file) is not None and job(former) != job(spec):
        process.stop(file)
