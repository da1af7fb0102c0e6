"""What a node keeps beside CometBFT's own data: the inputs since the older of two snapshots, in one SQLite file.

A height is on the disk when `append` returns. A snapshot is the state and the committee after it.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

from allium._native import verify_ed25519
from allium.appchain.admission import InvalidInputError
from allium.appchain.encoding import EncodingError, decode, encode
from allium.appchain.input import Input
from allium.appchain.machine import apply
from allium.appchain.parameters import Parameters
from allium.appchain.state import State, restore, snapshot
from allium.appchain.types import Hash, Height, PublicKey
from allium.base import files
from allium.consensus.cometbft.committee import Committee, seated
from allium.errors import ConsensusError

#: A node starts from the older one, to know balances of the heights since.
_SNAPSHOTS = 2
_FORMAT = 2
_TABLES = (
    "CREATE TABLE chain (id BLOB NOT NULL)",
    "CREATE TABLE input (height INTEGER PRIMARY KEY, encoded BLOB NOT NULL, root BLOB NOT NULL)",
    "CREATE TABLE snapshot (height INTEGER PRIMARY KEY, encoded BLOB NOT NULL)",
    f"PRAGMA user_version = {_FORMAT}",
)


class CometBFTStoreError(ConsensusError):
    """A file that cannot be gone on from; the text names it and says what to do."""


@dataclass(frozen=True)
class Standing:
    """Where a node is: the last state, and who votes from two heights later on."""

    state: State
    committee: Committee


@dataclass(frozen=True)
class _Packed:
    committee: tuple[PublicKey, ...]
    state: bytes


def pack(standing: Standing) -> bytes:
    """A snapshot."""
    return encode(_Packed(standing.committee, snapshot(standing.state)))


def unpack(data: bytes) -> Standing:
    """What a snapshot holds; raises `EncodingError`. Only the root of the state tells whether it is the right one."""
    read = decode(_Packed, data)
    return Standing(restore(read.state, verifier=verify_ed25519), read.committee)


class CometBFTStore:
    """One network's inputs and snapshots. May be used from several threads."""

    def __init__(self, path: Path, parameters: Parameters) -> None:
        """Opens or makes the file; raises `CometBFTStoreError` for another network's and for a damaged one."""
        self.path, self._parameters = path, parameters
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(path, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            files.own(path, path.parent)
            self._prepare()
        except sqlite3.Error as error:
            raise self._damaged(str(error)) from None

    def close(self) -> None:
        """Lets go of the file. Nothing is lost by not doing so."""
        self._database.close()

    def append(self, given: Input, root: Hash, *due: Standing) -> None:
        """Keeps an input and the root after it, and snapshots that are due. Durable on return."""
        try:
            with self._lock, self._database:
                self._database.execute("INSERT INTO input VALUES (?, ?, ?)", (given.height, encode(given), root))
                for standing in due:
                    self._put(standing)
        except sqlite3.Error as error:
            raise CometBFTStoreError(f"{self.path} cannot be written: {error}") from None

    def _put(self, standing: Standing) -> None:
        values = (standing.state.height, pack(standing))
        self._database.execute("INSERT OR REPLACE INTO snapshot VALUES (?, ?)", values)
        self._database.execute(
            "DELETE FROM snapshot WHERE height NOT IN (SELECT height FROM snapshot ORDER BY height DESC LIMIT ?)",
            (_SNAPSHOTS,),
        )
        self._database.execute("DELETE FROM input WHERE height <= (SELECT min(height) FROM snapshot)")

    def snapshots(self) -> list[tuple[Height, bytes]]:
        """The kept snapshots, newest first."""
        with self._lock:
            rows = self._database.execute("SELECT height, encoded FROM snapshot ORDER BY height DESC").fetchall()
        return [(Height(height), encoded) for height, encoded in rows]

    def roots(self) -> dict[Height, Hash]:
        """The roots after the kept inputs."""
        with self._lock:
            return dict(self._database.execute("SELECT height, root FROM input"))

    def inputs(self, after: Height) -> list[tuple[Input, Hash]]:
        """The kept inputs that follow a height, and the roots after them; raises `CometBFTStoreError`."""
        asked = "SELECT encoded, root FROM input WHERE height > ? ORDER BY height"
        try:
            with self._lock:
                rows = self._database.execute(asked, (after,)).fetchall()
            return [(decode(Input, encoded), root) for encoded, root in rows]
        except (sqlite3.Error, EncodingError) as error:
            raise self._damaged(str(error)) from None

    def load(self, base: Standing) -> Standing:
        """Where the node was, or `base` when it has not begun.

        Raises `CometBFTStoreError` when that cannot be computed.
        """
        kept = self.snapshots()
        try:
            standing = unpack(kept[-1][1]) if kept else base
            with self._lock:
                rows = self._database.execute(
                    "SELECT encoded, root FROM input WHERE height > ? ORDER BY height", (standing.state.height,)
                ).fetchall()
            for encoded, root in rows:
                before, given = standing.state, decode(Input, encoded)
                after = apply(before, given)
                if after.root != root:
                    raise self._damaged(f"height {after.height} had root {root.hex()} and has {after.root.hex()} now")
                standing = Standing(after, seated(standing.committee, before, after, given.offenders))
        except (sqlite3.Error, EncodingError, InvalidInputError) as error:
            raise self._damaged(str(error)) from None
        return standing

    def rebase(self, standing: Standing) -> None:
        """Forgets all but one state, from which the network goes on."""
        with self._lock, self._database:
            self._database.execute("DELETE FROM input")
            self._database.execute("DELETE FROM snapshot")
            self._put(standing)

    def _prepare(self) -> None:
        if self._database.execute("PRAGMA user_version").fetchone()[0] == 0:
            with self._database:
                self._database.execute("BEGIN")
                for statement in _TABLES:
                    self._database.execute(statement)
                self._database.execute("INSERT INTO chain VALUES (?)", (self._parameters.chain,))
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version != _FORMAT:
            raise CometBFTStoreError(
                f"{self.path} has format {version}, this version reads {_FORMAT}; use the other version"
            )
        if self._database.execute("SELECT id FROM chain").fetchall() != [(self._parameters.chain,)]:
            raise CometBFTStoreError(f"{self.path} is another network's; move it away to follow this one")

    def _damaged(self, text: str) -> CometBFTStoreError:
        return CometBFTStoreError(
            f"{self.path} is damaged: {text}; to follow anew, move it away, and CometBFT's data but "
            f"priv_validator_state.json"
        )
