"""The network's figures over time: one sample an hour for a month, then one a day, in a file of the explorer's own.

Nobody else keeps them; what is lost cannot be had again, and nothing but the chart depends on it.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from allium.base import files

_HOUR, _DAY = 3600, 86_400
_HOURLY_SECONDS = 31 * _DAY
#: Twenty years of days.
_MOST = 8000
_TABLE = (
    "CREATE TABLE IF NOT EXISTS sample (slot INTEGER PRIMARY KEY, time INTEGER NOT NULL, height INTEGER NOT NULL, "
    "block INTEGER NOT NULL, nodes INTEGER NOT NULL, active INTEGER NOT NULL, staked TEXT NOT NULL, "
    "earned TEXT NOT NULL, claimed TEXT NOT NULL, reward TEXT NOT NULL, pool TEXT NOT NULL)"
)


@dataclass(frozen=True)
class Sample:
    """The figures at one height. Amounts are atomic units."""

    #: Unix time of the height.
    time: int
    height: int
    #: Of the EVM chain, for `claimed` and `pool`.
    block: int
    nodes: int
    active: int
    staked: int
    #: All rewards that ever were credited, and that ever were claimed.
    earned: int
    claimed: int
    #: Of one height.
    reward: int
    pool: int


_NUMBERS = ("time", "height", "block", "nodes", "active")
_COLUMNS = ", ".join(field.name for field in fields(Sample))


class Samples:
    """The file. May be used from several threads; every method raises `sqlite3.Error`."""

    def __init__(self, path: Path) -> None:
        """Opens or makes it."""
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        with self._database:
            self._database.execute(_TABLE)
        files.own(path, path.parent)

    def close(self) -> None:
        """Lets go of the file."""
        self._database.close()

    def keep(self, sample: Sample) -> None:
        """Keeps the first of each hour, and of what is older than a month the first of each day."""
        row = [value if name in _NUMBERS else str(value) for name, value in zip(_names(), astuple(sample), strict=True)]
        slot = sample.time // _HOUR
        with self._lock, self._database:
            marks = ", ".join("?" * len(row))
            self._database.execute(f"INSERT OR IGNORE INTO sample (slot, {_COLUMNS}) VALUES (?, {marks})", [slot, *row])  # noqa: S608
            self._database.execute(
                "DELETE FROM sample WHERE slot < ?1 AND slot NOT IN "
                "(SELECT min(slot) FROM sample WHERE slot < ?1 GROUP BY slot / 24)",
                ((sample.time - _HOURLY_SECONDS) // _HOUR,),
            )
            self._database.execute(
                "DELETE FROM sample WHERE slot NOT IN (SELECT slot FROM sample ORDER BY slot DESC LIMIT ?)", (_MOST,)
            )

    def all(self) -> list[Sample]:
        """All that is kept, oldest first."""
        with self._lock:
            rows = self._database.execute(f"SELECT {_COLUMNS} FROM sample ORDER BY slot").fetchall()  # noqa: S608
        return [Sample(*map(int, row)) for row in rows]


def _names() -> list[str]:
    return [field.name for field in fields(Sample)]
