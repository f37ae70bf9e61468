"""How a project was deployed last, kept so that commands that have only its name can act on it.

Does not know the configuration file it came from.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from model.errors import HeadgateError
from model.files import RecordDamaged, as_record, parse_json, plain_bytes, with_unknown, write_json
from release.home import Home
from release.registry.store import portable_address
from release.spec import RegistrySpec
from serving.spec import DeploySpec


class SettingsBroken(HeadgateError):
    """The file of a project's settings is not what was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where a project is registered and how it serves."""

    registry: RegistrySpec = field(default_factory=RegistrySpec)
    deploy: DeploySpec = field(default_factory=DeploySpec)


def save_settings(home: Home, name: str, settings: Settings) -> None:
    """Keep the settings of project `name`. A file of a registry or a token beside the state folder is kept
    relative to it, so that both can be moved or copied together. What a newer version added to the settings
    stays as it was."""
    path = home.projects / f"{name}.json"
    try:
        kept = parse_json(plain_bytes(path) or b"{}")
    except RecordDamaged:
        kept = {}
    address = portable_address(home, settings.registry.tracking_uri)
    portable = Settings(
        registry=replace(settings.registry, tracking_uri=address),
        deploy=replace(settings.deploy, token_file=_portable(home, settings.deploy.token_file)),
    )
    write_json(path, with_unknown(portable, kept), mode=0o600)


def save_first_settings(home: Home, name: str, settings: Settings) -> None:
    """Keep the settings of project `name` unless some are kept: of a candidate that was registered before
    anything was deployed."""
    if not (home.projects / f"{name}.json").exists():
        save_settings(home, name, settings)


def load_settings(home: Home, name: str) -> Settings:
    """The settings of project `name`; the defaults where it was never deployed.

    Raises:
        SettingsBroken: the file was changed, or can't be read.
    """
    path = home.projects / f"{name}.json"
    try:
        data = plain_bytes(path)
        return Settings() if data is None else _found(home, _parsed(data))
    except RecordDamaged as error:
        raise SettingsBroken(
            f"{path}: not a project's settings: {error}. Restore it from a backup, or remove it and run "
            "`headgate retrain CONFIG`"
        ) from error


def _portable(home: Home, file: str | None) -> str | None:
    """A file as it is kept: relative to the folder that the state folder lies in, where it lies below it."""
    base = home.root.parent.resolve()
    if file is None or not Path(file).is_relative_to(base):
        return file
    return str(Path(file).relative_to(base))


def _found(home: Home, settings: Settings) -> Settings:
    """The settings with a file that is kept relative to the state folder where it lies now."""
    file = settings.deploy.token_file
    if file is None:
        return settings
    placed = str(home.root.parent.resolve() / Path(file).expanduser())
    return replace(settings, deploy=replace(settings.deploy, token_file=placed))


def _parsed(data: bytes) -> Settings:
    raw = parse_json(data)
    if isinstance(raw, dict) and not {"registry", "deploy"} <= raw.keys():
        raise RecordDamaged("the fields 'registry' and 'deploy' are not both there")
    return as_record(raw, Settings)


def state_file(home: Home, name: str) -> Path:
    """State file of the endpoint of `name`: its process, address and settings."""
    return home.endpoints / f"{name}.json"


def endpoint_log(home: Home, name: str) -> Path:
    """Log of the endpoint of `name`."""
    return home.logs / f"endpoint-{name}.log"
