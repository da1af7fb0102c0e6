"""What is known of the network between two runs: nodes, guards, and who is in which swarm."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from allium.client.database.connection import Connection, clean
from allium.client.pool import Snode


class Nodes:
    """Nodes by Ed25519 key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> list[Snode]:
        """The pool."""
        return [Snode(*row) for row in self._connection.rows("SELECT ip, port, ed25519, x25519, quic_port FROM nodes")]

    def replace(self, nodes: Iterable[Snode]) -> None:
        """Writes the pool anew."""
        with self._connection.joined():
            self._connection.execute("DELETE FROM nodes")
            self._connection.many(
                "INSERT OR IGNORE INTO nodes (ed25519, x25519, ip, port, quic_port) VALUES (?, ?, ?, ?, ?)",
                ((node.ed25519, node.x25519, node.ip, node.port, node.quic_port) for node in nodes),
            )

    def guards(self) -> list[bytes]:
        """The guards' keys, in order."""
        return [row[0] for row in self._connection.rows("SELECT ed25519 FROM guards ORDER BY place")]

    def set_guards(self, guards: Sequence[bytes]) -> None:
        """Writes the guards anew."""
        with self._connection.joined():
            self._connection.execute("DELETE FROM guards")
            self._connection.many("INSERT INTO guards VALUES (?, ?)", enumerate(guards))

    def swarm(self, pubkey: str) -> list[bytes]:
        """The keys of an account's swarm; empty if not known."""
        rows = self._connection.rows("SELECT ed25519 FROM swarms WHERE pubkey = ? ORDER BY place", (clean(pubkey),))
        return [row[0] for row in rows]

    def swarms(self) -> dict[str, list[bytes]]:
        """All that are known."""
        found: dict[str, list[bytes]] = {}
        for pubkey, key in self._connection.rows("SELECT pubkey, ed25519 FROM swarms ORDER BY pubkey, place"):
            found.setdefault(pubkey, []).append(key)
        return found

    def set_swarm(self, pubkey: str, nodes: Sequence[bytes]) -> None:
        """Writes one anew; without nodes it is forgotten."""
        with self._connection.joined():
            self._connection.execute("DELETE FROM swarms WHERE pubkey = ?", (clean(pubkey),))
            self._connection.many(
                "INSERT INTO swarms VALUES (?, ?, ?)", ((clean(pubkey), place, key) for place, key in enumerate(nodes))
            )
