"""What the portal keeps: events with the block up to which they are whole, registrations, rewards, returned stakes.

Everything but the registrations, the days and when stakes came back can be had from the chain again. A crash cuts off
nothing that was acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from allium.portal import documents
from allium.portal.contract_events import ContractEvent
from allium.portal.sql import NOTHING_GIVEN, PortalDatabaseError, PostgresDatabase, Sql, SqliteFile

_FORMAT = 2
#: As SQLite and PostgreSQL understand them.
_TABLES = (
    "CREATE TABLE scanned (rewards TEXT NOT NULL, chain BIGINT NOT NULL, block BIGINT NOT NULL)",
    "CREATE TABLE event (block BIGINT NOT NULL, log_index BIGINT NOT NULL, address TEXT NOT NULL, node BIGINT, "
    "told {bytes} NOT NULL, PRIMARY KEY (block, log_index))",
    "CREATE TABLE registration (pubkey TEXT PRIMARY KEY, operator TEXT NOT NULL, timestamp BIGINT NOT NULL, "
    "told {bytes} NOT NULL)",
    "CREATE INDEX registration_operator ON registration (operator, timestamp)",
    "CREATE INDEX registration_timestamp ON registration (timestamp)",
    "CREATE TABLE daily (address TEXT NOT NULL, day BIGINT NOT NULL, block BIGINT NOT NULL, rewards TEXT NOT NULL, "
    "timestamp BIGINT NOT NULL, PRIMARY KEY (address, day))",
)
#: What came with format 2: up to where the ledger was followed, and what had come back to an address from a block on.
_SINCE_2 = (
    "CREATE TABLE followed (height BIGINT NOT NULL, block BIGINT NOT NULL)",
    "INSERT INTO followed VALUES (0, -1)",
    "CREATE TABLE returned (address TEXT NOT NULL, block BIGINT NOT NULL, stakes TEXT NOT NULL, "
    "PRIMARY KEY (address, block))",
)
_FORMAT_TABLE = ("CREATE TABLE format (number BIGINT NOT NULL)", "INSERT INTO format VALUES (1)")
_SET_FORMAT = "UPDATE format SET number = ?"
#: Registrations that one answer lists, and days.
_MOST_LISTED, _MOST_DAYS = 100, 1000


class PortalDatabase:
    """The tables. May be used from several threads; all raise `PortalDatabaseError`."""

    def __init__(self, place: Path | str, chain_id: int, rewards: str, start: int) -> None:
        """Opens or makes them in a file, or in PostgreSQL by its URL; events are wanted from block `start` on."""
        self._sql: Sql = SqliteFile(place) if isinstance(place, Path) else PostgresDatabase(place)
        try:
            self._prepare(chain_id, rewards, start)
        except BaseException:
            self._sql.close()
            raise

    def close(self) -> None:
        """Lets go of them."""
        self._sql.close()

    def _prepare(self, chain_id: int, rewards: str, start: int) -> None:
        name = self._sql.name
        if not self._sql.has("scanned"):
            kind = "BLOB" if isinstance(self._sql, SqliteFile) else "BYTEA"
            tables = [(statement.format(bytes=kind), NOTHING_GIVEN) for statement in (*_TABLES, *_FORMAT_TABLE)]
            self._sql.change(*tables, ("INSERT INTO scanned VALUES (?, ?, ?)", [(rewards, chain_id, start - 1)]))
        elif not self._sql.has("format") and isinstance(self._sql, SqliteFile):
            # The first files had no such table.
            self._sql.change(*[(statement, NOTHING_GIVEN) for statement in _FORMAT_TABLE])
        if self._sql.has("format") and [*self._sql.rows("SELECT number FROM format")[0]] == [1]:
            self._sql.change(*[(statement, NOTHING_GIVEN) for statement in _SINCE_2], (_SET_FORMAT, [(_FORMAT,)]))
        if not self._sql.has("format") or [*self._sql.rows("SELECT number FROM format")[0]] != [_FORMAT]:
            raise PortalDatabaseError(f"{name} is of another version; move it away to begin anew")
        if [*map(tuple, self._sql.rows("SELECT rewards, chain FROM scanned"))] != [(rewards, chain_id)]:
            raise PortalDatabaseError(f"{name} is of other contracts; move it away to begin anew")

    # --- events

    @property
    def scanned(self) -> int:
        """The block up to which all events are here."""
        return int(self._sql.rows("SELECT block FROM scanned")[0][0])

    def replace(self, after: int, upto: int, events: Iterable[ContractEvent]) -> None:
        """Puts `events` in the place of all after a block, up to which they are whole now."""
        rows = [(*event.place, event.address, event.node, msgspec.json.encode(event.told)) for event in events]
        self._sql.change(
            ("DELETE FROM event WHERE block > ?", [(after,)]),
            ("INSERT INTO event (block, log_index, address, node, told) VALUES (?, ?, ?, ?, ?)", rows),
            ("UPDATE scanned SET block = ?", [(upto,)]),
        )

    def events(self) -> list[ContractEvent]:
        """All, in the order of the chain."""
        decoder = msgspec.json.Decoder(documents.Event)
        rows = self._sql.rows("SELECT address, node, told FROM event ORDER BY block, log_index")
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
        self._sql.change(
            ("DELETE FROM registration WHERE pubkey = ?", [row[:1]]),
            ("INSERT INTO registration (pubkey, operator, timestamp, told) VALUES (?, ?, ?, ?)", [row]),
        )
        [[count]] = self._sql.rows("SELECT count(*) FROM registration")
        if count > most:
            oldest = "SELECT pubkey FROM registration ORDER BY timestamp LIMIT ?"
            self._sql.change((f"DELETE FROM registration WHERE pubkey IN ({oldest})", [(count - most,)]))  # noqa: S608

    def registrations(self, key: str) -> list[documents.Registration]:
        """Those of an operator (checksummed address) or a node (64 hex digits), newest first."""
        asked = "SELECT told FROM registration WHERE pubkey = ? OR operator = ? ORDER BY timestamp DESC LIMIT ?"
        rows = self._sql.rows(asked, key, key, _MOST_LISTED)
        return [msgspec.json.decode(told, type=documents.Registration) for (told,) in rows]

    # --- each day's rewards

    def last_day(self) -> int:
        """The last day that was kept, since 1970; -1 when there is none."""
        [[day]] = self._sql.rows("SELECT max(day) FROM daily")
        return -1 if day is None else int(day)

    def keep_day(self, day: int, block: int, timestamp: int, rewards: Sequence[tuple[str, int]]) -> None:
        """Keeps what addresses had earned at a block of a day."""
        rows = [(address, day, block, str(earned), timestamp) for address, earned in rewards]
        asked = "INSERT INTO daily (address, day, block, rewards, timestamp) VALUES (?, ?, ?, ?, ?)"
        self._sql.change((f"{asked} ON CONFLICT DO NOTHING", rows))

    def days(self, address: str) -> list[documents.DailyRewards]:
        """Those of an address, newest first."""
        asked = "SELECT block, rewards, timestamp FROM daily WHERE address = ? ORDER BY day DESC LIMIT ?"
        return [
            documents.DailyRewards(block=block, lifetime_rewards=documents.amount(int(rewards)), timestamp=timestamp)
            for block, rewards, timestamp in self._sql.rows(asked, address, _MOST_DAYS)
        ]

    # --- when stakes came back

    def followed(self) -> tuple[int, int]:
        """The last height whose stakes were kept, and the block up to which it has taken events; 0 and -1 for none."""
        [[height, block]] = self._sql.rows("SELECT height, block FROM followed")
        return int(height), int(block)

    def returned(self) -> dict[str, list[tuple[int, int]]]:
        """By address, oldest first: from a block on, so much had come back in all."""
        found: dict[str, list[tuple[int, int]]] = {}
        for address, block, stakes in self._sql.rows("SELECT address, block, stakes FROM returned ORDER BY block"):
            found.setdefault(address, []).append((int(block), int(stakes)))
        return found

    def keep_returned(self, height: int, block: int, changed: Sequence[tuple[str, int, int]]) -> None:
        """Keeps what had changed at a height: addresses, the block since when, and what there is; nothing is later."""
        self._sql.change(
            ("DELETE FROM returned WHERE block > ?", [(block,)]),
            ("DELETE FROM returned WHERE address = ? AND block >= ?", [(who, since) for who, since, _ in changed]),
            (
                "INSERT INTO returned (address, block, stakes) VALUES (?, ?, ?)",
                [(who, since, str(stakes)) for who, since, stakes in changed],
            ),
            ("UPDATE followed SET height = ?, block = ?", [(height, block)]),
        )
