"""The key of a database, in a small file beside it.

The key is random. The file holds it under the account's own key, so that the recovery phrase always opens it, and
either under a password's (Argon2id) or, where there is no password, as it is: then whoever can read the file can read
all. A new password re-writes these few bytes and not the database.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

from nacl import bindings, pwhash
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from allium.base import files
from allium.client.account import Account
from allium.client.crypto import SEED_BYTES
from allium.errors import Complaint

KEY_BYTES = 32
_PERSON = b"allium database"
_LARGEST_FILE = 65_536


class KeyFileError(Complaint):
    """The database's key is not to be had: a wrong password, or a file that is missing or none of ours."""


def path_of(database: Path) -> Path:
    """The file beside a database."""
    return database.with_name(database.name + ".key")


def write(database: Path, key: bytes, account: Account, password: str | None) -> None:
    """Replaces the file; `OSError` if that is not possible."""
    document: dict[str, Any] = {"version": 1, "account": _wrapped(key, _account_key(account))}
    if password is None:
        document["key"] = key.hex()
    else:
        salt = secrets.token_bytes(pwhash.argon2id.SALTBYTES)
        cost = pwhash.argon2id.OPSLIMIT_INTERACTIVE, pwhash.argon2id.MEMLIMIT_INTERACTIVE
        document["argon2id"] = {"salt": salt.hex(), "operations": cost[0], "memory": cost[1]}
        document["password"] = _wrapped(key, _password_key(password, salt, *cost))
    files.replace(path_of(database), json.dumps(document).encode(), files.PRIVATE)


def read(database: Path, password: str | None = None, account: Account | None = None) -> bytes:
    """The key, by the account if it is given, else by the password; `KeyFileError` if neither opens it."""
    document = _document(path_of(database))
    try:
        if account is not None:
            return _unwrapped(document["account"], _account_key(account), "that recovery phrase is of another account")
        if "key" in document:
            return _sized(bytes.fromhex(document["key"]))
        if password is None:
            raise KeyFileError("this database has a password; give it")
        cost = document["argon2id"]
        opener = _password_key(password, bytes.fromhex(cost["salt"]), int(cost["operations"]), int(cost["memory"]))
        return _unwrapped(document["password"], opener, "that is not the database's password")
    except (KeyError, TypeError, ValueError, CryptoError):
        raise KeyFileError(f"{path_of(database)} is damaged; the recovery phrase restores the account") from None


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_LARGEST_FILE))
    except OSError as error:
        raise KeyFileError(f"the key of the database cannot be read from {path} ({error.strerror})") from None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise KeyFileError(f"{path} is damaged; the recovery phrase restores the account")
    return document


def _account_key(account: Account) -> bytes:
    return hashlib.blake2b(account.ed25519_secret[:SEED_BYTES], digest_size=KEY_BYTES, person=_PERSON).digest()


def _password_key(password: str, salt: bytes, operations: int, memory: int) -> bytes:
    limit = pwhash.argon2id.MEMLIMIT_SENSITIVE
    if not 0 < memory <= limit or not 0 < operations <= pwhash.argon2id.OPSLIMIT_SENSITIVE:
        raise ValueError("a cost that nobody would have chosen")
    return pwhash.argon2id.kdf(KEY_BYTES, password.encode(), salt, opslimit=operations, memlimit=memory)


def _wrapped(key: bytes, under: bytes) -> str:
    return bytes(SecretBox(under).encrypt(key)).hex()


def _unwrapped(wrapped: str, under: bytes, otherwise: str) -> bytes:
    try:
        return _sized(SecretBox(under).decrypt(bytes.fromhex(wrapped)))
    except CryptoError:
        raise KeyFileError(otherwise) from None


def _sized(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError("not a key")
    return key


def new_key() -> bytes:
    """A random one."""
    return bindings.randombytes(KEY_BYTES)
