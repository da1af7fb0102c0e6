"""Where the list of nodes comes from. One protocol, several sources."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

from allium.errors import SetupError

if TYPE_CHECKING:
    from allium._native import Network


class MembershipError(SetupError, ValueError):
    """The source gave no usable network; the text says what to change."""


class Membership(Protocol):
    """A source of snapshots. Iterating yields the network now, then each network that replaces it."""

    def __aiter__(self) -> AsyncIterator[Network]:
        """Ends only by cancellation, or by `MembershipError` while there never was a usable network."""
        ...

    def reload(self) -> None:
        """Looks at the source again at once."""
        ...
