"""Secrets that a device alone has, and deletes when they have served: its keys of protocol v2. No backup has them."""

from __future__ import annotations

from allium.client.database.connection import Connection


class Secrets:
    """Single values by name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> bytes | None:
        """The value."""
        found: bytes | None = self._connection.value("SELECT value FROM secrets WHERE name = ?", (name,))
        return found

    def set(self, name: str, value: bytes) -> None:
        """Writes a value over what was there; `shred` has nothing of that left."""
        self._connection.execute(
            "INSERT INTO secrets VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (name, value)
        )

    def shred(self) -> None:
        """After a commit: puts the write-ahead log into the file and empties it.

        What was written over is zeroed in the file when that happens, but the log still has the pages as they were.
        """
        self._connection.row("PRAGMA wal_checkpoint(TRUNCATE)")
