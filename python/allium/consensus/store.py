"""What a node keeps of the chain: every block that it followed, and the newest snapshots, in one SQLite file.

A block is on the disk when `append` returns. What a crash cut off is gone as a whole.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from allium._native import verify_ed25519
from allium.appchain.admission import InvalidInputError
from allium.appchain.encoding import EncodingError, decode
from allium.appchain.machine import apply
from allium.appchain.parameters import Parameters
from allium.appchain.state import State, genesis, restore, snapshot
from allium.appchain.types import Height, PublicKey
from allium.base import files
from allium.consensus.block import Block
from allium.errors import ConsensusError

#: How many snapshots are kept. A node starts from the oldest, to know balances of the heights since, and from another
#: if that is damaged.
_SNAPSHOTS = 2
_FORMAT = 2
_TABLES = (
    "CREATE TABLE chain (id BLOB NOT NULL, sequencer BLOB NOT NULL)",
    "CREATE TABLE block (height INTEGER PRIMARY KEY, encoded BLOB NOT NULL)",
    "CREATE TABLE snapshot (height INTEGER PRIMARY KEY, encoded BLOB NOT NULL)",
    f"PRAGMA user_version = {_FORMAT}",
)


class BlockStoreError(ConsensusError):
    """A file that cannot be followed from; the text names it and says what to do."""


class BlockStore:
    """The chain of one network on disk. May be used from several threads."""

    def __init__(self, path: Path, parameters: Parameters, sequencer: PublicKey) -> None:
        """Opens or makes the file; raises `BlockStoreError` for another network's and for a damaged one."""
        self._path, self._parameters, self._sequencer = path, parameters, sequencer
        self._lock = threading.Lock()
        try:
            self._database = _open(path)
            self._prepare()
        except sqlite3.Error as error:
            raise self._damaged(str(error)) from None

    def __enter__(self) -> BlockStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file. Nothing is lost by not doing so."""
        self._database.close()

    def append(self, block: Block, state: State | None = None) -> None:
        """Keeps a block, with the snapshot of the state after it if that is given. Durable on return."""
        height = block.given.height
        try:
            with self._lock, self._database:
                self._database.execute("INSERT INTO block VALUES (?, ?)", (height, block.encoded))
                if state is not None:
                    self._database.execute("INSERT INTO snapshot VALUES (?, ?)", (height, snapshot(state)))
                    self._database.execute(
                        "DELETE FROM snapshot WHERE height NOT IN "
                        "(SELECT height FROM snapshot ORDER BY height DESC LIMIT ?)",
                        (_SNAPSHOTS,),
                    )
        except sqlite3.Error as error:
            raise BlockStoreError(f"{self._path} cannot be written: {error}") from None

    def blocks(self, after: Height, count: int) -> list[bytes]:
        """Up to `count` encoded blocks that follow a height."""
        with self._lock:
            rows = self._database.execute(
                "SELECT encoded FROM block WHERE height > ? ORDER BY height LIMIT ?", (after, count)
            ).fetchall()
        return [row[0] for row in rows]

    def block(self, height: Height) -> bytes | None:
        """One encoded block."""
        with self._lock:
            row = self._database.execute("SELECT encoded FROM block WHERE height = ?", (height,)).fetchone()
        return None if row is None else bytes(row[0])

    def snapshots(self) -> list[tuple[Height, bytes]]:
        """The kept snapshots, newest first."""
        with self._lock:
            rows = self._database.execute("SELECT height, encoded FROM snapshot ORDER BY height DESC").fetchall()
        return [(Height(height), encoded) for height, encoded in rows]

    def load(self) -> State:
        """The last state, from the oldest snapshot that is what the sequencer signed, or from the beginning.

        Every block on the way is applied and checked; raises `BlockStoreError` for one that is not what was signed.
        """
        try:
            state = self._oldest() or genesis(self._parameters, verifier=verify_ed25519)
            for block in self._following(state.height):
                state = self._next(state, block)
        except sqlite3.Error as error:
            raise self._damaged(str(error)) from None
        return state

    def _oldest(self) -> State | None:
        for height, encoded in reversed(self.snapshots()):
            block = self.block(height)
            if block is not None and (state := confirmed(encoded, block, self._parameters, self._sequencer)):
                return state
        if self.blocks(Height(0), 1) and self.block(Height(1)) is None:
            raise self._damaged("no snapshot is what the sequencer signed, and the blocks do not begin at height 1")
        return None

    def _following(self, height: Height) -> Iterator[bytes]:
        while batch := self.blocks(height, 256):
            yield from batch
            height = Height(height + len(batch))

    def _next(self, state: State, encoded: bytes) -> State:
        try:
            block = decode(Block, encoded)
            if not block.is_signed(self._parameters.chain, self._sequencer):
                raise self._damaged(f"the block after height {state.height} is not what the sequencer signed")
            if block.given.height != state.height + 1 or block.previous != state.root:
                raise self._damaged(f"the block after height {state.height} does not follow it")
            after = apply(state, block.given)
        except (EncodingError, InvalidInputError) as error:
            raise self._damaged(f"the block after height {state.height}: {error}") from None
        if after.root != block.root:
            raise self._damaged(
                f"height {after.height} has root {after.root.hex()} here, and the block says {block.root.hex()}"
            )
        return after

    def _prepare(self) -> None:
        if self._database.execute("PRAGMA user_version").fetchone()[0] == 0:
            with self._database:
                self._database.execute("BEGIN")
                for statement in _TABLES:
                    self._database.execute(statement)
                self._database.execute("INSERT INTO chain VALUES (?, ?)", (self._parameters.chain, self._sequencer))
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version != _FORMAT:
            raise BlockStoreError(
                f"{self._path} has format {version}, this version reads {_FORMAT}; use the other version"
            )
        if self._database.execute("SELECT id, sequencer FROM chain").fetchall() != [
            (self._parameters.chain, self._sequencer)
        ]:
            raise BlockStoreError(f"{self._path} is another network's; move it away to follow this one")

    def _damaged(self, text: str) -> BlockStoreError:
        return BlockStoreError(f"{self._path} is damaged: {text}; move it away to follow the network anew")


def confirmed(encoded: bytes, block: bytes, parameters: Parameters, sequencer: PublicKey) -> State | None:
    """The state of a snapshot, if it is the one after a block that the sequencer signed."""
    try:
        signed, state = decode(Block, block), restore(encoded, verifier=verify_ed25519)
    except EncodingError:
        return None
    true = signed.is_signed(parameters.chain, sequencer) and state.parameters == parameters
    return state if true and state.height == signed.given.height and state.root == signed.root else None


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    files.own(path, path.parent)
    return database
