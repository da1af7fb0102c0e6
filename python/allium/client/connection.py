"""Whether this machine reaches the network at all, and whom to blame when it does not hear from a node.

A node that says nothing may be down, and so may our own connection. Blame for silence therefore waits until somebody
else is heard: when one entry node alone was silent, it and the nodes behind it are struck; when several were, it was
our connection, and nobody is. So a client that is offline for a week comes back with all nodes that it knew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from allium.client.pool import Snode, SnodePool

#: So many entry nodes silent, and none heard since: we are offline.
SILENT = 3
_MOST_BLAMED = 64


class Connection:
    """The state of the connection: unknown (`None`) at first."""

    def __init__(self, pool: SnodePool) -> None:
        self._pool = pool
        self._silent: set[bytes] = set()
        self._blamed: list[Snode] = []
        self._is_online = asyncio.Event()
        self.online: bool | None = None
        #: Called with what `online` is now, when that changes.
        self.on_change: list[Callable[[bool], None]] = []

    def heard(self) -> None:
        """Somebody answered, whatever that was."""
        if len(self._silent) == 1:
            for node in self._blamed:
                self._pool.strike(node)
        self._silent.clear()
        self._blamed.clear()
        self._set(True)

    def silent(self, entry: Snode, *blamed: Snode) -> None:
        """`entry` was asked and did not answer; `blamed` are struck for it if it turns out that others do."""
        self._silent.add(entry.ed25519)
        if len(self._blamed) < _MOST_BLAMED:
            self._blamed += blamed
        if len(self._silent) >= min(SILENT, max(1, len(self._pool))):
            self.lost()

    def lost(self) -> None:
        """Nobody is reached."""
        self._blamed.clear()
        self._set(False)

    async def wait(self) -> None:
        """Returns once the network is reached."""
        await self._is_online.wait()

    def _set(self, online: bool) -> None:
        if online == self.online:
            return
        self.online = online
        if online:
            self._is_online.set()
        else:
            self._is_online.clear()
        for callback in list(self.on_change):
            callback(online)
