"""Any `mlflow.deployments` plugin as the place to deploy to: hand it a version, ask it, take it away.

The plugin gets the registered model version, and only after what lies in the registry was compared, file by
file, with what was judged and signed. Does not decide what is deployed (`release.targets.deploy`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.bundle.answers import decisions
from model.bundle.card import Card, card_from_json
from model.bundle.masking import masked
from model.errors import HeadgateError
from release.registry.deploy_clients import deploy_client
from release.registry.judgement import NotJudged, model_digests, read_judgement
from release.releases import Releases
from serving.http.replies import DECIMALS
from serving.spec import DeploySpec
from serving.store.manifest import BUNDLE_FOLDER, verify_release


class TargetError(HeadgateError):
    """A deploy target did not do what it was asked for. Says nothing of the version."""


class WrongAnswers(TargetError):
    """A deploy target answers the golden texts otherwise than the bundle."""


def put(releases: Releases, spec: DeploySpec, version: int) -> str:
    """Give the target a version that was promoted; where it is then, in a few words.

    Raises:
        TargetError: it did not take it.
        TargetUnknown: there is no such target.
        release.registry.judgement.NotJudged: how the version was judged can't be believed, or the registry
            holds other files than were judged.
        serving.store.manifest.ReleaseRefused: it may not serve.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    client = deploy_client(spec.target)
    verify_release(releases.folder.version_dir(version), releases.public_key, releases.name)
    _compare_registered(releases, version)
    config = with_variables(spec.target_config)
    uri = f"models:/{releases.registry.model}/{version}"
    with _asked(releases.registry.uri, f"{spec.target}: deploy version {version}"):
        known = [deployment.get("name") for deployment in client.list_deployments()]
        if releases.name in known:
            client.update_deployment(releases.name, model_uri=uri, config=config)
        else:
            client.create_deployment(releases.name, uri, config=config)
    return f"{spec.target}:{releases.name}"


def with_variables(config: Mapping[str, str]) -> dict[str, str]:
    """A target's config with `${NAME}` replaced from the environment: secrets are kept nowhere else.

    Raises:
        TargetError: a variable is not set or empty.
    """

    def value_of(found: re.Match[str]) -> str:
        if not os.environ.get(found[1]):
            raise TargetError(
                f"deploy.target_config: the environment variable {found[1]} is not set where this runs; "
                "export it"
            )
        return os.environ[found[1]]

    return {key: re.sub(r"\$\{([^}]*)\}", value_of, value) for key, value in config.items()}


def remove(releases: Releases, spec: DeploySpec) -> None:
    """Take the deployment away: nothing may serve.

    Raises:
        TargetError: it refused.
    """
    client = deploy_client(spec.target)
    with _asked(releases.registry.uri, f"{spec.target}: delete the deployment"):
        if releases.name in [deployment.get("name") for deployment in client.list_deployments()]:
            client.delete_deployment(releases.name)


def compare_answers(releases: Releases, spec: DeploySpec, version: int) -> None:
    """Ask the target for the golden texts and hold its answers against the bundle's.

    Raises:
        WrongAnswers: it answers otherwise.
        TargetError: it does not answer.
    """
    import pandas as pd

    bundle = releases.folder.version_dir(version) / BUNDLE_FOLDER
    golden = json.loads((bundle / "golden.json").read_bytes())
    card = card_from_json(json.loads((bundle / "card.json").read_bytes()), where="card.json")
    with _asked(releases.registry.uri, f"{spec.target}: answer the golden texts"):
        reply = deploy_client(spec.target).predict(
            deployment_name=releases.name, inputs=pd.DataFrame({"text": golden["texts"]})
        )
    rows = _rows(reply)
    if not rows:
        raise TargetError(f"{spec.target}: it gave no answers to the golden texts")
    if wrong := wrong_answer(rows, golden, card):
        raise WrongAnswers(f"{spec.target}: {wrong}")


def wrong_answer(rows: Sequence[Any], golden: Mapping[str, Any], card: Card) -> str:
    """What is wrong with answers to the golden texts, in a few words; empty if nothing is.

    Only the labels chosen are compared, with their probabilities: that is what the registered model answers.
    A label within the golden tolerance of its threshold may be chosen or not.
    """
    tolerance = float(golden["tolerance"]) + 10**-DECIMALS
    if len(rows) != len(golden["texts"]):
        return f"{len(rows)} answers to {len(golden['texts'])} golden texts"
    for head, about in card.heads.items():
        wanted = np.asarray(golden["probabilities"][head])
        chosen = decisions(about, wanted)
        for row, answer in enumerate(rows):
            try:
                seen = {entry["label"]: float(entry["probability"]) for entry in answer[head]["labels"]}
            except (TypeError, KeyError, ValueError):
                return f"golden text {row}: no answer of head {head} in it"
            expected = dict(zip(about.labels, wanted[row].tolist(), strict=True))
            if not all(abs(seen[label] - expected.get(label, np.inf)) <= tolerance for label in seen):
                return f"head {head}, golden text {row}: a probability is not the bundle's"
            if about.kind == "multiclass":
                best = max(expected.values())
                if len(seen) != 1 or expected[next(iter(seen))] < best - 2 * tolerance:
                    return f"head {head}, golden text {row}: another label than the bundle's"
                continue
            for at, label in enumerate(about.labels):
                limit = (about.thresholds or ())[at]
                near = abs(expected[label] - limit) <= tolerance
                if bool(chosen[row][at]) != (label in seen) and not near:
                    return f"head {head}, golden text {row}: label {label!r} is chosen differently"
    return ""


def _rows(reply: Any) -> Sequence[Any]:
    if isinstance(reply, Mapping):
        reply = reply.get("predictions", [])
    if hasattr(reply, "to_dict"):
        reply = reply.to_dict("records")
    return list(reply) if isinstance(reply, Sequence) and not isinstance(reply, str) else []


def _compare_registered(releases: Releases, version: int) -> None:
    """Return if every file that the target will load is the one that was judged."""
    judged = read_judgement(releases.registry, releases.public_key, version)
    with tempfile.TemporaryDirectory(dir=releases.home.cache) as temporary:
        found = model_digests(releases.registry.download_model(version, Path(temporary)))
    odd = sorted(
        name for name in {*found, *judged.model_files} if found.get(name) != judged.model_files.get(name)
    )
    if odd:
        raise NotJudged(
            f"version {version} in the registry is not the one that was judged: {', '.join(odd[:3])} changed"
        )


@contextlib.contextmanager
def _asked(registry_uri: str, what: str) -> Iterator[None]:
    """Let a plugin resolve `models:/…` in this registry, and turn whatever it raises into a `TargetError`."""
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, registry_uri))
    try:
        yield
    except Exception as error:  # a plugin may raise anything
        raise TargetError(f"{what}: {type(error).__name__}: {masked(str(error))[:300]}") from error
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
