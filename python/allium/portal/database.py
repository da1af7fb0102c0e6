"""What the portal keeps: events with the block up to which they are whole, registrations, and each day's rewards.

Everything but the registrations can be had from the chain again. A crash cuts off nothing that was acknowledged.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from allium.base import files
from allium.errors import Complaint
from allium.portal import documents
from allium.portal.contract_events import ContractEvent

_FORMAT = 1
_TABLES = (
    "CREATE TABLE scanned (rewards TEXT NOT NULL, chain INTEGER NOT NULL, block INTEGER NOT NULL)",
    "CREATE TABLE event (block INTEGER NOT NULL, log_index INTEGER NOT NULL, address TEXT NOT NULL, node INTEGER, "
    "told BLOB NOT NULL, PRIMARY KEY (block, log_index)) WITHOUT ROWID",
    "CREATE TABLE registration (pubkey TEXT PRIMARY KEY, operator TEXT NOT NULL, timestamp INTEGER NOT NULL, "
    "told BLOB NOT NULL) WITHOUT ROWID",
    "CREATE INDEX registration_operator ON registration (operator, timestamp)",
    "CREATE INDEX registration_timestamp ON registration (timestamp)",
    "CREATE TABLE daily (address TEXT NOT NULL, day INTEGER NOT NULL, block INTEGER NOT NULL, rewards TEXT NOT NULL, "
    "timestamp INTEGER NOT NULL, PRIMARY KEY (address, day)) WITHOUT ROWID",
    f"PRAGMA user_version = {_FORMAT}",
)
#: Registrations that one answer lists, and days.
_MOST_LISTED, _MOST_DAYS = 100, 1000


class PortalDatabaseError(Complaint, RuntimeError):
    """The file cannot be used; the text says what to do."""


class PortalDatabase:
    """The file. May be used from several threads."""

    def __init__(self, path: Path, chain_id: int, rewards: str, start: int) -> None:
        """Opens or makes it; events are wanted from block `start` on. Raises `PortalDatabaseError`."""
        self._path, self._lock = path, threading.Lock()
        try:
            self._database = sqlite3.connect(path, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            files.own(path, path.parent)
            self._prepare(chain_id, rewards, start)
        except sqlite3.Error as error:
            raise PortalDatabaseError(f"{path} cannot be used: {error}; move it away to begin anew") from None

    def close(self) -> None:
        """Lets go of the file."""
        self._database.close()

    def _prepare(self, chain_id: int, rewards: str, start: int) -> None:
        if self._database.execute("PRAGMA user_version").fetchone()[0] == 0:
            with self._database:
                self._database.execute("BEGIN")
                for statement in _TABLES:
                    self._database.execute(statement)
                self._database.execute("INSERT INTO scanned VALUES (?, ?, ?)", (rewards, chain_id, start - 1))
        if self._database.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
            raise PortalDatabaseError(f"{self._path} is of another version; move it away to begin anew")
        if self._database.execute("SELECT rewards, chain FROM scanned").fetchall() != [(rewards, chain_id)]:
            raise PortalDatabaseError(f"{self._path} is of other contracts; move it away to begin anew")

    # --- events

    @property
    def scanned(self) -> int:
        """The block up to which all events are here."""
        with self._lock:
            return int(self._database.execute("SELECT block FROM scanned").fetchone()[0])

    def replace(self, after: int, upto: int, events: Iterable[ContractEvent]) -> None:
        """Puts `events` in the place of all after a block, up to which they are whole now."""
        rows = [(*event.place, event.address, event.node, msgspec.json.encode(event.told)) for event in events]
        with self._lock, self._database:
            self._database.execute("DELETE FROM event WHERE block > ?", (after,))
            self._database.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?)", rows)
            self._database.execute("UPDATE scanned SET block = ?", (upto,))

    def events(self) -> list[ContractEvent]:
        """All, in the order of the chain."""
        decoder = msgspec.json.Decoder(documents.Event)
        with self._lock:
            rows = self._database.execute("SELECT address, node, told FROM event ORDER BY block, log_index").fetchall()
        return [ContractEvent(address, node, decoder.decode(told)) for address, node, told in rows]

    # --- registrations

    def register(self, registration: documents.Registration, most: int) -> None:
        """Keeps what a node signed, in the place of what it signed before; the oldest go when there are too many."""
        row = (
            registration.pubkey_ed25519,
            registration.operator,
            registration.timestamp,
            msgspec.json.encode(registration),
        )
        with self._lock, self._database:
            self._database.execute("INSERT OR REPLACE INTO registration VALUES (?, ?, ?, ?)", row)
            [count] = self._database.execute("SELECT count(*) FROM registration").fetchone()
            if count > most:
                self._database.execute(
                    "DELETE FROM registration WHERE pubkey IN "
                    "(SELECT pubkey FROM registration ORDER BY timestamp LIMIT ?)",
                    (count - most,),
                )

    def registrations(self, key: str) -> list[documents.Registration]:
        """Those of an operator (checksummed address) or a node (64 hex digits), newest first."""
        asked = "SELECT told FROM registration WHERE pubkey = ? OR operator = ? ORDER BY timestamp DESC LIMIT ?"
        with self._lock:
            rows = self._database.execute(asked, (key, key, _MOST_LISTED)).fetchall()
        return [msgspec.json.decode(told, type=documents.Registration) for (told,) in rows]

    # --- each day's rewards

    def last_day(self) -> int:
        """The last day that was kept, since 1970; -1 when there is none."""
        with self._lock:
            [day] = self._database.execute("SELECT max(day) FROM daily").fetchone()
        return -1 if day is None else int(day)

    def keep_day(self, day: int, block: int, timestamp: int, rewards: Sequence[tuple[str, int]]) -> None:
        """Keeps what addresses had earned at a block of a day."""
        rows = [(address, day, block, str(earned), timestamp) for address, earned in rewards]
        with self._lock, self._database:
            self._database.executemany("INSERT OR IGNORE INTO daily VALUES (?, ?, ?, ?, ?)", rows)

    def days(self, address: str) -> list[documents.DailyRewards]:
        """Those of an address, newest first."""
        asked = "SELECT block, rewards, timestamp FROM daily WHERE address = ? ORDER BY day DESC LIMIT ?"
        with self._lock:
            rows = self._database.execute(asked, (address, _MOST_DAYS)).fetchall()
        return [
            documents.DailyRewards(block=block, lifetime_rewards=documents.amount(int(rewards)), timestamp=timestamp)
            for block, rewards, timestamp in rows
        ]
