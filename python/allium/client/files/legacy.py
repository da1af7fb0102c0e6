"""The encryption of attachments that every client reads: AES-CBC and HMAC (`spec/files-and-calls` §2.1, §2.3).

Files go through in pieces of any size. What a decryptor gives out is not to be used before `finish` says it is good.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets

from Cryptodome.Cipher import AES
from Cryptodome.Cipher._mode_cbc import CbcMode

MAX_FILE_BYTES = 10_000_000
KEY_BYTES, DIGEST_BYTES = 64, 32
_IV_BYTES, _MAC_BYTES, _BLOCK = 16, 32, 16
_SMALLEST, _STEP = 541, 1.05
_PICTURE_NONCE, _PICTURE_TAG = 12, 16


class FileError(ValueError):
    """A file that cannot be encrypted, or that is not what the message about it says."""


def padded_size(size: int) -> int:
    """What a file of `size` bytes is padded to, so that its size says little; `FileError` if it is too large."""
    if not 0 <= size <= MAX_FILE_BYTES:
        raise FileError(f"a file has at most {MAX_FILE_BYTES} bytes")
    if size < 2:
        return _SMALLEST
    return min(max(_SMALLEST, math.floor(_STEP ** math.ceil(math.log(size) / math.log(_STEP)))), MAX_FILE_BYTES)


class Encryptor:
    """Encrypts one file of a known size."""

    def __init__(self, size: int, *, padded: bool = True, key: bytes | None = None, iv: bytes | None = None) -> None:
        """`size` is the file's, in bytes. Pictures of previews are not padded. Key and IV are random unless given."""
        self.key = key or secrets.token_bytes(KEY_BYTES)
        iv = iv or secrets.token_bytes(_IV_BYTES)
        self._left = size
        self._padding = max(padded_size(size), size) - size if padded else 0
        self._cipher = AES.new(self.key[:32], AES.MODE_CBC, iv=iv)
        self._mac = hmac.new(self.key[32:], digestmod=hashlib.sha256)
        self._digest = hashlib.sha256()
        self._rest = b""
        self._first = iv

    def update(self, data: bytes) -> bytes:
        """What there is so far of the stored file; `FileError` if there is more than was said."""
        self._left -= len(data)
        if self._left < 0:
            raise FileError("the file is larger than it was")
        return self._take(data)

    def finish(self) -> bytes:
        """The end of the stored file; `FileError` if there was less than was said."""
        if self._left:
            raise FileError("the file is smaller than it was")
        out = self._take(bytes(self._padding))
        fill = _BLOCK - len(self._rest)
        out += self._authenticated(self._cipher.encrypt(self._rest + bytes([fill]) * fill))
        mac = self._mac.digest()
        self._digest.update(mac)
        return out + mac

    @property
    def digest(self) -> bytes:
        """SHA-256 of all that was given out, once `finish` was called."""
        return self._digest.digest()

    def _take(self, data: bytes) -> bytes:
        data = self._rest + data
        whole = len(data) - len(data) % _BLOCK
        self._rest = data[whole:]
        out, self._first = self._authenticated(self._first) if self._first else b"", b""
        return out + self._authenticated(self._cipher.encrypt(data[:whole]))

    def _authenticated(self, data: bytes) -> bytes:
        self._mac.update(data)
        self._digest.update(data)
        return data


class Decryptor:
    """Decrypts one file. Nothing of it is good before `finish` returned."""

    def __init__(self, key: bytes, digest: bytes, size: int) -> None:
        """Key (64 bytes), digest (32 bytes) and size of the file, as the message has them; `FileError` for bad ones."""
        if len(key) != KEY_BYTES or len(digest) != DIGEST_BYTES or size < 0:
            raise FileError("the message has no key, digest or size for this file")
        self._key = key
        self._expected = digest
        self._left = size
        self._mac = hmac.new(key[32:], digestmod=hashlib.sha256)
        self._digest = hashlib.sha256()
        self._cipher: CbcMode | None = None
        self._held = b""

    def update(self, data: bytes) -> bytes:
        """What there is so far of the file."""
        self._digest.update(data)
        self._held += data
        # The last block and the MAC stay: which they are shows at the end.
        ready = len(self._held) - _MAC_BYTES - _BLOCK
        if self._cipher is None:
            if ready < _IV_BYTES:
                return b""
            self._cipher = self._start()
            ready -= _IV_BYTES
        whole = ready - ready % _BLOCK
        if whole <= 0:
            return b""
        ciphertext, self._held = self._held[:whole], self._held[whole:]
        self._mac.update(ciphertext)
        return self._cut(self._cipher.decrypt(ciphertext))

    def _start(self) -> CbcMode:
        iv, self._held = self._held[:_IV_BYTES], self._held[_IV_BYTES:]
        self._mac.update(iv)
        return AES.new(self._key[:32], AES.MODE_CBC, iv=iv)

    def _cut(self, plaintext: bytes) -> bytes:
        plaintext = plaintext[: self._left]
        self._left -= len(plaintext)
        return plaintext

    def finish(self) -> bytes:
        """The rest of the file; `FileError` if anything of it is not as it was sent."""
        if self._cipher is None:
            if len(self._held) < _IV_BYTES + _BLOCK + _MAC_BYTES:
                raise FileError("the file is cut off")
            self._cipher = self._start()
        body, mac = self._held[:-_MAC_BYTES], self._held[-_MAC_BYTES:]
        self._mac.update(body)
        good = hmac.compare_digest(self._mac.digest(), mac)
        good &= hmac.compare_digest(self._digest.digest(), self._expected)
        if not good or not body or len(body) % _BLOCK:
            raise FileError("the file is not the one that was sent")
        plaintext = self._cipher.decrypt(body)
        fill = plaintext[-1]
        if not 0 < fill <= _BLOCK or plaintext[-fill:] != bytes([fill]) * fill:
            raise FileError("the file is not the one that was sent")
        out = self._cut(plaintext[:-fill])
        if self._left:
            raise FileError("the file is smaller than the message says")
        return out


def encrypt_picture(picture: bytes, key: bytes | None = None, nonce: bytes | None = None) -> tuple[bytes, bytes]:
    """A profile picture as older clients read it (AES-256-GCM), and its key of 32 bytes."""
    key, nonce = key or secrets.token_bytes(32), nonce or secrets.token_bytes(_PICTURE_NONCE)
    ciphertext, tag = AES.new(key, AES.MODE_GCM, nonce=nonce).encrypt_and_digest(picture)
    return nonce + ciphertext + tag, key


def decrypt_picture(data: bytes, key: bytes) -> bytes:
    """The inverse; `FileError` for a bad key or changed bytes."""
    if len(key) != 32 or len(data) < _PICTURE_NONCE + _PICTURE_TAG:
        raise FileError("no picture, or no key for it")
    nonce, ciphertext, tag = data[:_PICTURE_NONCE], data[_PICTURE_NONCE:-_PICTURE_TAG], data[-_PICTURE_TAG:]
    try:
        return AES.new(key, AES.MODE_GCM, nonce=nonce).decrypt_and_verify(ciphertext, tag)
    except ValueError:
        raise FileError("the picture is not the one that was sent") from None
