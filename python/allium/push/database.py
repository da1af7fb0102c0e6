"""Subscriptions, and notifications that wait to be delivered, in one SQLite database.

A notification waits, is being sent, or is there no more: it was delivered, or given up. What was being sent when the
process died waits again, so a device may be told twice, and never not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allium.base.sqlite_writing import Format, WritingThread
from allium.push.subscription import SIGNATURE_SECONDS, Device, Permission, Subscription

#: In the data directory.
FILE_NAME = "push.sqlite"
WAITING, SENDING = 0, 1
_SCHEMA = """
CREATE TABLE subscription (
    id INTEGER PRIMARY KEY AUTOINCREMENT, account BLOB NOT NULL, service TEXT NOT NULL, token TEXT NOT NULL,
    web_key BLOB, ed25519 BLOB, subaccount BLOB, subaccount_signature BLOB, signed_at INTEGER NOT NULL,
    signature BLOB NOT NULL, namespaces TEXT NOT NULL, data INTEGER NOT NULL, enc_key BLOB NOT NULL,
    UNIQUE (account, service, token)
) STRICT;
CREATE INDEX subscription_signed ON subscription (signed_at);
CREATE TABLE notification (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription INTEGER NOT NULL,
    service TEXT NOT NULL, state INTEGER NOT NULL, due REAL NOT NULL, attempts INTEGER NOT NULL, expires REAL NOT NULL,
    payload TEXT NOT NULL
) STRICT;
CREATE INDEX notification_due ON notification (service, state, due);
CREATE INDEX notification_subscription ON notification (subscription);
CREATE INDEX notification_expires ON notification (expires);
"""
_FORMAT = Format("a push server's database", 0x416C7075, 1, _SCHEMA)
_COLUMNS = (
    "account, service, token, web_key, ed25519, subaccount, subaccount_signature, signed_at, signature, namespaces, "
    "data, enc_key"
)
#: Rows in one step of what takes long.
_STEP = 500


@dataclass(frozen=True, slots=True)
class StoredSubscription:
    """A subscription and what it is called here."""

    id: int
    subscription: Subscription


@dataclass(frozen=True, slots=True)
class NewNotification:
    """A notification that is to be delivered. Times are Unix seconds."""

    subscription: int
    service: str
    due: float
    expires: float
    payload: str


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification that is being sent."""

    id: int
    subscription: int
    device: Device
    attempts: int
    expires: float
    payload: str


@dataclass(frozen=True, slots=True)
class Totals:
    """How much there is."""

    subscriptions: int
    queued: int


