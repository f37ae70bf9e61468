"""The hub: whether an encoder can be had, from the local cache or because the hub answers; and models put
there.

A client that retries for a minute and more is no way to find out that a machine has no network.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from pathlib import Path

from ..errors import HeadgateError
from ..spec import BackboneSpec

ANSWER_S = 3.0
"""How long the hub may take to answer, in seconds, looking up its name included."""


def is_cached(spec: BackboneSpec) -> bool:
    """Whether the encoder's configuration and weights are in the hub's local cache."""
    weights = ("model.safetensors", "model.safetensors.index.json")
    return _cached(spec, ("config.json",)) and _cached(spec, weights)


def _cached(spec: BackboneSpec, names: tuple[str, ...]) -> bool:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = (try_to_load_from_cache(spec.name, name, revision=spec.revision) for name in names)
        return any(isinstance(path, str) for path in found)
    except HFValidationError:
        return False


def hub_answers(within_s: float = ANSWER_S) -> bool:
    """Whether the hub (`HF_ENDPOINT`, through the proxy of the environment) answers; False where
    `HF_HUB_OFFLINE` is set."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    heard: list[bool] = []
    # Looking up a name can't be interrupted: a thread that nobody waits for does it.
    asking = threading.Thread(target=lambda: heard.append(_asked(constants.ENDPOINT, within_s)), daemon=True)
    asking.start()
    asking.join(within_s)
    return bool(heard and heard[0])


def _asked(endpoint: str, within_s: float) -> bool:
    request = urllib.request.Request(endpoint, method="HEAD", headers={"User-Agent": "headgate"})
    try:
        with urllib.request.urlopen(request, timeout=within_s):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False


def cached_config(spec: BackboneSpec) -> Path | None:
    """`config.json` of an encoder in the hub's local cache; None where it is not there."""
    return cached_file(spec, "config.json")


def cached_file(spec: BackboneSpec, name: str) -> Path | None:
    """A file of an encoder in the hub's local cache; None where it is not there."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(spec.name, name, revision=spec.revision)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


class PushFailed(HeadgateError):
    """The hub did not take a model; what it took before stays there."""


def push_folder(folder: Path, repository: str, *, message: str) -> str:
    """Put the files of `folder` into a model repository of the hub (`HF_ENDPOINT`), which is made, private,
    if it is not there; its address.

    Raises:
        PushFailed: the hub can't be reached, or refuses: no token, no right, no such name.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    hub = HfApi(library_name="headgate")
    try:
        made = hub.create_repo(repository, repo_type="model", private=True, exist_ok=True)
        hub.upload_folder(folder_path=folder, repo_id=made.repo_id, commit_message=message)
    except HFValidationError as error:
        raise PushFailed(f"--push: seen {repository!r}, expected ORG/NAME: {error}") from error
    except (HfHubHTTPError, LocalTokenNotFoundError, OSError) as error:
        raise PushFailed(
            f"{repository}: the hub did not take it ({type(error).__name__}: {str(error)[:200]}); "
            "check the network, and that `HF_TOKEN` may write there"
        ) from error
    return str(made)
