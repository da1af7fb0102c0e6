"""Where the key of a database comes from: the account's secret, or a password.

With a password, the key is random, and lies in a small file beside the database, encrypted under what Argon2id makes of
the password. A new password comes with a new key. While the database is encrypted anew, the file has both keys, so that
it can be opened whenever that ends; who opens it goes on with it.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from allium.base import files
from allium.client import crypto
from allium.client.database import locks
from allium.client.database.connection import KEY_BYTES
from allium.client.database.database import Database
from allium.client.database.errors import (
    DamagedError,
    DatabaseError,
    NewerVersionError,
    UnwritableError,
    WrongKeyError,
)

_MAX_FILE = 64 * 1024


def from_secret(secret: bytes) -> bytes:
    """The 32-byte key of the database of an account, from the account's secret bytes."""
    return crypto.blake2b(KEY_BYTES, secret, key=b"AlliumClientDatabaseKey")


def key_file(database: Path) -> Path:
    """Where the key of a database with a password lies. Without this file the database cannot be opened."""
    return database.with_name(database.name + ".key")


def has_password(database: Path) -> bool:
    """Whether a password opens the database at this path."""
    return key_file(database).exists()


def create(path: Path, password: str) -> Database:
    """Makes a database with a password; `DatabaseError` if there is one."""
    return Database.open(path, new(path, password))


def new(path: Path, password: str) -> bytes:
    """The key for a database that is to be made, under a password; `DatabaseError` if there is one."""
    if path.exists():
        raise DatabaseError(f"{path} is there already; open it, or name another file")
    key = secrets.token_bytes(KEY_BYTES)
    _write(path, password, [key])
    return key


def open_with_password(path: Path, password: str) -> Database:
    """Opens a database with a password; `WrongKeyError` if it is another one."""
    keys = _unlock(path, password)
    database, used = _open(path, keys)
    if len(keys) > 1:
        # A change of the password ended half-way.
        try:
            if used != keys[0]:
                database.rekey(keys[0])
            _write(path, password, keys[:1])
        except BaseException:
            database.close()
            raise
    return database


def change_password(database: Database, password: str, chosen: str) -> None:
    """Encrypts an open database under another password; `WrongKeyError` if `password` is not the one it has."""
    protect(database, _unlock(database.path, password)[0], chosen)


def protect(database: Database, key: bytes, password: str) -> None:
    """Gives an open database a password in place of the key that it has."""
    file, fresh = key_file(database.path), secrets.token_bytes(KEY_BYTES)
    before = file.read_bytes() if file.exists() else None
    _write(database.path, password, [fresh, key])
    try:
        database.rekey(fresh)
    except DatabaseError:
        # The file is as it was, and so is what opens it; where this fails too, the new password does.
        with contextlib.suppress(OSError):
            file.unlink() if before is None else files.replace(file, before, files.PRIVATE)
        raise
    _write(database.path, password, [fresh])


def _open(path: Path, keys: Sequence[bytes]) -> tuple[Database, bytes]:
    for key in keys:
        try:
            return Database.open(path, key), key
        except WrongKeyError:
            continue
    raise DamagedError(f"{key_file(path)} is not the file of {path}; restore both from one backup")


def _unlock(path: Path, password: str) -> list[bytes]:
    file = key_file(path)
    try:
        with file.open("rb") as opened:
            keys = locks.unlock(json.loads(opened.read(_MAX_FILE)), password)
    except FileNotFoundError:
        raise DatabaseError(f"{path} has no password, or {file} is lost: restore that from a backup") from None
    except OSError as error:
        raise UnwritableError(f"{file} cannot be read ({error.strerror})") from None
    except locks.NewerLockError:
        raise NewerVersionError(f"{file} was written by another version; use that one") from None
    except (locks.LockError, ValueError, RecursionError):
        raise DamagedError(f"{file} is damaged; restore it from a backup") from None
    if keys is None:
        raise WrongKeyError(f"the password is not that of {path}")
    return [keys[start : start + KEY_BYTES] for start in range(0, len(keys), KEY_BYTES)]


def _write(path: Path, password: str, keys: Sequence[bytes]) -> None:
    document = locks.lock(b"".join(keys), password)
    try:
        files.make_directory(path.parent)
        files.replace(key_file(path), json.dumps(document).encode(), files.PRIVATE)
    except OSError as error:
        raise UnwritableError(f"{key_file(path)} cannot be written ({error.strerror})") from None