class PushDatabase:
    """The database. Its methods are called from one event loop."""

    def __init__(self, path: Path) -> None:
        """Opens the database, or makes it; raises `DatabaseUnusableError`."""
        self._db = WritingThread(path, _FORMAT)

    async def open(self) -> Totals:
        """Has to come first: what was being sent waits again."""

        def work(db: sqlite3.Connection) -> Totals:
            db.execute("UPDATE notification SET state = ? WHERE state = ?", (WAITING, SENDING))
            return _totals(db)

        return await self._db.do(work)

    async def close(self) -> None:
        """Writes what is queued, and closes."""
        await self._db.close()

    # --- subscriptions

    async def subscribe(self, asked: Sequence[Subscription], of_account: int) -> list[tuple[bool, int]]:
        """Puts subscriptions in place of those for the same account and device.

        For each: whether it was new, and how many of its account's made room, the ones that were signed first.
        """
        return await self._db.do(lambda db: [_subscribe(db, one, of_account) for one in asked])

    async def unsubscribe(self, account: bytes, device: Device) -> bool:
        """Ends a subscription; whether there was one."""
        condition = "account = ? AND service = ? AND token = ?"
        return await self._db.do(lambda db: _remove(db, condition, account, device.service, device.token) > 0)

    async def remove(self, subscription: int) -> bool:
        """Ends a subscription whose device is no more; whether there was one."""
        return await self._db.do(lambda db: _remove(db, "id = ?", subscription) > 0)

    async def lapse(self, now: float) -> list[bytes]:
        """Ends some of the subscriptions whose signature no node takes any more; of which accounts they were."""

        def work(db: sqlite3.Connection) -> list[bytes]:
            query = "SELECT id, account FROM subscription WHERE signed_at <= ? LIMIT ?"
            rows = db.execute(query, (now - SIGNATURE_SECONDS, _STEP)).fetchall()
            for number, _ in rows:
                _remove(db, "id = ?", number)
            return [account for _, account in rows]

        return await self._db.do(work)

    def of_account(self, account: bytes) -> list[StoredSubscription]:
        """An account's subscriptions."""
        query = f"SELECT id, {_COLUMNS} FROM subscription WHERE account = ?"  # noqa: S608 - our own text
        return [
            StoredSubscription(row[0], _subscription(row[1:])) for row in self._db.reader.execute(query, (account,))
        ]

    def has(self, account: bytes) -> bool:
        """Whether the account has any."""
        query = "SELECT 1 FROM subscription WHERE account = ?"
        return self._db.reader.execute(query, (account,)).fetchone() is not None

    def has_device(self, account: bytes, device: Device) -> bool:
        """Whether the account has one for this device."""
        query = "SELECT 1 FROM subscription WHERE account = ? AND service = ? AND token = ?"
        values = account, device.service, device.token
        return self._db.reader.execute(query, values).fetchone() is not None

    def accounts(self) -> Iterator[bytes]:
        """The accounts that have any."""
        for (account,) in self._db.reader.execute("SELECT DISTINCT account FROM subscription"):
            yield account

    async def totals(self) -> Totals:
        """How much there is."""
        return await self._db.do(_totals)

    # --- notifications

    async def add(self, notifications: Sequence[NewNotification], of_subscription: int) -> int:
        """Takes notifications in, so many for one subscription at most; how many. On disk when this returns."""
        # One whose subscription has ended meanwhile is for nobody.
        query = (
            "INSERT INTO notification (subscription, service, state, due, attempts, expires, payload) "
            "SELECT ?1, ?2, ?3, ?4, 0, ?5, ?6 WHERE EXISTS (SELECT 1 FROM subscription WHERE id = ?1) "
            "AND (SELECT count(*) FROM notification WHERE subscription = ?1) < ?7"
        )
        rows = [
            (one.subscription, one.service, WAITING, one.due, one.expires, one.payload, of_subscription)
            for one in notifications
        ]
        return await self._db.do(lambda db: db.executemany(query, rows).rowcount)

    async def claim(self, service: str, now: float, limit: int) -> list[Notification]:
        """The next that are due to a service; from now on they are being sent."""

        def work(db: sqlite3.Connection) -> list[Notification]:
            query = (
                "SELECT n.id, s.id, s.service, s.token, s.web_key, n.attempts, n.expires, n.payload "
                "FROM notification n JOIN subscription s ON s.id = n.subscription "
                "WHERE n.service = ? AND n.state = ? AND n.due <= ? ORDER BY n.due LIMIT ?"
            )
            rows = db.execute(query, (service, WAITING, now, limit)).fetchall()
            db.executemany("UPDATE notification SET state = ? WHERE id = ?", [(SENDING, row[0]) for row in rows])
            return [Notification(row[0], row[1], Device(row[2], row[3], row[4]), *row[5:]) for row in rows]

        return await self._db.do(work)

    def next_due(self, service: str) -> float | None:
        """When the next one is due, Unix seconds."""
        query = "SELECT min(due) FROM notification WHERE service = ? AND state = ?"
        found: float | None = self._db.reader.execute(query, (service, WAITING)).fetchone()[0]
        return found

    async def finish(self, numbers: Iterable[int]) -> None:
        """Notifications that are delivered, or given up."""
        rows = [(number,) for number in numbers]
        await self._db.do(lambda db: db.executemany("DELETE FROM notification WHERE id = ?", rows))

    async def postpone(self, number: int, due: float) -> None:
        """One that could not be delivered waits again."""
        query = "UPDATE notification SET state = ?, due = ?, attempts = attempts + 1 WHERE id = ?"
        await self._db.do(lambda db: db.execute(query, (WAITING, due, number)))

    async def expire(self, now: float) -> int:
        """Drops some of those that wait for too long; how many."""
        query = (
            "DELETE FROM notification WHERE id IN "
            "(SELECT id FROM notification WHERE expires <= ? AND state = ? LIMIT ?)"
        )
        return await self._db.do(lambda db: db.execute(query, (now, WAITING, _STEP)).rowcount)


def _totals(db: sqlite3.Connection) -> Totals:
    query = "SELECT (SELECT count(*) FROM subscription), (SELECT count(*) FROM notification)"
    return Totals(*db.execute(query).fetchone())


def _remove(db: sqlite3.Connection, condition: str, *values: object) -> int:
    """Removes subscriptions, with what waits for their devices."""
    chosen = f"SELECT id FROM subscription WHERE {condition}"  # noqa: S608 - our own text
    db.execute(f"DELETE FROM notification WHERE subscription IN ({chosen})", values)  # noqa: S608 - our own text
    return db.execute(f"DELETE FROM subscription WHERE {condition}", values).rowcount  # noqa: S608 - our own text


def _subscribe(db: sqlite3.Connection, asked: Subscription, of_account: int) -> tuple[bool, int]:
    given, device = asked.permission, asked.device
    token, signature = given.subaccount or (None, None)
    row = (
        *(given.account, device.service, device.token, device.web_key, given.ed25519, token, signature),
        *(given.signed_at, given.signature, ",".join(map(str, asked.namespaces)), int(asked.data), asked.enc_key),
    )
    found = db.execute(
        "SELECT id FROM subscription WHERE account = ? AND service = ? AND token = ?", row[:3]
    ).fetchone()
    if found is not None:
        names = ", ".join(f"{name} = ?" for name in _COLUMNS.split(", "))
        db.execute(f"UPDATE subscription SET {names} WHERE id = ?", (*row, found[0]))  # noqa: S608 - our own text
        return False, 0
    kept = "SELECT id FROM subscription WHERE account = ?1 ORDER BY signed_at DESC LIMIT ?2"
    made_room = _remove(db, f"account = ?1 AND id NOT IN ({kept})", given.account, of_account - 1)
    db.execute(f"INSERT INTO subscription ({_COLUMNS}) VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608
    return True, made_room


def _subscription(row: Sequence[Any]) -> Subscription:
    account, service, token, web_key, ed25519, subaccount, proof, signed_at, signature, namespaces, data, enc_key = row
    permission = Permission(account, ed25519, (subaccount, proof) if subaccount else None, signed_at, signature)
    named = tuple(map(int, namespaces.split(",")))
    return Subscription(permission, Device(service, token, web_key), named, bool(data), enc_key)
