"""Backups of everything that is in a database, in one encrypted file to which each backup adds what is new.

A file begins with `MAGIC` and a frame with a lock (`locks`), as JSON: the file's key, under a password or under the
account's secret, so that the recovery phrase and the file are enough. More frames follow, each encrypted under that key
(XChaCha20-Poly1305) and bound to its place in the file:

    length (u32, of what follows the kind)  kind (u8)  nonce (24 bytes)  ciphertext

A block has up to 512 rows of a table, as JSON, compressed. A manifest, which ends a backup, says which blocks make it
up, of this backup and of those before, with a hash of each. The last whole manifest is the backup: what a kill leaves
behind it is written over the next time. Where less than half of a file is of use any more, it is written anew.

What can be made again is not in it: the search index, and what is known of nodes and of others' keys. Nor is what a
device alone has, and deletes when it has served: its keys of protocol v2. Numbers are little-endian.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import json
import os
import secrets
import struct
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from allium.base import files, system
from allium.client import crypto
from allium.client.database import locks, migrations
from allium.client.database.connection import Connection, Row
from allium.client.database.database import Database, prepared
from allium.client.database.errors import (
    DamagedError,
    DatabaseError,
    DiskFullError,
    InUseError,
    NewerVersionError,
    UnwritableError,
    WrongKeyError,
)
from allium.client.database.manifest import Block, Manifest

MAGIC = b"allium-backup-1\n"
_FRAME = struct.Struct("<IB")
_LOCK, _BLOCK, _MANIFEST = 0, 1, 2
#: Of a table with numbers, rows of so many numbers are a block; and a block has not many more bytes than this.
_ROWS, _BYTES = 512, 4 << 20
#: Of a frame, and of what is in it, uncompressed.
_MAX_FRAME, _MAX_CONTENT = 64 << 20, 256 << 20
_MAX_LOCK = 64 << 10
#: What of a file may be of no use, beside what is.
_SLACK = 1 << 20
_CREATE = os.O_RDWR | system.NEW
_HASH_BYTES = 16
_LEVEL = 6
#: What can be made again; and keys that are to be nowhere once they have served.
_LEFT_OUT = ("nodes", "guards", "swarms", "forgotten", "secrets", "peer_keys", "contents")
#: What is read last, as others speak of it; and how far a swarm was read before the messages that came until then.
_LAST = ("messages", "conversations", "profiles", "configs", "facts")


@dataclass(frozen=True, slots=True)
class Backup:
    """What was written or found."""

    #: When it was made, in Unix milliseconds.
    time: int
    messages: int
    conversations: int
    #: Of the file up to its end.
    size: int
    #: Bytes that this backup has added to it.
    added: int = 0
    #: Bytes behind the backup: of one that was not finished, or that the disk has lost.
    behind: int = 0


class _File:
    """A backup file that is open."""

    def __init__(self, path: Path, file: BinaryIO, key: bytes, start: int) -> None:
        self.path = path
        self._file = file
        self._key = key
        #: Of the first frame behind the lock.
        self.start = start
        self.end = start

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return os.fstat(self._file.fileno()).st_size

    def append(self, kind: int, content: bytes) -> Block:
        """Writes a frame; on disk after `sync`."""
        nonce = secrets.token_bytes(crypto.NONCE_BYTES)
        packed = zstandard.ZstdCompressor(level=_LEVEL).compress(content)
        sealed = nonce + crypto.encrypt(packed, nonce, self._bound(kind, self.end))
        self._file.seek(self.end)
        self._file.write(_FRAME.pack(len(sealed), kind) + sealed)
        block = Block(self.end, _FRAME.size + len(sealed), _hash(content), content.count(b"\n"))
        self.end += block.size
        return block

    def read(self, offset: int, kind: int) -> bytes:
        """What the frame at `offset` has; `DamagedError` if it is not of this kind, or was changed."""
        self._file.seek(offset)
        head = self._file.read(_FRAME.size)
        if len(head) == _FRAME.size:
            size, found = _FRAME.unpack(head)
            if found == kind and size <= _MAX_FRAME:
                sealed = self._file.read(size)
                nonce = sealed[: crypto.NONCE_BYTES]
                packed = crypto.decrypt(sealed[crypto.NONCE_BYTES :], nonce, self._bound(kind, offset))
                if packed is not None:
                    return zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MAX_CONTENT)
        raise _damaged(self.path)

    def rows(self, block: Block) -> list[Row]:
        """Of a block; `DamagedError` if they are not those that were written."""
        content = self.read(block.offset, _BLOCK)
        if _hash(content) != block.hash:
            raise _damaged(self.path)
        return [tuple(_restored(value) for value in json.loads(line)) for line in content.splitlines()]

    def manifest(self) -> Manifest | None:
        """The last whole backup, behind which the next one goes; None if there is none."""
        size = self.size
        offset, found = self.start, []
        while offset + _FRAME.size <= size:
            self._file.seek(offset)
            length, kind = _FRAME.unpack(self._file.read(_FRAME.size))
            offset += _FRAME.size + length
            if kind not in (_BLOCK, _MANIFEST) or offset > size:
                break
            if kind == _MANIFEST:
                found.append((offset - _FRAME.size - length, offset))
        for start, end in reversed(found):
            try:
                manifest = Manifest.decode(self.read(start, _MANIFEST))
            except DamagedError:
                continue
            self.end = end
            return manifest
        return None

    def sync(self) -> None:
        """What was written is on disk, and nothing is behind it."""
        self._file.truncate(self.end)
        self._file.flush()
        os.fsync(self._file.fileno())

    def _bound(self, kind: int, offset: int) -> bytes:
        return crypto.blake2b(crypto.KEY_BYTES, _FRAME.pack(kind, 0), offset.to_bytes(8, "little"), key=self._key)


def backup(database: Database, path: Path, opener: str | bytes) -> Backup:
    """Writes all that is in the database into the file at `path`, or adds to it what is new since the last time.

    `opener` is a password, or the secret bytes of the account; that of the first time, else `WrongKeyError`. Raises
    `DatabaseError`; what the file had before is there whatever happens.
    """
    steps = backup_steps(database, path, opener)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Backup = end.value
            return found


def backup_steps(database: Database, path: Path, opener: str | bytes) -> Generator[int, None, Backup]:
    """`backup` in short steps, between which the database may be used; yields how many rows there are so far.

    What changes meanwhile is in the backup as it was, or as it is.
    """
    database.check_other(path)
    try:
        if path.exists():
            with path.open("r+b") as file:
                _claim(path, file)
                opened = _opened(path, file, opener)
                made, live = yield from _write(database, opened, opened.manifest())
            if made.size <= 2 * live + _SLACK:
                return made
        return (yield from _anew(database, path, opener))
    except OSError as error:
        raise _unwritable(path, error) from None


def has_password(path: Path) -> bool:
    """Whether a password opens a backup, rather than the account; `DatabaseError` if it is none."""
    with _opening(path) as file:
        return locks.by_password(_lock(path, file))


def _unheard(rows: int) -> None:
    """Progress that nobody asked for."""


def verify(path: Path, opener: str | bytes, progress: Callable[[int], object] = _unheard) -> Backup:
    """Reads all of a backup, without a database; `DatabaseError` with a reason if it cannot be restored.

    `progress` is told the rows so far.
    """
    rows = 0
    with _reading(path, opener) as (file, manifest):
        for blocks in manifest.blocks.values():
            for block in blocks:
                if len(file.rows(block)) != block.rows:
                    raise _damaged(path)
                rows += block.rows
                progress(rows)
        return _told(manifest, file)


def facts(path: Path, opener: str | bytes) -> dict[str, bytes]:
    """The single facts of a backup (`Facts`), by which one knows whose it is before it is restored."""
    with _reading(path, opener) as (file, manifest):
        rows = [row for block in manifest.blocks.get("facts", ()) for row in file.rows(block)]
        place = manifest.columns["facts"].index("name") if rows else 0
        return {row[place]: row[1 - place] for row in rows}


def restore(
    source: Path, opener: str | bytes, path: Path, key: bytes | None, progress: Callable[[int], object] = _unheard
) -> Backup:
    """Makes a database at `path`, under `key`, of the backup at `source`; all of it, or nothing.

    What had not been sent yet is not sent by itself, as it may have been since: it is `failed`, and may be tried again.
    Raises `DatabaseError`, also if there is something at `path`.
    """
    if path.exists():
        raise DatabaseError(f"{path} is there already; name another file")
    with _reading(source, opener) as (file, manifest):
        if manifest.version > len(migrations.STEPS):
            raise NewerVersionError(f"{source} was written by a newer version; use that one")
        half = path.with_name(path.name + ".restoring")
        try:
            files.make_directory(path.parent)
            for name in (half, half.with_name(half.name + "-wal")):
                name.unlink(missing_ok=True)
            connection = prepared(half, key)
            try:
                _fill(connection, file, manifest, progress)
            finally:
                connection.close()
            with half.open("rb") as made:
                os.fsync(made.fileno())
            half.replace(path)
            files.sync(path.parent)
        except OSError as error:
            raise _unwritable(path, error) from None
        finally:
            with contextlib.suppress(OSError):
                half.unlink()
        return _told(manifest, file)


def _fill(connection: Connection, file: _File, manifest: Manifest, progress: Callable[[int], object]) -> None:
    rows = 0
    # All of the file is thrown away when this fails.
    connection.execute("PRAGMA journal_mode = memory")
    connection.execute("PRAGMA synchronous = off")
    connection.execute("PRAGMA foreign_keys = off")
    migrations.migrate(connection, migrations.STEPS[: manifest.version])
    with connection.transaction():
        for table, columns in manifest.columns.items():
            marks = ", ".join("?" * len(columns))
            statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - authenticated
            for block in manifest.blocks[table]:
                connection.many(statement, file.rows(block))
                rows += block.rows
                progress(rows)
        _agree(connection, list(manifest.columns))
        connection.execute(
            "UPDATE outbox SET state = 'failed', error = 'restored from a backup' WHERE state IN ('queued', 'sending')"
        )
        connection.execute("UPDATE messages SET state = 'failed' WHERE state = 'sending'")


def _agree(connection: Connection, tables: list[str]) -> None:
    """Rows were read at different moments: drops those whose parents were gone by then, and counts anew."""
    for _ in tables:
        if connection.row("SELECT 1 FROM pragma_foreign_key_check LIMIT 1") is None:
            break
        for table in tables:
            for column, parent, key in connection.rows(
                'SELECT "from", "table", (SELECT name FROM pragma_table_info("table") WHERE pk = 1) '
                "FROM pragma_foreign_key_list(?)",
                (table,),
            ):
                connection.execute(
                    f"DELETE FROM {table} WHERE {column} IS NOT NULL "  # noqa: S608 - our own names
                    f"AND {column} NOT IN (SELECT {key} FROM {parent})"
                )
    connection.execute(
        "UPDATE conversations SET unread = (SELECT count(*) FROM messages WHERE conversation = number AND read = 0 "
        "AND outgoing = 0 AND deleted = 0)"
    )


def _anew(database: Database, path: Path, opener: str | bytes) -> Generator[int, None, Backup]:
    key = secrets.token_bytes(crypto.KEY_BYTES)
    lock = json.dumps(locks.lock(key, opener)).encode()
    files.make_directory(path.parent)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(temporary, _CREATE, files.PRIVATE), "w+b") as file:
            files.own(file.fileno(), path.parent)
            file.write(MAGIC + _FRAME.pack(len(lock), _LOCK) + lock)
            made, _ = yield from _write(database, _File(path, file, key, file.tell()), None)
        temporary.replace(path)
        files.sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return made


def _write(database: Database, file: _File, last: Manifest | None) -> Generator[int, None, tuple[Backup, int]]:
    """Adds a backup to a file; what was written, and how many bytes of the file are of use."""
    begun, rows = file.end, 0
    connection = database.connection
    known = {} if last is None else {(table, b.hash): b for table, blocks in last.blocks.items() for b in blocks}
    manifest = Manifest(connection.value("PRAGMA user_version"), int(time.time() * 1000))
    for table in _tables(connection):
        columns, keys = _columns(connection, table)
        manifest.columns[table] = columns
        blocks = manifest.blocks[table] = []
        for content in _contents(connection, table, columns, keys):
            blocks.append(known.get((table, _hash(content))) or file.append(_BLOCK, content))
            rows += blocks[-1].rows
            yield rows
    # What the manifest speaks of is on disk before it is.
    file.sync()
    written = file.append(_MANIFEST, manifest.encode())
    file.sync()
    return _told(manifest, file, file.end - begun), manifest.live + written.size


def _tables(connection: Connection) -> list[str]:
    """What is backed up, in the order in which it is read."""
    rows = connection.rows("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
    found = [table for (table,) in rows if table not in _LEFT_OUT and not table.startswith("sqlite_")]
    return sorted(found, key=lambda table: (_LAST.index(table) if table in _LAST else -1, table))


def _columns(connection: Connection, table: str) -> tuple[list[str], list[str]]:
    """All of a table, and those of its key."""
    rows = connection.rows("SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", (table,))
    return [name for name, _ in rows], [name for name, _ in sorted(rows, key=lambda row: row[1]) if _]


def _contents(connection: Connection, table: str, columns: list[str], keys: list[str]) -> Iterator[bytes]:
    """The rows of a table as JSON, in pieces that are the same the next time where no row of them has changed.

    Rows that are added behind the last one meanwhile are left for the next backup, so that this has an end.
    """
    order, marks = ", ".join(keys), ", ".join("?" * len(keys))
    backwards = ", ".join(f"{key} DESC" for key in keys)
    query = f"SELECT {order}, {', '.join(columns)} FROM {table} WHERE ({order}) <= ({marks})"  # noqa: S608 - our own
    last = connection.row(f"SELECT {order} FROM {table} ORDER BY {backwards} LIMIT 1")  # noqa: S608 - our own names
    if last is None:
        return
    after: Row = ()
    while True:
        where = f"AND ({order}) > ({marks})" if after else ""
        rows = connection.rows(f"{query} {where} ORDER BY {order} LIMIT {_ROWS}", (*last, *after))
        if not rows:
            return
        if isinstance(rows[0][0], int):
            place = rows[0][0] // _ROWS
            rows = [row for row in rows if row[0] // _ROWS == place]
        lines: list[str] = []
        size = 0
        for row in rows:
            lines.append(json.dumps(row[len(keys) :], ensure_ascii=False, separators=(",", ":"), default=_stored))
            size += len(lines[-1])
            if size > _BYTES:
                break
        after = rows[len(lines) - 1][: len(keys)]
        yield "".join(f"{line}\n" for line in lines).encode()


def _stored(value: object) -> dict[str, str]:
    if not isinstance(value, bytes):
        raise TypeError(type(value))
    return {"": base64.b64encode(value).decode()}


def _restored(value: Any) -> Any:
    return base64.b64decode(value[""]) if isinstance(value, dict) else value


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=_HASH_BYTES).hexdigest()


@contextlib.contextmanager
def _reading(path: Path, opener: str | bytes) -> Iterator[tuple[_File, Manifest]]:
    with _opening(path) as opened:
        file = _opened(path, opened, opener)
        manifest = file.manifest()
        if manifest is None:
            raise _damaged(path)
        yield file, manifest


@contextlib.contextmanager
def _opening(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UnwritableError(f"{path} cannot be read ({error.strerror})") from None


def _claim(path: Path, file: BinaryIO) -> None:
    try:
        system.claim(file.fileno())
    except BlockingIOError:
        raise InUseError(f"{path} is in use by another process; end that first") from None


def _lock(path: Path, file: BinaryIO) -> Any:
    begin = file.read(len(MAGIC))
    if begin != MAGIC:
        if begin.startswith(MAGIC[:-2]):
            raise NewerVersionError(f"{path} was written by a newer version; use that one")
        raise DatabaseError(f"{path} is no backup; name another file")
    try:
        size, kind = _FRAME.unpack(file.read(_FRAME.size))
        if kind != _LOCK or size > _MAX_LOCK:
            raise _damaged(path)
        return json.loads(file.read(size))
    except (ValueError, struct.error, RecursionError):
        raise _damaged(path) from None


def _opened(path: Path, file: BinaryIO, opener: str | bytes) -> _File:
    try:
        key = locks.unlock(_lock(path, file), opener)
    except locks.NewerLockError:
        raise NewerVersionError(f"{path} was written by a newer version; use that one") from None
    except locks.LockError:
        raise _damaged(path) from None
    if key is None:
        raise WrongKeyError(f"the password is not that of {path}, or it is of another account")
    return _File(path, file, key, file.tell())


def _told(manifest: Manifest, file: _File, added: int = 0) -> Backup:
    messages, conversations = (sum(b.rows for b in manifest.blocks.get(t, ())) for t in ("messages", "conversations"))
    return Backup(manifest.time, messages, conversations, file.end, added, file.size - file.end)


def _damaged(path: Path) -> DamagedError:
    return DamagedError(f"{path} is damaged; use another backup")


def _unwritable(path: Path, error: OSError) -> DatabaseError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"there is no room for {path}; make room, or name another disk")
    return UnwritableError(f"{path} cannot be written ({error.strerror}); name another file")
