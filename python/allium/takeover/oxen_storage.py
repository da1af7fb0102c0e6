"""The reference's storage server: its SQLite database (`spec/storage` §2) as an export of our store, and back.

Everything is streamed; nothing of a database is held in memory or written twice.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import IO

from allium.base import complaint, files, sqlite_readonly
from allium.base.files import STORE, STORE_LOCK, STORE_LOG
from allium.errors import CommandError

#: Name of the reference's database in its data directory.
DATABASE = "storage.db"
#: Bytes of a message, and how far ahead it may expire (`spec/node-rpc` §2.5).
_MAX_MESSAGE = 76_800
_MAX_TTL_MS = 30 * 86_400_000
#: Bytes of a key, and the column that has one; of what is longer than any, its beginning.
_KEY = 32
_PUBKEY = f"substr(o.pubkey, 1, {2 * _KEY + 3})"
_HEX_KEY = re.compile(rf"[0-9a-fA-F]{{{2 * _KEY}}}(?:[0-9a-fA-F]{{2}})?")
#: The largest time that SQLite and our export both write as it is.
_LAST = 2**63 - 1
#: Messages between two words about how far it is.
_STEP = 4096
#: Rows that SQLite is given at once.
_ROWS = 1000
#: What the kernel may hold between the two sides, bytes.
_PIPE = 1 << 20

_HASH = re.compile(r"[A-Za-z0-9+/]{43}")
#: What nobody misses: the reference would have removed the one, and has no place for the other.
_EXPIRED, _OWN = "expired messages", "things that only Allium remembers"
_NO_LOSS = (_EXPIRED, _OWN)

#: Tells how many rows are done, and of how many.
Progress = Callable[[int, int], object]

# The names are the reference's: its statements use them.
_SCHEMA = """
CREATE TABLE owners (
  id INTEGER PRIMARY KEY, type INTEGER NOT NULL, pubkey BLOB NOT NULL, UNIQUE (pubkey, type)
);
CREATE TABLE messages (
  id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, owner INTEGER NOT NULL REFERENCES owners (id),
  namespace INTEGER NOT NULL DEFAULT 0, timestamp INTEGER NOT NULL, expiry INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE TABLE revoked_subaccounts (
  owner INTEGER REFERENCES owners (id) ON DELETE CASCADE, token BLOB NOT NULL,
  timestamp INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
  PRIMARY KEY (owner, token)
);
CREATE VIEW owned_messages AS
  SELECT o.id AS oid, o.type, o.pubkey, m.id AS mid, m.hash, m.namespace, m.timestamp, m.expiry, m.data
  FROM messages m JOIN owners o ON o.id = m.owner;
"""
_INDEXES = """
CREATE INDEX messages_expiry ON messages (expiry);
CREATE INDEX messages_owner ON messages (owner, namespace, timestamp);
CREATE INDEX messages_hash ON messages (hash);
CREATE TRIGGER owner_autoclean AFTER DELETE ON messages
  WHEN NOT EXISTS (SELECT 1 FROM messages WHERE owner = OLD.owner)
  BEGIN DELETE FROM owners WHERE id = OLD.owner; END;
CREATE TRIGGER revoked_subaccounts_limit AFTER INSERT ON revoked_subaccounts
  WHEN 50 < (SELECT count(*) FROM revoked_subaccounts WHERE owner = NEW.owner)
  BEGIN
    DELETE FROM revoked_subaccounts WHERE owner = NEW.owner AND token NOT IN (
      SELECT token FROM revoked_subaccounts WHERE owner = NEW.owner ORDER BY timestamp DESC LIMIT 50);
  END;
CREATE TRIGGER owned_messages_insert INSTEAD OF INSERT ON owned_messages WHEN NEW.oid IS NULL
  BEGIN
    INSERT OR IGNORE INTO owners (type, pubkey) VALUES (NEW.type, NEW.pubkey);
    INSERT INTO messages (id, hash, owner, namespace, timestamp, expiry, data)
      SELECT NEW.mid, NEW.hash, id, NEW.namespace, NEW.timestamp, NEW.expiry, NEW.data
      FROM owners WHERE type = NEW.type AND pubkey = NEW.pubkey;
  END;
"""


@dataclass
class Moved:
    """How much went over, and what did not."""

    messages: int = 0
    revocations: int = 0
    #: Messages whose hash is not that of their content in the namespace they were in. They keep it.
    misfiled: int = 0
    #: Why something was left behind, and how often.
    left: dict[str, int] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """How much was left behind that somebody may miss."""
        return sum(count for why, count in self.left.items() if why not in _NO_LOSS)

    def leave(self, why: str) -> None:
        """Counts something that stays behind."""
        self.left[why] = self.left.get(why, 0) + 1


def find(path: Path) -> Path:
    """The database that `path` is, or that is in the directory `path`."""
    return path / DATABASE if path.is_dir() else path


def take_over(
    source: Path, directory: Path, max_store_bytes: int, progress: Progress, now_ms: int | None = None
) -> Moved:
    """Makes a message store in `directory` of the database `source`, which is only read.

    The store is made beside and put in place when it is whole, so that after any failure there is none. Raises
    `CommandError` when `directory` has a store already or is in use, and for a database that cannot be used.
    """
    from allium import _native

    now = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    moved = Moved()
    files.make_directory(directory)
    unfinished = directory / "import.new"
    with _locked(directory), sqlite_readonly.opened(source, unfinished) as database:
        try:
            _check(database, source)

            def write(pipe: IO[bytes]) -> None:
                for line in _export(database, now, moved, progress):
                    pipe.write(line)

            with _Pipe(write, "wb") as pipe:
                _native.store_import(str(unfinished), pipe.path, max_store_bytes)
            files.place(unfinished / STORE, directory / STORE)
        except sqlite3.Error as error:
            raise CommandError(sqlite_readonly.unreadable(source, error)) from None
        except OSError as error:
            raise CommandError(f"nothing was taken over: {complaint.in_directory(error, directory).text}") from None
    return moved


def give_back(directory: Path, target: Path, progress: Progress) -> Moved:
    """Writes the messages and revocations of the store in `directory` into the new database `target`.

    Deletions that are remembered, and commands, have no place there. Raises `CommandError`, and then leaves nothing.
    """
    from allium import _native

    if os.path.lexists(target):
        raise CommandError(f"{target} is there already and stays as it is")
    moved = Moved()
    unfinished = target.with_name(target.name + ".new")
    _remove(unfinished)
    files.create(unfinished, b"")
    try:
        with contextlib.closing(sqlite3.connect(unfinished, check_same_thread=False, isolation_level=None)) as database:
            # It counts only once it is whole, so nothing has to be undone.
            database.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN; {_SCHEMA}")

            def read(pipe: IO[bytes]) -> None:
                _fill(database, pipe, moved, progress)

            with _Pipe(read, "rb") as pipe:
                _native.store_export(str(directory), pipe.path)
            database.execute("COMMIT")
            database.executescript(f"{_INDEXES} PRAGMA journal_mode=WAL;")
        with unfinished.open("rb") as made:
            os.fsync(made.fileno())
        files.place(unfinished, target)
    except sqlite3.Error as error:
        raise CommandError(f"{target} cannot be written: {error}") from None
    except OSError as error:
        raise CommandError(f"nothing was written: {complaint.in_directory(error, directory).text}") from None
    finally:
        _remove(unfinished)
    return moved


# --- from the database


def _check(database: sqlite3.Connection, source: Path) -> None:
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not {"owners", "messages"} <= tables:
        raise CommandError(f"{source} is no database of a storage server")


def _export(database: sqlite3.Connection, now: int, moved: Moved, progress: Progress) -> Iterator[bytes]:
    """The lines of an export (`docs/on-disk-format.md`): revocations, then messages in their order."""
    (total,) = database.execute("SELECT count(*) FROM messages").fetchone()
    yield b'{"allium_store":{"version":1}}\n'
    if database.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'revoked_subaccounts'").fetchone():
        # An account keeps its newest 50, so the newest come last.
        for kind, pubkey, token, at in database.execute(
            f"SELECT o.type, {_PUBKEY}, substr(r.token, 1, 37), r.timestamp "  # noqa: S608
            "FROM revoked_subaccounts r LEFT JOIN owners o ON o.id = r.owner ORDER BY r.timestamp, r.rowid"
        ):
            account = _account(kind, pubkey)
            if account is None:
                moved.leave("revocations of no account")
            elif not isinstance(token, bytes) or len(token) != 36 or not _is_time(at):
                moved.leave("malformed revocations")
            else:
                moved.revocations += 1
                at = min(at, now)
                yield b'{"revocation":{"account":"%s","token":"%s","at":%d,"in_force":true}}\n' % (
                    account.hex().encode(),
                    token.hex().encode(),
                    at,
                )
    columns = {name for _, name, *_ in database.execute("PRAGMA table_info(messages)")}
    # Years ago there was but the one.
    has_namespaces = "namespace" in columns
    namespaces = "m.namespace" if has_namespaces else "0"
    rows = database.execute(
        f"SELECT o.type, {_PUBKEY}, substr(m.hash, 1, 64), {namespaces}, m.timestamp, m.expiry, "  # noqa: S608
        "length(m.data), CASE WHEN typeof(m.data) = 'blob' AND length(m.data) <= ? THEN m.data END "
        "FROM messages m LEFT JOIN owners o ON o.id = m.owner ORDER BY m.id",
        (_MAX_MESSAGE,),
    )
    for number, (kind, pubkey, claimed, namespace, timestamp, expiry, length, data) in enumerate(rows, 1):
        if number % _STEP == 0:
            progress(number, total)
        account = _account(kind, pubkey)
        if account is None:
            moved.leave("messages of no account")
        elif isinstance(length, int) and length > _MAX_MESSAGE:
            moved.leave("messages that are too long")
        elif (
            not isinstance(data, bytes)
            or not _is_time(timestamp)
            or not isinstance(namespace, int)
            or not -0x8000 <= namespace < 0x8000
            or not isinstance(expiry, int)
        ):
            moved.leave("malformed messages")
        elif expiry <= now:
            moved.leave(_EXPIRED)
        elif expiry > now + _MAX_TTL_MS:
            moved.leave("messages that would stay longer than any may")
        elif (
            # Where there is but one, no hash can be of another, whatever such a version called its messages.
            not (is_right := not has_namespaces or claimed == message_hash(account, namespace, data))
            and not _is_hash(claimed)
        ):
            moved.leave("messages whose hash is none")
        else:
            moved.messages += 1
            moved.misfiled += not is_right
            # The storage server loses the namespaces of what others send it. Our own store finds them by the hash.
            name = b"" if is_right else b'"hash":"%s",' % claimed.encode()
            # When it was stored is not known; our own node says the same of what the reference sends it.
            known = min(timestamp, now)
            yield (
                b'{"message":{"account":"%s","namespace":%d,%b"timestamp":%d,"expiry":%d,"stored":%d,"changed":%d,'
                b'"data":"%s"}}\n'
                % (account.hex().encode(), namespace, name, timestamp, expiry, known, known, base64.b64encode(data))
            )
    yield b'{"end":{"entries":%d}}\n' % (moved.messages + moved.revocations)


def message_hash(account: bytes, namespace: int, data: bytes) -> str:
    """What a message is called (`spec/node-rpc` §2.6): 43 characters."""
    digest = blake2b(account, digest_size=32)
    if namespace:
        digest.update(b"%d" % namespace)
    digest.update(data)
    return base64.b64encode(digest.digest()).rstrip(b"=").decode()


def _is_hash(claimed: object) -> bool:
    """Whether it is what some message could be called: the one spelling of 32 bytes."""
    if not isinstance(claimed, str) or not _HASH.fullmatch(claimed):
        return False
    return base64.b64encode(base64.b64decode(claimed + "=")).decode() == claimed + "="


def _account(kind: object, pubkey: object) -> bytes | None:
    """33 bytes, of what the database has in two columns: the key in bytes or, as old ones have it, in hex."""
    if not isinstance(kind, int) or not 0 <= kind < 256:
        return None
    prefix = bytes([kind])
    text = pubkey.decode("ascii", "replace") if isinstance(pubkey, bytes) else pubkey
    if isinstance(text, str) and _HEX_KEY.fullmatch(text):
        pubkey = bytes.fromhex(text)
    if not isinstance(pubkey, bytes):
        return None
    if len(pubkey) == _KEY + 1 and pubkey.startswith(prefix):
        pubkey = pubkey[1:]
    return prefix + pubkey if len(pubkey) == _KEY else None


def _is_time(value: object) -> bool:
    return isinstance(value, int) and value >= 0


# --- into the database


def _fill(database: sqlite3.Connection, lines: IO[bytes], moved: Moved, progress: Progress) -> None:
    owners: dict[bytes, int] = {}

    def owner(account: str) -> int:
        raw = bytes.fromhex(account)
        if (number := owners.get(raw)) is None:
            number = owners[raw] = len(owners) + 1
            database.execute("INSERT INTO owners VALUES (?, ?, ?)", (number, raw[0], raw[1:]))
        return number

    rows: list[tuple[str, int, int, int, int, bytes]] = []

    def flush() -> None:
        database.executemany(
            "INSERT INTO messages (hash, owner, namespace, timestamp, expiry, data) VALUES (?, ?, ?, ?, ?, ?)", rows
        )
        rows.clear()

    for line in lines:
        [(kind, entry)] = json.loads(line).items()
        if kind == "message":
            account, namespace, data = entry["account"], entry["namespace"], base64.b64decode(entry["data"])
            name = entry.get("hash") or message_hash(bytes.fromhex(account), namespace, data)
            # SQLite has no larger numbers. Nothing expires as late.
            times = min(entry["timestamp"], _LAST), min(entry["expiry"], _LAST)
            rows.append((name, owner(account), namespace, *times, data))
            moved.messages += 1
            if len(rows) == _ROWS:
                flush()
                progress(moved.messages, 0)
        elif kind == "revocation" and entry["in_force"]:
            database.execute(
                "INSERT INTO revoked_subaccounts VALUES (?, ?, ?)",
                (owner(entry["account"]), bytes.fromhex(entry["token"]), min(entry["at"], _LAST)),
            )
            moved.revocations += 1
        elif kind in ("tomb", "command", "revocation"):
            moved.leave(_OWN)
    flush()


# --- files


class _Pipe:
    """A thread of ours at one end of a pipe, whose other end the engine opens by `path`.

    At the end of the block our thread's own failure, if it has one, counts before the engine's, which it caused.
    """

    def __init__(self, work: Callable[[IO[bytes]], None], mode: str) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE)
        ours, self._theirs = (writer, reader) if mode == "wb" else (reader, writer)
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(work, ours, mode), name="pipe")
        self.path = f"/dev/fd/{self._theirs}"

    def _run(self, work: Callable[[IO[bytes]], None], fd: int, mode: str) -> None:
        try:
            with os.fdopen(fd, mode) as pipe:
                work(pipe)
        except BrokenPipeError:
            pass  # the engine gave up, and says why
        except Exception as error:
            self._failure = error

    def __enter__(self) -> _Pipe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._theirs)
        self._thread.join()
        if self._failure is not None:
            raise self._failure


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keeps nodes away from `directory`, in which there must be no store."""
    lock_file = directory / STORE_LOCK
    if not lock_file.exists():
        files.create(lock_file, b"")
    with lock_file.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(f"{directory} is in use by another process") from None
        if os.path.lexists(directory / STORE):
            raise CommandError(f"{directory} has a message store already, which stays as it is; choose another")
        for name in STORE_LOG:
            # The new store would take it for its own.
            if os.path.lexists(directory / name):
                raise CommandError(
                    f"{directory / name} is the write-ahead log of a store that is not there; move it away"
                )
        yield


def _remove(database: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
