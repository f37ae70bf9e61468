"""What can go wrong with an endpoint, as an exception tree.

    HeadgateError           the root of every foreseen error (`model.bundle.errors`)
    ├── WrongUsage          what an endpoint was given cannot be used
    │   └── PortTaken       its address can't be listened on
    ├── EndpointError       it could not be started, stopped or reached
    └── NoAnswer            it did not answer, or not with what was asked for
        └── VersionRefused  it will not serve the version that was waited for

Errors of the release folder stand beside what raises them, in `serving.store`.
"""

from __future__ import annotations

from model.errors import HeadgateError


class WrongUsage(HeadgateError):
    """What an endpoint was given cannot be used; the message names it."""

    kind = "usage"


class PortTaken(WrongUsage):
    """Another program listens on the address, or it is not this machine's; nothing was changed."""


class EndpointError(HeadgateError):
    """The endpoint could not be started, stopped or reached; the message says what to do."""


class NoAnswer(HeadgateError):
    """The endpoint did not answer, or not with what was asked for."""


class VersionRefused(NoAnswer):
    """The endpoint looked at the version that was waited for and will not serve it; the message says why."""
