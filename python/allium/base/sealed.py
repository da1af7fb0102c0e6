"""Key files that a passphrase keeps: Argon2id of libsodium, then XSalsa20-Poly1305 (its `secretbox`).

A sealed file is the text `allium sealed key 1` and a newline; the cost of Argon2id, operations 8 bytes and memory in
bytes 8, big-endian; salt 16; nonce 24; the box. What stands before the box is not secret; changed, it opens nothing.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
from functools import cache
from pathlib import Path

from allium.errors import SetupError

#: Names the file that has the passphrase. systemd gives one by `LoadCredential=` or `LoadCredentialEncrypted=`.
ENVIRONMENT = "ALLIUM_PASSPHRASE_FILE"
#: Its name among the credentials of the service.
CREDENTIAL = "passphrase"

#: What a guess costs from now on, by libsodium's "moderate"; a sealed file has its own.
EFFORT = (3, 256 << 20)

_MAGIC = b"allium sealed key 1\n"
_COST = struct.Struct(">QQ")
_SALT = 16
#: What a hostile file may make us spend.
_MOST = (8, 1 << 30)
_LONGEST_PASSPHRASE = 4096


class PassphraseError(SetupError, ValueError):
    """A sealed file that stays closed (the text goes on from the file's name), or no passphrase to close one with."""


def is_sealed(content: bytes) -> bool:
    """Whether a key file has to be opened first."""
    return content.startswith(_MAGIC)


def seal(content: bytes, passphrase: bytes) -> bytes:
    """Closes `content`. Whoever opens it spends 256 MiB and some half a second for each guess."""
    from nacl import secret

    operations, memory = EFFORT
    salt = os.urandom(_SALT)
    box = secret.SecretBox(_key(passphrase, salt, operations, memory))
    return _MAGIC + _COST.pack(operations, memory) + salt + bytes(box.encrypt(content))


def unseal(content: bytes, passphrase: bytes | None = None) -> bytes:
    """Opens what `seal` made, with `passphrase` or the operator's (`ask`); raises `PassphraseError`."""
    from nacl import exceptions, secret

    try:
        operations, memory = _COST.unpack_from(content, len(_MAGIC))
    except struct.error:
        raise PassphraseError("is cut off; restore your backup") from None
    rest = content[len(_MAGIC) + _COST.size :]
    if operations > _MOST[0] or memory > _MOST[1]:
        raise PassphraseError("is damaged (nothing of ours costs so much to open); restore your backup")
    try:
        key = _key(ask() if passphrase is None else passphrase, rest[:_SALT], operations, memory)
        return secret.SecretBox(key).decrypt(rest[_SALT:])
    except (exceptions.CryptoError, exceptions.ValueError, exceptions.TypeError):
        raise PassphraseError("is not opened by this passphrase, or is damaged") from None


@cache
def ask() -> bytes:
    """The operator's passphrase: from a file, from the service manager, or from the terminal; asked for once."""
    path = os.environ.get(ENVIRONMENT)
    if path is None and (directory := os.environ.get("CREDENTIALS_DIRECTORY")):
        path = str(Path(directory) / CREDENTIAL)
        path = path if Path(path).exists() else None
    if path is not None:
        try:
            return read(Path(path))
        except PassphraseError as error:
            raise PassphraseError(f"is sealed: {error}") from None
    if sys.stdin is not None and sys.stdin.isatty():
        import getpass

        return getpass.getpass("Passphrase of the node's keys: ").encode()
    raise PassphraseError(f"is sealed; name a file with its passphrase in {ENVIRONMENT}")


def read(path: Path) -> bytes:
    """The passphrase in the file `path`, without the end of its line; raises `PassphraseError`."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            # A device's or a pipe's is not the passphrase's.
            if stat.S_ISREG(mode) and mode & (stat.S_IRWXO | stat.S_IWGRP):
                raise PassphraseError(f"others may read {path}; run: chmod 600 {path}")
            passphrase = file.read(_LONGEST_PASSPHRASE + 1).rstrip(b"\r\n")
    except OSError as error:
        raise PassphraseError(f"{path} cannot be read: {error.strerror}") from None
    if not 0 < len(passphrase) <= _LONGEST_PASSPHRASE:
        raise PassphraseError(f"{path} has no passphrase, or too long a one")
    return passphrase


def _key(passphrase: bytes, salt: bytes, operations: int, memory: int) -> bytes:
    from nacl import exceptions, pwhash, secret

    try:
        return pwhash.argon2id.kdf(secret.SecretBox.KEY_SIZE, passphrase, salt, opslimit=operations, memlimit=memory)
    except exceptions.RuntimeError:
        raise PassphraseError(
            f"takes {memory >> 20} MB of memory to be sealed or opened, which the system does not give; free some, or "
            "raise the limit (ulimit -v, or MemoryMax= in the unit)"
        ) from None
