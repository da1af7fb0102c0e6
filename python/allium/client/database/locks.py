"""Bytes locked under a password, or under the secret of an account, as a small JSON object that says how."""

from __future__ import annotations

import secrets
import unicodedata
from typing import Any

from nacl import bindings

from allium.client import crypto
from allium.client.database.errors import DatabaseError

#: What a new password costs to try: passes, and bytes of memory (RFC 9106 §4, with one lane).
PASSES, MEMORY = 3, 64 << 20
#: What an object may ask of who opens it.
MAX_PASSES, MAX_MEMORY = 32, 1 << 30
_PASSWORD, _ACCOUNT = "argon2id", "account"
_SALT_BYTES = 16
_FORMAT = 1


class LockError(Exception):
    """An object that is none of these, or damaged."""


class NewerLockError(LockError):
    """One that another version has made, or that asks for too much."""


def lock(content: bytes, opener: str | bytes) -> dict[str, Any]:
    """`content` under a password, or under the secret bytes of an account; `ValueError` for an empty password."""
    if not opener:
        raise ValueError("a password has at least one character")
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(crypto.NONCE_BYTES)
    locked = nonce + crypto.encrypt(content, nonce, _key(opener, salt, PASSES, MEMORY))
    found: dict[str, Any] = {"format": _FORMAT, "kdf": _PASSWORD if isinstance(opener, str) else _ACCOUNT}
    if isinstance(opener, str):
        found |= {"passes": PASSES, "memory": MEMORY}
    return found | {"salt": salt.hex(), "locked": locked.hex()}


def by_password(document: Any) -> bool:
    """Whether a password opens it, rather than an account."""
    return isinstance(document, dict) and document.get("kdf") == _PASSWORD


def unlock(document: Any, opener: str | bytes) -> bytes | None:
    """What was locked; None if `opener` is another one. `LockError` for what is no such object."""
    try:
        version, kdf = document["format"], document["kdf"]
        salt, locked = bytes.fromhex(document["salt"]), bytes.fromhex(document["locked"])
        passes, memory = int(document.get("passes", PASSES)), int(document.get("memory", MEMORY))
    except (ValueError, KeyError, TypeError, OverflowError, AttributeError):
        raise LockError from None
    fits = 1 <= passes <= MAX_PASSES and bindings.crypto_pwhash_argon2id_MEMLIMIT_MIN <= memory <= MAX_MEMORY
    if version != _FORMAT or kdf not in (_PASSWORD, _ACCOUNT) or len(salt) != _SALT_BYTES or not fits:
        raise NewerLockError
    if isinstance(opener, str) != (kdf == _PASSWORD):
        return None
    key = _key(opener, salt, passes, memory)
    return crypto.decrypt(locked[crypto.NONCE_BYTES :], locked[: crypto.NONCE_BYTES], key)


def _key(opener: str | bytes, salt: bytes, passes: int, memory: int) -> bytes:
    if isinstance(opener, bytes):
        return crypto.blake2b(crypto.KEY_BYTES, salt, opener, key=b"AlliumClientLock")
    given = unicodedata.normalize("NFKC", opener).encode("utf-8", "surrogatepass")
    argon2id = bindings.crypto_pwhash_ALG_ARGON2ID13
    try:
        return bindings.crypto_pwhash_alg(crypto.KEY_BYTES, given, salt, passes, memory, argon2id)
    except RuntimeError:
        raise DatabaseError(f"there is no memory to try a password, which takes {memory >> 20} MiB") from None
