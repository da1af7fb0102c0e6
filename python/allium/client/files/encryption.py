"""How one file is encrypted: always to the same bytes, so that an upload which was begun can be found and finished.

It is kept beside what waits to be sent. Whoever comes back to it asks the server for the id of those bytes before
sending them again (`spec/files-and-calls` §1, §2).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Protocol

from allium.client.exchange import Body
from allium.client.files import deterministic, legacy
from allium.client.files.deterministic import FileKey, KeyDeriver, Purpose

#: Of what is stored: what clients' servers take, and what the largest file would be that clients know to write.
MAX_UPLOAD_BYTES, MAX_STORED_BYTES = 10_000_000, 10_223_616
_IV_BYTES, _MAC_BYTES = 16, 32


class Encryptor(Protocol):
    """What both encryptions have in common."""

    def update(self, data: bytes) -> bytes:
        """What there is so far of the stored file."""

    def finish(self) -> bytes:
        """The end of the stored file."""


@dataclass(frozen=True, slots=True)
class FileEncryption:
    """A file's encryption, and what comes of it."""

    #: Of the file itself, in bytes.
    size: int
    #: 64 bytes of the legacy encryption, 32 of the deterministic one. Secret.
    key: bytes = field(repr=False)
    #: What the encryption begins with: 16 bytes, or 24.
    start: bytes = field(repr=False)
    deterministic: bool
    #: Whether its size is hidden; the deterministic encryption always does.
    padded: bool
    #: In bytes.
    stored_size: int
    #: The id that servers give what is stored.
    content_id: str
    #: SHA-256 of what is stored; none with the deterministic encryption.
    digest: bytes

    def encryptor(self) -> Encryptor:
        """Makes the same bytes each time."""
        if self.deterministic:
            return deterministic.Encryptor(self.size, FileKey(self.start, self.key))
        return legacy.Encryptor(self.size, padded=self.padded, key=self.key, iv=self.start)


@dataclass(frozen=True, slots=True)
class EncryptedBody:
    """A file as its encryption stores it."""

    encryption: FileEncryption
    source: Body

    @property
    def size(self) -> int:
        """See `Body`."""
        return self.encryption.stored_size

    async def pieces(self) -> AsyncIterator[bytes]:
        """See `Body`; `legacy.FileError` if the file is no longer the one that this was made for."""
        encryptor = self.encryption.encryptor()
        async for piece in self.source.pieces():
            if sealed := encryptor.update(piece):
                yield sealed
        yield encryptor.finish()


async def legacy_encryption(source: Body, *, padded: bool = True) -> FileEncryption:
    """With fresh keys, as every client reads it; `legacy.FileError` for a file that is too large."""
    # Padding that makes a file too large for servers would hide nothing: it would not arrive.
    padded = padded and legacy.padded_size(source.size) + 2 * _IV_BYTES + _MAC_BYTES <= MAX_UPLOAD_BYTES
    key, iv = secrets.token_bytes(legacy.KEY_BYTES), secrets.token_bytes(_IV_BYTES)
    return await _completed(FileEncryption(source.size, key, iv, False, padded, 0, "", b""), source)


async def deterministic_encryption(source: Body, seed: bytes, purpose: Purpose = "attachment") -> FileEncryption:
    """With keys from the file and the account's seed of 32 bytes; `legacy.FileError` for a file that is too large."""
    deterministic.padding(source.size)
    deriver = KeyDeriver(seed, purpose)
    async for piece in source.pieces():
        deriver.update(piece)
    made = deriver.finish()
    return await _completed(FileEncryption(source.size, made.key, made.header, True, True, 0, "", b""), source)


async def _completed(encryption: FileEncryption, source: Body) -> FileEncryption:
    """With what only the stored bytes tell."""
    named, digest, size = hashlib.blake2b(digest_size=33, salt=b"SessionFileSvr\0\0"), hashlib.sha256(), 0
    async for piece in EncryptedBody(encryption, source).pieces():
        named.update(piece)
        size += len(piece)
        if not encryption.deterministic:
            digest.update(piece)
    if size > MAX_UPLOAD_BYTES:
        raise legacy.FileError(f"a file has at most {MAX_UPLOAD_BYTES} bytes once it is encrypted")
    content_id = base64.urlsafe_b64encode(named.digest()).decode()
    shown = b"" if encryption.deterministic else digest.digest()
    return replace(encryption, stored_size=size, content_id=content_id, digest=shown)
