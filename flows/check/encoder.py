"""The encoder: whether it can be had, and which one is taken where none is named and there is no network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from flows.check.finding import Finding
from flows.config.schema import Project
from model.errors import BackboneError, BadInput, HeadgateError
from model.files import read_json
from model.jobs.hub import cached_config, hub_answers, is_cached
from model.spec import BackboneSpec
from model.train.backbone import OFFLINE_NAME, packaged_folder, refuse_longer
from release.home import Home
from release.keys import public_key
from release.pointed import last_pointer
from serving.store.release_folder import ReleaseFolder

CHOOSE = "name one in `backbone`: `offline`, a folder, or a hub name (or give --backbone)"
"""How an encoder is chosen."""


def chosen_encoder(project: Project, folder: Path | None = None) -> tuple[Project, str]:
    """(The project with the encoder that is taken, what to say of it; empty where it is the one named).

    Where the configuration names no encoder it is the champion's; before there is one, and where the default
    is not cached and the hub does not answer, the packaged one is taken.

    Args:
        folder: the state folder.
    """
    spec = project.backbone
    if "backbone" not in project.model_fields_set and (of := _of_champion(project.name, folder)):
        said = f"no `backbone` is named: the champion's, {of.name}, is taken. To choose, {CHOOSE}"
        known = (of.name, of.layers) == (spec.name, spec.layers)
        return project.model_copy(update={"backbone": of}), "" if known else said
    if "backbone" in project.model_fields_set or is_cached(spec) or not _is_packaged() or hub_answers():
        return project, ""
    said = (
        f"no `backbone` is named, and the hub, which has the default {spec.name}, can't be reached: the "
        f"packaged encoder `{OFFLINE_NAME}` (English, 22.7 million parameters) is taken. To choose, {CHOOSE}"
    )
    return project.model_copy(update={"backbone": BackboneSpec(name=OFFLINE_NAME)}), said


def _of_champion(name: str, folder: Path | None) -> BackboneSpec | None:
    """The encoder that the champion was made from, from the hub at the commit that it had then; None where
    that is not known."""
    if folder is None or not (folder / "releases" / name).is_dir():
        return None
    home = Home(folder)
    with contextlib.suppress(HeadgateError, OSError, ValueError, KeyError, TypeError):
        releases = ReleaseFolder(home.releases(name), name)
        if (pointer := last_pointer(home, releases, public_key(home, name))) is not None:
            card = read_json(releases.version_dir(pointer.version) / "bundle" / "card.json")
            made_from = card["provenance"]["backbone"]
            return BackboneSpec(**{one: made_from.get(one) for one in ("name", "revision", "layers")})
    return None


def _is_packaged() -> bool:
    try:
        return packaged_folder().is_dir()
    except BackboneError:
        return False


def look_at_encoder(spec: BackboneSpec, max_length: int) -> Iterator[Finding]:
    """Whether the encoder can be had and takes texts of `max_length` tokens, without loading it."""
    if (file := _config_file(spec)) is not None:
        try:
            refuse_longer(read_json(file), max_length, spec.name)
        except BadInput as error:
            yield Finding(what="encoder", says=str(error), state="problem")
            return
        except (OSError, ValueError):
            pass  # whoever loads it says what is wrong with it
    if spec.name == OFFLINE_NAME:
        try:
            packaged_folder()
        except BackboneError as error:
            yield Finding(what="encoder", says=str(error), state="problem")
            return
        yield Finding(what="encoder", says="offline, packaged with Headgate")
        return
    folder = Path(spec.name).expanduser()
    if folder.is_dir():
        lacking = [name for name in ("config.json",) if not (folder / name).is_file()]
        if lacking:
            says = f"backbone.name: {spec.name!r} is a folder without {lacking[0]}; name an encoder's folder"
            yield Finding(what="encoder", says=says, state="problem")
            return
        yield Finding(what="encoder", says=f"the folder {spec.name}")
    elif spec.name.startswith((".", "/", "~")):
        says = f"backbone.name: {spec.name!r} is not a folder; {CHOOSE}"
        yield Finding(what="encoder", says=says, state="problem")
    elif is_cached(spec):
        yield Finding(what="encoder", says=f"{spec.name}, in the local cache")
    elif hub_answers():
        yield Finding(what="encoder", says=f"{spec.name}, to be downloaded from the hub", state="remark")
    else:
        says = (
            f"backbone {spec.name!r}: the hub can't be reached and the encoder is not in the local cache; "
            f"check the network, or {CHOOSE}"
        )
        yield Finding(what="encoder", says=says, state="problem")


def _config_file(spec: BackboneSpec) -> Path | None:
    """`config.json` of the encoder; None where it is not on this machine."""
    folder = Path(spec.name).expanduser()
    if spec.name == OFFLINE_NAME and _is_packaged():
        folder = packaged_folder()
    file = folder / "config.json"
    return file if file.is_file() else cached_config(spec)
