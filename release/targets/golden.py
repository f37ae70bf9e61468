"""See over HTTP that an endpoint serves a version and answers its golden texts as its bundle did."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from model.errors import HeadgateError
from model.faults import fault
from release.releases import Releases
from serving.client import ask, read_token, wait_for_version
from serving.http.replies import DECIMALS
from serving.spec import DeploySpec
from serving.store.manifest import BUNDLE_FOLDER

TEXTS_AT_ONCE = 32
"""Golden texts in one request; fewer where the endpoint takes fewer."""


class WrongAnswers(HeadgateError):
    """The endpoint answers the golden texts differently from the bundle."""


def confirm(releases: Releases, url: str, spec: DeploySpec, version: int) -> None:
    """Return once the endpoint serves `version` and answers its golden texts as its bundle did.

    Raises:
        serving.client.NoAnswer: it refused the version, or does not serve it in time.
        WrongAnswers: it answers differently.
    """
    token = read_token(spec.token_file)
    wait_for_version(
        url,
        version,
        token=token,
        timeout_s=spec.start_timeout_s,
        poll_s=spec.wait_poll_s,
        old_refusal_s=2 * spec.poll_s,  # until the endpoint has looked again
    )
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
