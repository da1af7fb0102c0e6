"""What came and could not be read, kept for a newer version that can; the oldest goes when there is too much."""

from __future__ import annotations

from allium.client.database.connection import Connection, Row, bounded, clean
from allium.client.database.rows import Unreadable

#: Items, and bytes of one, which are as many as a node takes (`spec/node-rpc` §2). Anybody may send such.
MAX_ITEMS, MAX_BYTES = 2_000, 76_800
_COUNTED = "unreadable"
_SELECT = "SELECT id, pubkey, namespace, hash, data, timestamp, reason FROM unreadable"


class UnreadableMessages:
    """Messages that this version makes nothing of."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, pubkey: str, namespace: int, stored: str, data: bytes, timestamp: int, reason: str) -> bool:
        """Keeps a message, or only counts it if it is too large; False if it was there."""
        kept = data if len(data) <= MAX_BYTES else b""
        with self._connection.joined():
            number = self._connection.insert(
                "INSERT INTO unreadable (pubkey, namespace, hash, data, timestamp, reason) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (clean(pubkey), namespace, clean(stored), kept, bounded(timestamp), clean(reason)),
            )
            if number is None:
                return False
            self._connection.execute(
                "INSERT INTO facts VALUES (?, CAST('1' AS BLOB)) "
                "ON CONFLICT DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS BLOB)",
                (_COUNTED,),
            )
            self._connection.execute("DELETE FROM unreadable WHERE id <= ?", (number - MAX_ITEMS,))
        return True

    def total(self) -> int:
        """How many there ever were."""
        return int(self._connection.value("SELECT value FROM facts WHERE name = ?", (_COUNTED,)) or 0)

    def after(self, number: int = 0, limit: int = 100) -> list[Unreadable]:
        """Those that are kept, behind the one of this number."""
        rows = self._connection.rows(f"{_SELECT} WHERE id > ? ORDER BY id LIMIT ?", (number, limit))
        return [_unreadable(row) for row in rows]

    def remove(self, number: int) -> None:
        """It was read after all."""
        self._connection.execute("DELETE FROM unreadable WHERE id = ?", (number,))


def _unreadable(row: Row) -> Unreadable:
    return Unreadable(*row)
