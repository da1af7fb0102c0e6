"""Dumps of configs, and single facts."""

from __future__ import annotations

from allium.client.database.connection import Connection, clean


class Configs:
    """The dump of each config: of an account's, or of a group's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, pubkey: str, namespace: int) -> bytes | None:
        """The dump."""
        found: bytes | None = self._connection.value(
            "SELECT dump FROM configs WHERE pubkey = ? AND namespace = ?", (clean(pubkey), namespace)
        )
        return found

    def of(self, pubkey: str) -> dict[int, bytes]:
        """All dumps of an account or group, by namespace."""
        return dict(self._connection.rows("SELECT namespace, dump FROM configs WHERE pubkey = ?", (clean(pubkey),)))

    def set(self, pubkey: str, namespace: int, dump: bytes) -> None:
        """In the transaction that keeps what the config said."""
        self._connection.execute(
            "INSERT INTO configs VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET dump = excluded.dump",
            (clean(pubkey), namespace, dump),
        )

    def forget(self, pubkey: str) -> None:
        """All of a group."""
        self._connection.execute("DELETE FROM configs WHERE pubkey = ?", (clean(pubkey),))


class Facts:
    """Single values by name: the account's secret, settings, offsets."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> bytes | None:
        """The value."""
        found: bytes | None = self._connection.value("SELECT value FROM facts WHERE name = ?", (name,))
        return found

    def set(self, name: str, value: bytes) -> None:
        """Writes a value over what was there."""
        self._connection.execute(
            "INSERT INTO facts VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (name, value)
        )

    def remove(self, name: str) -> None:
        """Forgets it."""
        self._connection.execute("DELETE FROM facts WHERE name = ?", (name,))
