"""The newer encryption: the same file by the same account is always the same bytes (`spec/files-and-calls` §2.2).

Files go through in pieces of any size, twice when they are encrypted: once for the key, once for the bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from nacl import bindings

from allium.client.files.legacy import FileError

MAX_FILE_BYTES = 10_218_286
CHUNK = 32_768
KEY_BYTES = 32
_OVERHEAD = bindings.crypto_secretstream_xchacha20poly1305_ABYTES
_HEADER_BYTES = bindings.crypto_secretstream_xchacha20poly1305_HEADERBYTES
_SEALED = CHUNK + _OVERHEAD
_MAGIC = b"S"
_SMALLEST = 131_072
_PERSON = {"attachment": b"SessionAttachmnt", "picture": b"Session_Prof_Pic"}

_State = bindings.crypto_secretstream_xchacha20poly1305_state

Purpose = Literal["attachment", "picture"]


@dataclass(frozen=True)
class FileKey:
    """What a file is encrypted with; it comes from its content."""

    #: 24 bytes, at the start of the stored file.
    header: bytes
    #: 32 bytes. Secret.
    key: bytes = field(repr=False)


class KeyDeriver:
    """Makes a file's key of all of its bytes."""

    def __init__(self, seed: bytes, purpose: Purpose) -> None:
        """`seed` are the account's 32 secret bytes."""
        self._hash = hashlib.blake2b(digest_size=_HEADER_BYTES + KEY_BYTES, key=seed, person=_PERSON[purpose])

    def update(self, data: bytes) -> None:
        """A piece of the file."""
        self._hash.update(data)

    def finish(self) -> FileKey:
        """The key, once all pieces were there."""
        both = self._hash.digest()
        return FileKey(both[:_HEADER_BYTES], both[_HEADER_BYTES:])


def padding(size: int) -> int:
    """How many bytes are put in front of a file of `size` bytes; `FileError` if it is too large."""
    if not 0 <= size <= MAX_FILE_BYTES:
        raise FileError(f"a file has at most {MAX_FILE_BYTES} bytes")
    chunks = -(-size // CHUNK)
    stored = size + len(_MAGIC) + _HEADER_BYTES + 1 + _OVERHEAD * chunks
    step = (1 << (max(stored, _SMALLEST).bit_length() - 1)) // 32
    front = -(-stored // step) * step - stored + 1
    whole, rest = divmod(front, _SEALED)
    return front - _OVERHEAD * (whole + (rest > CHUNK * chunks - size))


class Encryptor:
    """Encrypts one file of a known size."""

    def __init__(self, size: int, key: FileKey) -> None:
        """`size` is the file's, in bytes."""
        self._left = size
        self._state = _State()
        # A stream that is opened with a header is in the state of the one that was begun with it.
        bindings.crypto_secretstream_xchacha20poly1305_init_pull(self._state, key.header, key.key)
        self._held = bytes(padding(size) - 1) + b"\x01"
        self._first = _MAGIC + key.header

    def update(self, data: bytes) -> bytes:
        """What there is so far of the stored file; `FileError` if there is more than was said."""
        self._left -= len(data)
        if self._left < 0:
            raise FileError("the file is larger than it was")
        self._held += data
        out, self._first = [self._first], b""
        start = 0
        # The last chunk, which may be a whole one, is marked as the last.
        while len(self._held) - start > CHUNK:
            out.append(self._push(self._held[start : start + CHUNK], last=False))
            start += CHUNK
        self._held = self._held[start:]
        return b"".join(out)

    def finish(self) -> bytes:
        """The end of the stored file; `FileError` if there was less than was said."""
        if self._left:
            raise FileError("the file is smaller than it was")
        return self.update(b"") + self._push(self._held, last=True)

    def _push(self, chunk: bytes, *, last: bool) -> bytes:
        tag = (
            bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL
            if last
            else bindings.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
        )
        return bindings.crypto_secretstream_xchacha20poly1305_push(self._state, chunk, None, tag)


class Decryptor:
    """Decrypts one file. Each piece that comes out is as it was sent; that it is all there, `finish` says."""

    def __init__(self, key: bytes) -> None:
        """The file's key of 32 bytes; `FileError` for another size."""
        if len(key) != KEY_BYTES:
            raise FileError("no key for this file")
        self._key = key
        self._state: _State | None = None
        self._held = b""
        self._in_padding = True

    def update(self, data: bytes) -> bytes:
        """What there is so far of the file; `FileError` for bytes that were changed."""
        self._held += data
        if self._state is None:
            if len(self._held) < len(_MAGIC) + _HEADER_BYTES:
                return b""
            self._state = self._start()
        out = []
        start = 0
        while len(self._held) - start > _SEALED:
            out.append(self._pull(self._state, self._held[start : start + _SEALED], last=False))
            start += _SEALED
        self._held = self._held[start:]
        return b"".join(out)

    def finish(self) -> bytes:
        """The rest of the file; `FileError` if something is missing or was changed."""
        if self._state is None:
            raise FileError("the file is cut off")
        out = self._pull(self._state, self._held, last=True)
        if self._in_padding:
            raise FileError("the file is nothing but padding")
        return out

    def _start(self) -> _State:
        if self._held[:1] != _MAGIC:
            raise FileError("not a file of this encryption")
        state = _State()
        header = self._held[1 : 1 + _HEADER_BYTES]
        bindings.crypto_secretstream_xchacha20poly1305_init_pull(state, header, self._key)
        self._held = self._held[1 + _HEADER_BYTES :]
        return state

    def _pull(self, state: _State, sealed: bytes, *, last: bool) -> bytes:
        if len(sealed) < _OVERHEAD:
            raise FileError("the file is cut off")
        try:
            chunk, tag = bindings.crypto_secretstream_xchacha20poly1305_pull(state, sealed)
        except Exception:  # PyNaCl has exception types of its own for each thing that can be wrong
            raise FileError("the file is not the one that was sent") from None
        if (tag == bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL) is not last:
            raise FileError("the file does not end where it ends")
        if self._in_padding:
            stripped = chunk.lstrip(b"\0")
            if not stripped:
                return b""
            if stripped[0] != 1:
                raise FileError("padding of another kind")
            self._in_padding = False
            return stripped[1:]
        return chunk
