"""What a node knows of the others, over its restarts: a row for each node in an SQLite file, bounded as `records` is.

Nothing depends on it but how much a node that starts has to find out anew. So a crash may cut off what came since the
last `keep`, and a file that cannot be read, or is another network's, is begun anew.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from allium.appchain.encoding import EncodingError, decode, encode
from allium.appchain.types import Hash, Height, PublicKey, Seconds
from allium.appchain.verdicts import Proven
from allium.base import files, log
from allium.liveness.proof import ProofError, SignedProof

_FORMAT = 1
_TABLES = (
    "DROP TABLE IF EXISTS work",
    "DROP TABLE IF EXISTS node",
    "CREATE TABLE work (chain BLOB NOT NULL, since REAL NOT NULL, until REAL NOT NULL, height INTEGER NOT NULL)",
    "CREATE TABLE node (key BLOB PRIMARY KEY, encoded BLOB NOT NULL) WITHOUT ROWID",
    f"PRAGMA user_version = {_FORMAT}",
)


@dataclass(frozen=True)
class Accepted:
    """A proof, and when it came."""

    proof: SignedProof
    at: Seconds


@dataclass(frozen=True)
class SavedRecord:
    """Of one node: what `Found` is made of, and the proofs themselves. Times are Unix time by the own clock."""

    active_since: Height
    decommissioned_at: Height
    excused: Seconds
    #: Newest last.
    proofs: tuple[Accepted, ...]
    addresses: tuple[Proven, ...]
    #: None, or since when it was reached no more, and when that was tried last.
    unreached: tuple[Seconds, ...]
    answered: tuple[bool, ...]
    in_time: tuple[bool, ...]


@dataclass(frozen=True)
class Remembered:
    """All that a node kept when it was there last."""

    #: From when to when it heard the others, without a gap that counts.
    since: float
    until: float
    #: Up to which it had followed the chain.
    height: Height
    nodes: Mapping[PublicKey, SavedRecord]


class History:
    """The file. May be used from several threads."""

    def __init__(self, path: Path, chain: Hash) -> None:
        """Opens or makes it; raises `sqlite3.Error` or `OSError` when there can be none."""
        self._writing, self._noting = threading.Lock(), threading.Lock()
        self._noted: dict[PublicKey, SavedRecord | None] = {}
        self._logger = log.get("liveness")
        self._chain = chain
        try:
            self._database = _open(path, chain)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            self._logger.warning("what was known of other nodes cannot be read, and is begun anew", reason=str(error))
            for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
                path.with_name(name).unlink(missing_ok=True)
            self._database = _open(path, chain)

    def close(self) -> None:
        """Lets go of the file."""
        self._database.close()

    def note(self, changed: Mapping[PublicKey, SavedRecord | None]) -> None:
        """Takes what the next `keep` is to keep in the place of what was kept of these; `None`: nothing."""
        with self._noting:
            self._noted.update(changed)

    def keep(self, since: float, until: float, height: Height) -> None:
        """Keeps all that was noted, or nothing of it: then it raises `sqlite3.Error`, and the next one keeps it."""
        with self._writing:
            with self._noting:
                noted, self._noted = self._noted, {}
            try:
                self._write((self._chain, since, until, height), noted)
            except sqlite3.Error:
                with self._noting:
                    self._noted = noted | self._noted
                raise

    def _write(self, work: tuple[Hash, float, float, Height], noted: Mapping[PublicKey, SavedRecord | None]) -> None:
        gone = [(key,) for key, kept in noted.items() if kept is None]
        rows = [(key, encode(kept)) for key, kept in noted.items() if kept is not None]
        with self._database:
            self._database.execute("DELETE FROM work")
            self._database.execute("INSERT INTO work VALUES (?, ?, ?, ?)", work)
            self._database.executemany("DELETE FROM node WHERE key = ?", gone)
            self._database.executemany("INSERT OR REPLACE INTO node VALUES (?, ?)", rows)

    def remembered(self) -> Remembered | None:
        """What is kept; `None` when there is nothing. Raises `sqlite3.Error`."""
        with self._writing:
            return _read(self._database)


def look(path: Path) -> Remembered | None:
    """What a node keeps, also while it runs; `None` when it keeps nothing yet. Raises `sqlite3.Error`."""
    if not path.exists():
        return None
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return _read(database)


def _read(database: sqlite3.Connection) -> Remembered | None:
    row = database.execute("SELECT since, until, height FROM work").fetchone()
    if row is None:
        return None
    since, until, height = row
    nodes = {}
    for key, encoded in database.execute("SELECT key, encoded FROM node"):
        try:
            kept = decode(SavedRecord, encoded)
            for accepted in kept.proofs:
                _ = accepted.proof.uptime
        except (EncodingError, ProofError):
            # It is of another version; what it says is found out anew.
            continue
        nodes[PublicKey(key)] = kept
    return Remembered(since, until, height, nodes)


def _open(path: Path, chain: Hash) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        files.own(path, path.parent)
        if not _is_of(database, chain):
            with database:
                database.execute("BEGIN")
                for statement in _TABLES:
                    database.execute(statement)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _is_of(database: sqlite3.Connection, chain: Hash) -> bool:
    if database.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
        return False
    return database.execute("SELECT chain FROM work").fetchall() in ([], [(chain,)])
