"""Why a request failed, by what the caller can do about it."""

from __future__ import annotations

from allium.errors import Complaint


class NetworkError(Complaint):
    """The network did not do what was asked. Trying again later, or by another way, may help."""


class UnreachableError(NetworkError):
    """There was no connection to who was to be asked, so that nothing was sent."""


class SeedsError(NetworkError):
    """No seed gave a list of nodes."""

    option = "--seed"


class ClockError(NetworkError):
    """The clock of this machine is too far from those of the nodes; set it."""


class RefusedError(Complaint):
    """A node understood the request and refused it; the same request will not succeed elsewhere."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"refused with status {status}: {reason}")
        self.status = status
        self.reason = reason
