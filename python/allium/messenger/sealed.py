"""Files encrypted on disk, in pieces that are read one by one, so that any range of a large one is read soon.

Each piece is sealed by XChaCha20-Poly1305 with the file's random id and its own number as the nonce, and with the head,
which has the size, as what belongs to it: no piece can be changed, moved, left out or taken from another file.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Protocol

from nacl import bindings
from nacl.exceptions import CryptoError

from allium.base import files, system

PIECE = 64 << 10
#: What names of sealed files end in.
SUFFIX = ".sealed"
_MAGIC = b"ALSF\x01"
_ID, _SIZE, _TAG = 16, 8, 16
_HEAD = len(_MAGIC) + _ID + _SIZE


class DamagedFileError(OSError):
    """The file was changed by something else, or is another account's."""


class Readable(Protocol):
    """A file that is read at any place."""

    size: int

    def read(self, start: int, length: int) -> bytes:
        """At most so many bytes from there; none at the end. `OSError`."""

    def close(self) -> None:
        """It is read no more."""


def key_of(secret: bytes) -> bytes:
    """The key of an account's files, of its secret."""
    return hashlib.blake2b(secret, digest_size=32, person=b"allium files").digest()


def seal(source: Path, target: Path, key: bytes) -> None:
    """Makes `target` of `source`, all or nothing. `OSError`."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with source.open("rb") as plain, temporary.open("xb") as file:
            temporary.chmod(files.PRIVATE)
            size = os.fstat(plain.fileno()).st_size
            head = _MAGIC + secrets.token_bytes(_ID) + size.to_bytes(_SIZE, "big")
            file.write(head)
            for number in range(-(-size // PIECE)):
                piece = plain.read(min(PIECE, size - number * PIECE))
                file.write(bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(piece, head, _nonce(head, number), key))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _nonce(head: bytes, number: int) -> bytes:
    return head[len(_MAGIC) : len(_MAGIC) + _ID] + number.to_bytes(8, "big")


class PlainFile:
    """A file as it is."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read(self, start: int, length: int) -> bytes:
        """See `Readable`."""
        os.lseek(self._descriptor, start, os.SEEK_SET)
        return os.read(self._descriptor, length)

    def close(self) -> None:
        """See `Readable`."""
        os.close(self._descriptor)


class SealedFile(PlainFile):
    """A file that `seal` has made."""

    def __init__(self, descriptor: int, key: bytes) -> None:
        super().__init__(descriptor)
        self._key = key
        self._head = super().read(0, _HEAD)
        self.size = int.from_bytes(self._head[-_SIZE:], "big")

    def read(self, start: int, length: int) -> bytes:
        """See `Readable`."""
        number, skipped = divmod(start, PIECE)
        if start >= self.size:
            return b""
        sealed = super().read(_HEAD + number * (PIECE + _TAG), PIECE + _TAG)
        nonce = _nonce(self._head, number)
        try:
            piece: bytes = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, self._head, nonce, self._key)
        except (CryptoError, ValueError):
            raise DamagedFileError("this file was damaged") from None
        return piece[skipped : skipped + length]


def opened(path: Path, key: bytes) -> Readable:
    """A file, sealed or not. `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | system.NOFOLLOW | system.BINARY)
    try:
        is_sealed = os.read(descriptor, len(_MAGIC)) == _MAGIC and path.name.endswith(SUFFIX)
        return SealedFile(descriptor, key) if is_sealed else PlainFile(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
