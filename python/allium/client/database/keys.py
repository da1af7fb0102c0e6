"""Where the key of a database comes from: the account's secret, or a password.

With a password, the key is random, and lies in a small file beside the database, encrypted under what Argon2id makes of
the password. A new password comes with a new key. While the database is encrypted anew, the file has both keys, so that
it can be opened whenever that ends; who opens it goes on with it.
"""

from __future__ import annotations

import json
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nacl import bindings

from allium.base import files
from allium.client import crypto
from allium.client.database.connection import KEY_BYTES
from allium.client.database.database import Database
from allium.client.database.errors import (
    DamagedError,
    DatabaseError,
    UnwritableError,
    WrongKeyError,
)

#: What a new password costs to try: passes, and bytes of memory (RFC 9106 §4, with one lane).
PASSES, MEMORY = 3, 64 << 20
#: What a file may ask of who opens it.
_MAX_PASSES, _MAX_MEMORY = 32, 1 << 30
_SALT_BYTES = 16
_FORMAT = 1
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
    if path.exists():
        raise DatabaseError(f"{path} is there already; open it, or name another file")
    key = secrets.token_bytes(KEY_BYTES)
    _write(path, password, [key])
    return Database.open(path, key)


def open_with_password(path: Path, password: str) -> Database:
    """Opens a database with a password; `WrongKeyError` if it is another one."""
    keys = _unlock(path, password)
    database, used = _open(path, keys)
    if len(keys) > 1:
        # A change of the password ended half-way.
        try:
            _finish(database, password, keys[0], rekeyed=used == keys[0])
        except BaseException:
            database.close()
            raise
    return database


def change_password(database: Database, password: str, new: str) -> None:
    """Encrypts an open database under another password; `WrongKeyError` if `password` is not the one it has."""
    protect(database, _unlock(database.path, password)[0], new)


def protect(database: Database, key: bytes, password: str) -> None:
    """Gives an open database a password in place of the key that it has."""
    new = secrets.token_bytes(KEY_BYTES)
    _write(database.path, password, [new, key])
    _finish(database, password, new, rekeyed=False)


def _finish(database: Database, password: str, key: bytes, *, rekeyed: bool) -> None:
    if not rekeyed:
        database.rekey(key)
    _write(database.path, password, [key])


def _open(path: Path, keys: Sequence[bytes]) -> tuple[Database, bytes]:
    for key in keys:
        try:
            return Database.open(path, key), key
        except WrongKeyError:
            continue
    raise DamagedError(f"{key_file(path)} is not the file of {path}; restore both from one backup")


@dataclass(frozen=True)
class _Header:
    """What is in the file."""

    salt: bytes
    passes: int
    memory: int
    #: The key, and while it is changed the one before it.
    locked: bytes

    def unlocking(self, password: str) -> bytes:
        """What the password makes of it."""
        given = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
        argon2id = bindings.crypto_pwhash_ALG_ARGON2ID13
        return bindings.crypto_pwhash_alg(KEY_BYTES, given, self.salt, self.passes, self.memory, argon2id)


def _unlock(path: Path, password: str) -> list[bytes]:
    header = _read(path)
    nonce, locked = header.locked[: crypto.NONCE_BYTES], header.locked[crypto.NONCE_BYTES :]
    keys = crypto.decrypt(locked, nonce, header.unlocking(password))
    if keys is None:
        raise WrongKeyError(f"the password is not that of {path}")
    return [keys[start : start + KEY_BYTES] for start in range(0, len(keys), KEY_BYTES)]


def _write(path: Path, password: str, keys: Sequence[bytes]) -> None:
    if not password:
        raise ValueError("a password has at least one character")
    header = _Header(secrets.token_bytes(_SALT_BYTES), PASSES, MEMORY, b"")
    nonce = secrets.token_bytes(crypto.NONCE_BYTES)
    locked = nonce + crypto.encrypt(b"".join(keys), nonce, header.unlocking(password))
    document = {
        "format": _FORMAT,
        "kdf": "argon2id",
        "salt": header.salt.hex(),
        "passes": header.passes,
        "memory": header.memory,
        "key": locked.hex(),
    }
    try:
        files.make_directory(path.parent)
        files.replace(key_file(path), json.dumps(document).encode(), files.PRIVATE)
    except OSError as error:
        raise UnwritableError(f"{key_file(path)} cannot be written ({error.strerror})") from None


def _read(path: Path) -> _Header:
    file = key_file(path)
    try:
        with file.open("rb") as opened:
            document: Any = json.loads(opened.read(_MAX_FILE))
        salt, locked = bytes.fromhex(document["salt"]), bytes.fromhex(document["key"])
        passes, memory = int(document["passes"]), int(document["memory"])
        known = document["format"] == _FORMAT and document["kdf"] == "argon2id"
    except FileNotFoundError:
        raise DatabaseError(f"{path} has no password, or {file} is lost: restore that from a backup") from None
    except OSError as error:
        raise UnwritableError(f"{file} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        raise DamagedError(f"{file} is damaged; restore it from a backup") from None
    fits = 1 <= passes <= _MAX_PASSES and bindings.crypto_pwhash_argon2id_MEMLIMIT_MIN <= memory <= _MAX_MEMORY
    if not known or not fits or len(salt) != _SALT_BYTES:
        raise DatabaseError(f"{file} was written by another version; use that one")
    return _Header(salt, passes, memory, locked)
