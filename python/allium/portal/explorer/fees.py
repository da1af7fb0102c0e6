"""Fees that were paid for names and for Pro: what the contract that splits them said, kept in the explorer's file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address

from allium.portal.contract_events import Log
from allium.staking import abi
from allium.staking.provider import ProviderError

_SPLIT = next(entry for entry in abi.load("FeeSplitter") if entry["type"] == "event" and entry["name"] == "Split")
TOPIC = f"0x{abi.topic(_SPLIT).hex()}"
#: How many of the last blocks may be replaced, and how far one step reaches, after which it is kept.
_RESCAN_BLOCKS, _STEP_BLOCKS = 60, 50_000

#: The logs of contracts after a block, up to another: as `Indexer.logs`.
LogSource = Callable[[int, int, Sequence[tuple[str, ...]], Sequence[str]], Awaitable[list[Log]]]


@dataclass(frozen=True)
class Payment:
    """One fee that was split; atomic units, the address is checksummed."""

    block: int
    log_index: int
    tx: str
    payer: str
    fee: int
    to_pool: int
    to_liquidity: int

    @classmethod
    def of(cls, log: Log) -> Payment:
        """Of `Split`; raises `ProviderError` for what the contract cannot have said."""
        try:
            (fee, to_pool, to_liquidity), payer = decode(["uint256"] * 3, log.data), log.topics[1][-20:]
        except (DecodingError, IndexError):
            raise ProviderError("gives a log that the contract of the fees cannot have made") from None
        return cls(log.block, log.index, f"0x{log.tx}", to_checksum_address(payer), fee, to_pool, to_liquidity)


_NUMBERS = ("block", "log_index")
_COLUMNS = ", ".join(field.name for field in fields(Payment))
_TABLES = (
    "CREATE TABLE IF NOT EXISTS payment (block INTEGER NOT NULL, log_index INTEGER NOT NULL, tx TEXT NOT NULL, "
    "payer TEXT NOT NULL, fee TEXT NOT NULL, to_pool TEXT NOT NULL, to_liquidity TEXT NOT NULL, "
    "PRIMARY KEY (block, log_index))",
    "CREATE TABLE IF NOT EXISTS payments_known (contract TEXT NOT NULL, block INTEGER NOT NULL)",
)


class Payments:
    """All of them up to a block. Methods raise `sqlite3.Error` and what `logs` raises."""

    def __init__(self, path: Path, contract: ChecksumAddress, first: int, logs: LogSource) -> None:
        """In a file; `first` is the first block that can hold one."""
        self._path, self._contract, self._first, self._logs = path, contract, first, logs
        self.every: tuple[Payment, ...] = ()
        #: Up to which block they are known.
        self.block = first - 1

    def open(self) -> None:
        """Takes up what was kept, if it is of this contract."""
        with closing(sqlite3.connect(self._path)) as database, database:
            for table in _TABLES:
                database.execute(table)
            if database.execute("SELECT contract FROM payments_known").fetchall() != [(self._contract,)]:
                database.execute("DELETE FROM payments_known")
                database.execute("DELETE FROM payment")
                database.execute("INSERT INTO payments_known VALUES (?, ?)", (self._contract, self._first - 1))
            [(self.block,)] = database.execute("SELECT block FROM payments_known").fetchall()
            rows = database.execute(f"SELECT {_COLUMNS} FROM payment ORDER BY block, log_index").fetchall()  # noqa: S608
        self.every = tuple(Payment(*row[:4], *map(int, row[4:])) for row in rows)

    async def follow(self, goal: int) -> None:
        """Goes on up to a block; the last ones are read again, as they may have been replaced."""
        after = max(self._first - 1, min(self.block, goal) - _RESCAN_BLOCKS)
        while after < goal:
            upto = min(goal, after + _STEP_BLOCKS)
            logs = await self._logs(after, upto, [(self._contract,)], [TOPIC])
            # Anybody may have nothing split, as often as they like.
            found = [payment for payment in map(Payment.of, logs) if payment.fee]
            await asyncio.to_thread(self._replace, after, upto, found)
            self.every = (*(each for each in self.every if each.block <= after), *found)
            self.block = after = upto

    def _replace(self, after: int, upto: int, found: Sequence[Payment]) -> None:
        rows = [
            [value if name in _NUMBERS else str(value) for name, value in zip(_names(), astuple(each), strict=True)]
            for each in found
        ]
        with closing(sqlite3.connect(self._path)) as database, database:
            database.execute("DELETE FROM payment WHERE block > ?", (after,))
            marks = ", ".join("?" * len(_names()))
            database.executemany(f"INSERT INTO payment ({_COLUMNS}) VALUES ({marks})", rows)  # noqa: S608
            database.execute("UPDATE payments_known SET block = ?", (upto,))


def _names() -> list[str]:
    return [field.name for field in fields(Payment)]
