"""What can go wrong with an endpoint, as an exception tree.

    HeadgateError           the root of every foreseen error (`model.bundle.errors`)
    ├── WrongUsage          what an endpoint was given cannot be used
    │   └── PortTaken       its address can't be listened on
    ├── EndpointError       it could not be started, stopped or reached
    │   └── StartRefused    it started and refused the only version that it could serve
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


class StartRefused(EndpointError):
    """The endpoint refused the version that it should serve, and has no other; it was stopped."""

    def __init__(self, message: str, version: int | None) -> None:
        super().__init__(message)
        self.version = version
        """The version refused; None where the pointer itself can't be trusted."""


class NoAnswer(HeadgateError):
    """The endpoint did not answer, or not with what was asked for. Says nothing of the version that it
    serves."""

    def __init__(self, message: str, *, status: int | None = None, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        """Status of the reply; None where none came, or it was not HTTP."""
        self.retry_after_s = retry_after_s
        """How long the reply asks its client to wait (`Retry-After`), in seconds."""


class VersionRefused(NoAnswer):
    """The endpoint looked at the version that was waited for and will not serve it; the message says why."""

    def __init__(self, message: str, *, known: bool = True) -> None:
        super().__init__(message)
        self.known = known
        """Whether that says something of the version; False where it could not be tried."""
