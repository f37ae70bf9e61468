"""Which errors are foreseen: told in their own words, without a traceback.

Knows the exception trees of the layers below; does not know exit codes.
"""

from __future__ import annotations

from typing import Literal

Failure = Literal["usage", "data", "other"]


def foreseen(error: object) -> Failure | None:
    """`usage`: the configuration or what it names must be mended. `data`: a source must be. `other`: a
    process, the registry, the endpoint or the disk failed and said why. None: not foreseen."""
    from expectations.own_rules import OwnRulesError
    from expectations.tables import DatasetError
    from model.errors import ModelError
    from serving.manifest import ReleaseRefused
    from serving.process import EndpointError
    from serving.release_folder import PromotionRefused
    from serving.signing import KeyProblem
    from sources.errors import DataError
    from tasks.deploy import PortTaken
    from tasks.fit import OtherCode
    from tasks.judgement import NotJudged
    from tasks.model_process import ModelProcessError
    from tasks.promote_by_hand import BadDuration
    from tasks.register import BundleChanged
    from tasks.registry import RegistryProblem
    from tasks.rollback import RollbackRefused
    from tasks.settings import SettingsBroken
    from tasks.store import StoreProblem
    from tasks.target import TargetError, TargetUnknown

    if isinstance(error, ModelError | PortTaken | OwnRulesError | BadDuration | TargetUnknown):
        return "usage"
    if isinstance(error, DataError | DatasetError):
        return "data"
    others = (ModelProcessError, RegistryProblem, StoreProblem, EndpointError, ReleaseRefused, KeyProblem)
    others += (
        PromotionRefused,
        NotJudged,
        TargetError,
        RollbackRefused,
        SettingsBroken,
        BundleChanged,
        OtherCode,
        OSError,
    )
    return "other" if isinstance(error, others) else None
