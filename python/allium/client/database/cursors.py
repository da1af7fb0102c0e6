"""How far each node's messages were read, and which messages were seen at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from allium.client.database.connection import Connection, bounded, clean

#: Milliseconds that a hash is remembered at most: longer than a swarm keeps anything.
MAX_SEEN = 31 * 86_400_000


class Cursors:
    """Of each node, account and namespace the hash of the last message that was read. A node is its Ed25519 key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, node: bytes, pubkey: str) -> dict[int, str]:
        """By namespace."""
        rows = self._connection.rows(
            "SELECT namespace, hash FROM cursors WHERE node = ? AND pubkey = ?", (node, clean(pubkey))
        )
        return dict(rows)

    def all(self, pubkey: str) -> dict[bytes, dict[int, str]]:
        """Of all nodes, by node and namespace."""
        found: dict[bytes, dict[int, str]] = {}
        for node, namespace, stored in self._connection.rows(
            "SELECT node, namespace, hash FROM cursors WHERE pubkey = ?", (clean(pubkey),)
        ):
            found.setdefault(node, {})[namespace] = stored
        return found

    def set(self, node: bytes, pubkey: str, cursors: Mapping[int, str]) -> None:
        """In the transaction that keeps the messages."""
        self._connection.many(
            "INSERT INTO cursors VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET hash = excluded.hash",
            ((node, clean(pubkey), namespace, clean(stored)) for namespace, stored in cursors.items()),
        )

    def forget(self, pubkey: str) -> None:
        """All nodes' of an account or group."""
        self._connection.execute("DELETE FROM cursors WHERE pubkey = ?", (clean(pubkey),))


class Seen:
    """Hashes of messages that came, until the swarm forgets them too."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, hashes: Mapping[str, int], now: int) -> None:
        """Hash -> when the message expires; both times in Unix milliseconds."""
        latest = bounded(now + MAX_SEEN)
        self._connection.many(
            "INSERT INTO seen VALUES (?, ?) ON CONFLICT DO UPDATE SET expires = max(expires, excluded.expires)",
            ((clean(each), min(bounded(expires), latest)) for each, expires in hashes.items()),
        )

    def new(self, hashes: Iterable[str]) -> list[str]:
        """Those that were not seen, in their order, each once."""
        return [
            each
            for each in dict.fromkeys(hashes)
            if self._connection.row("SELECT 1 FROM seen WHERE hash = ?", (clean(each),)) is None
        ]

    def prune(self, now: int) -> int:
        """Forgets what has expired; returns how many."""
        return self._connection.execute("DELETE FROM seen WHERE expires <= ?", (bounded(now),))
