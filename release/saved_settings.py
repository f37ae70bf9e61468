"""How a project was deployed last, kept so that commands that have only its name can act on it.

Does not know the configuration file it came from.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from model.errors import HeadgateError
from model.files import write_bytes
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
    """Keep the settings of project `name`. A registry's file that lies beside the state folder is kept
    relative to it, so that both can be moved or copied together."""
    raw = dataclasses.asdict(settings)
    raw["registry"]["tracking_uri"] = portable_address(home, settings.registry.tracking_uri)
    text = json.dumps(raw, indent=1)
    write_bytes(home.projects / f"{name}.json", text.encode(), mode=0o600)


def save_first_settings(home: Home, name: str, settings: Settings) -> None:
    """Keep the settings of project `name` unless some are kept: of a candidate that was registered before
    anything was deployed."""
    if not (home.projects / f"{name}.json").exists():
        save_settings(home, name, settings)


def load_settings(home: Home, name: str) -> Settings:
    """The settings of project `name`; the defaults where it was never deployed.

    Raises:
        SettingsBroken: the file was changed, or is of another version of this program.
    """
    path = home.projects / f"{name}.json"
    try:
        raw = json.loads(path.read_bytes())
        return Settings(registry=RegistrySpec(**raw["registry"]), deploy=DeploySpec(**raw["deploy"]))
    except FileNotFoundError:
        return Settings()
    except (ValueError, TypeError, KeyError) as error:
        raise SettingsBroken(
            f"{path}: not a project's settings ({error}); remove it and deploy again"
        ) from error


def state_file(home: Home, name: str) -> Path:
    """State file of the endpoint of `name`: its process, address and settings."""
    return home.endpoints / f"{name}.json"


def endpoint_log(home: Home, name: str) -> Path:
    """Log of the endpoint of `name`."""
    return home.logs / f"endpoint-{name}.log"
