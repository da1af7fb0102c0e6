"""A UDP port for streams of bytes over QUIC: what a server is asked in protocols that are not HTTP."""

from __future__ import annotations

from allium import _native
from allium.base.streams import Stream, outcome


class Listener:
    """A UDP port, and the streams that clients open there."""

    def __init__(
        self, ip: str, port: int, ed25519_seed: bytes, alpn: str, connections: int, connections_per_address: int
    ) -> None:
        """Clients offer the application protocol `alpn`, and know the server by its Ed25519 key.

        Raises `OSError` when the port cannot be had. Needs a running event loop.
        """
        self._listener = _native.QuicListener(ip, port, ed25519_seed, alpn, connections, connections_per_address)

    async def accept(self) -> Stream | None:
        """The next stream; `None` once it is closed."""
        stream: _native.QuicStream | None = await outcome(self._listener.accept)
        return None if stream is None else Stream(stream)

    def leave(self) -> None:
        """Accepts nobody any more; connections that stand go on."""
        self._listener.leave()

    def close(self) -> None:
        """Ends all connections."""
        self._listener.close()
