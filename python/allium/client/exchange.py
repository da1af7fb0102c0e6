"""What is asked of servers and what they answer, as values (`spec/client-network` §5)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from allium.client.errors import RefusedError
from allium.client.listing import decoded

PIECE_BYTES = 64 << 10
#: Of what a server says for its refusal.
MAX_REFUSAL_BYTES = 4096


class MissingError(RefusedError):
    """The server has no such thing, or no longer."""


class TooLargeError(RefusedError):
    """The server takes nothing of this size."""


class Body(Protocol):
    """What a request carries, read anew for each attempt."""

    @property
    def size(self) -> int:
        """In bytes."""

    def pieces(self) -> AsyncIterator[bytes]:
        """All of it, once."""


@dataclass(frozen=True, slots=True)
class BytesBody:
    """A body that is in memory."""

    data: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """See `Body`."""
        return len(self.data)

    async def pieces(self) -> AsyncIterator[bytes]:
        """See `Body`."""
        for start in range(0, len(self.data), PIECE_BYTES):
            yield self.data[start : start + PIECE_BYTES]


@dataclass(frozen=True, slots=True)
class ServerRequest:
    """One request, as of HTTP."""

    method: str
    #: Path and query, with the slash that it begins with.
    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None


@dataclass(frozen=True, slots=True)
class ServerReply:
    """A whole reply, a refusal too."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """What it says; `ValueError` if that is no JSON."""
        return decoded(self.body)

    @property
    def is_success(self) -> bool:
        """Whether the server did what was asked."""
        return 200 <= self.status < 300

    def checked(self) -> ServerReply:
        """Itself if it is a success; `RefusedError`, for some refusals one of its own."""
        if not self.is_success:
            raise refusal(self.status, self.body)
        return self


def refusal(status: int, body: bytes) -> RefusedError:
    """What to raise for a refusal."""
    reason = body[:MAX_REFUSAL_BYTES].decode(errors="replace")[:200] or "no reason given"
    match status:
        case 404:
            return MissingError(status, reason)
        case 413:
            return TooLargeError(status, reason)
        case _:
            return RefusedError(status, reason)
