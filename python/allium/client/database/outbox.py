"""What has to be stored in swarms, until it is: written before it is sent, so that a kill loses nothing.

The bytes are made once and kept, and with them the hash that each node computes of them. Who is killed between sending
and hearing of it sends the same bytes again, and they are the same message: nobody gets it twice.
"""

from __future__ import annotations

from collections.abc import Iterable

from allium.client.database.connection import Connection, Row, bounded, clean
from allium.client.database.rows import OutboxItem, OutboxState
from allium.client.swarm import message_hash

_SELECT = (
    "SELECT id, pubkey, namespace, hash, payload, ttl, timestamp, purpose, message, state, attempts, not_before, "
    "stored, error, EXISTS (SELECT 1 FROM contents WHERE contents.item = outbox.id) FROM outbox"
)
#: Queued, and behind nothing that is not stored.
_FREE = (
    "state = 'queued' AND NOT EXISTS "
    "(SELECT 1 FROM outbox first WHERE first.id = outbox.after AND first.state <> 'stored')"
)


class Outbox:
    """Items on their way to swarms."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(
        self,
        pubkey: str,
        namespace: int,
        payload: bytes,
        *,
        ttl: int,
        timestamp: int,
        purpose: str = "message",
        message: int | None = None,
        after: int | None = None,
        content: bytes = b"",
    ) -> OutboxItem:
        """Queues bytes for a swarm; of the same bytes for the same swarm there is one item.

        `pubkey` is hex with its prefix, `payload` what is stored, without base64; `ttl` is in milliseconds. `message`
        is the one whose state hangs on it; `after` an item that has to be stored first. `content` is what is sealed
        anew before the item is first sent, see `sealed`.
        """
        pubkey = pubkey.lower()
        stored = message_hash(pubkey, namespace, payload)
        with self._connection.joined():
            self._connection.execute(
                "INSERT INTO outbox (pubkey, namespace, hash, payload, ttl, timestamp, purpose, message, after, state) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    pubkey,
                    namespace,
                    stored,
                    payload,
                    bounded(ttl),
                    bounded(timestamp),
                    clean(purpose),
                    message,
                    after,
                    OutboxState.QUEUED.value,
                ),
            )
            row = self._connection.row(
                f"{_SELECT} WHERE hash = ? AND pubkey = ? AND namespace = ?", (stored, pubkey, namespace)
            )
            if content and row is not None:
                self._connection.execute("INSERT INTO contents VALUES (?, ?) ON CONFLICT DO NOTHING", (row[0], content))
                row = (*row[:-1], 1)
        assert row is not None  # noqa: S101 - it was made
        return _item(row)

    def get(self, item: int) -> OutboxItem | None:
        """The item of this number."""
        row = self._connection.row(f"{_SELECT} WHERE id = ?", (item,))
        return None if row is None else _item(row)

    def of(self, message: int) -> list[OutboxItem]:
        """All items of a message."""
        return [_item(row) for row in self._connection.rows(f"{_SELECT} WHERE message = ? ORDER BY id", (message,))]

    def due(self, now: int, limit: int = 20) -> list[OutboxItem]:
        """What is to be sent by `now`, in order; what waits for another item is not."""
        rows = self._connection.rows(
            f"{_SELECT} WHERE {_FREE} AND not_before <= ? ORDER BY id LIMIT ?", (bounded(now), limit)
        )
        return [_item(row) for row in rows]

    def next_due(self) -> int | None:
        """When the next item may be sent, in Unix milliseconds; None if none waits for its time alone."""
        found: int | None = self._connection.value(
            f"SELECT min(not_before) FROM outbox WHERE {_FREE}"  # noqa: S608 - our own text
        )
        return found

    def content(self, item: int) -> bytes | None:
        """Of an item that is not sealed for good yet, what is to be; None of any other."""
        found: bytes | None = self._connection.value("SELECT content FROM contents WHERE item = ?", (item,))
        return found

    def sealed(self, item: OutboxItem, payload: bytes | None) -> OutboxItem:
        """The item with these bytes in place of those it had, or with those: from now on they are never others."""
        with self._connection.joined():
            self._connection.execute("DELETE FROM contents WHERE item = ?", (item.id,))
            if payload is not None:
                self._connection.execute(
                    "UPDATE outbox SET payload = ?, hash = ? WHERE id = ?",
                    (payload, message_hash(item.pubkey, item.namespace, payload), item.id),
                )
        return self.get(item.id) or item

    def sending(self, items: Iterable[int]) -> None:
        """Before they are given to the network."""
        self._connection.many(
            "UPDATE outbox SET state = ?, attempts = attempts + 1 WHERE id = ?",
            ((OutboxState.SENDING.value, each) for each in items),
        )

    def stored(self, item: int, timestamp: int) -> None:
        """The swarm has it, since `timestamp` by its clock; the bytes are not needed any more."""
        self._connection.execute(
            "UPDATE outbox SET state = ?, stored = ?, payload = x'', error = '' WHERE id = ?",
            (OutboxState.STORED.value, bounded(timestamp), item),
        )

    def retry(self, item: int, not_before: int, error: str = "") -> None:
        """It was not stored, or nobody knows: again, not before a time."""
        self._connection.execute(
            "UPDATE outbox SET state = ?, not_before = ?, error = ? WHERE id = ?",
            (OutboxState.QUEUED.value, bounded(not_before), clean(error), item),
        )

    def failed(self, item: int, error: str) -> None:
        """It was refused for good, or too often; `retry` takes it up again."""
        self._connection.execute(
            "UPDATE outbox SET state = ?, error = ? WHERE id = ?", (OutboxState.FAILED.value, clean(error), item)
        )

    def remove(self, item: int) -> None:
        """Takes it back, or forgets it, and what waits for it."""
        self._connection.execute("DELETE FROM outbox WHERE id = ?", (item,))

    def recover(self) -> int:
        """What was being sent when a process ended is queued again; returns how many. `Database.open` does it."""
        # Who only reads should not need room on the disk.
        if self._connection.row("SELECT 1 FROM outbox WHERE state = ?", (OutboxState.SENDING.value,)) is None:
            return 0
        return self._connection.execute(
            "UPDATE outbox SET state = ?, not_before = 0 WHERE state = ?",
            (OutboxState.QUEUED.value, OutboxState.SENDING.value),
        )

    def prune(self, before: int) -> None:
        """Forgets what was stored before a time, and nothing waits for."""
        self._connection.execute(
            "DELETE FROM outbox WHERE state = 'stored' AND stored < ? AND NOT EXISTS "
            "(SELECT 1 FROM outbox next WHERE next.after = outbox.id AND next.state <> 'stored')",
            (bounded(before),),
        )


def _item(row: Row) -> OutboxItem:
    number, pubkey, namespace, stored, payload, ttl, timestamp, purpose, message, state, *rest = row
    begun = (number, pubkey, namespace, stored, payload, ttl, timestamp, purpose, message)
    attempts, not_before, when, error, unsealed = rest
    return OutboxItem(*begun, OutboxState(state), attempts, not_before, when, error, bool(unsealed))
