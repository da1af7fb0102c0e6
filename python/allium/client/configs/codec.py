"""A config message on its way to a swarm and back: compressed, padded, encrypted, split (`spec/configs` §2, §4).

Two devices of the same state make the same bytes, so that a swarm keeps them once.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import zstandard

from allium.client import bencode, crypto
from allium.client.configs.message import ConfigError

#: What a node stores of one message.
MAX_STORED = 76_800
#: What compressed configs may grow to: beyond it, no device could have written it.
MAX_PLAINTEXT = 1 << 22
OVERHEAD = crypto.NONCE_BYTES + crypto.TAG_BYTES
MAX_PARTS = 255
#: What a part says of itself takes 50 bytes.
PART_BYTES = MAX_STORED - OVERHEAD - 50
COMPRESSED, PLAIN, PART = b"z", b"d", b"m"
_LEVEL = 1
_NONCE_KEY = b"libsessionutil-config-encrypted-"
#: (size below which it counts, what sizes are multiples of).
_BUCKETS = ((5_120, 256), (20_480, 1_024), (40_960, 2_048))
_LARGEST_BUCKET = 5_120


@dataclass(frozen=True)
class Part:
    """A piece of a config that is too large for one message."""

    #: blake2b-32 of the whole.
    whole: bytes
    index: int
    count: int
    chunk: bytes


def encode(plaintext: bytes, key: bytes, domain: bytes) -> list[bytes]:
    """What is stored of a config message, encrypted; several where one would be too large.

    `ConfigError` if it is too large for that too.
    """
    padded = pad(_compressed(plaintext))
    if len(padded) + OVERHEAD <= MAX_STORED:
        return [encrypt(padded, key, domain)]
    whole = crypto.blake2b(32, padded)
    chunks = [padded[start : start + PART_BYTES] for start in range(0, len(padded), PART_BYTES)]
    if len(chunks) > MAX_PARTS:
        raise ConfigError("too large for any number of messages")
    count = bytes([len(chunks)])
    return [
        encrypt(PART + bencode.encode([whole, bytes([index]), count, chunk]), key, domain)
        for index, chunk in enumerate(chunks)
    ]


def decode(data: bytes, keys: Sequence[bytes], domain: bytes) -> bytes | Part:
    """The plaintext, or the part, that was stored; keys are tried in their order. `ConfigError` for anything else."""
    for key in keys:
        padded = decrypt(data, key, domain)
        if padded is not None:
            stripped = padded.lstrip(b"\0")
            return _part(stripped) if stripped[:1] == PART else unpacked(stripped)
    raise ConfigError("no key opens it")


def joined(parts: Sequence[Part]) -> bytes:
    """The plaintext of all parts of one whole, in any order; `ConfigError` if they do not make it."""
    padded = b"".join(part.chunk for part in sorted(parts, key=lambda part: part.index))
    if not hmac.compare_digest(crypto.blake2b(32, padded), parts[0].whole):
        raise ConfigError("parts of something else")
    return unpacked(padded.lstrip(b"\0"))


def unpacked(stripped: bytes) -> bytes:
    """The plaintext of what had its padding taken off."""
    match stripped[:1]:
        case b"d":
            return stripped
        case b"z":
            return decompress(stripped[1:], MAX_PLAINTEXT)
        case _:
            raise ConfigError("neither a config nor a compressed one")


def compress(plaintext: bytes) -> bytes:
    """One zstd frame that knows its content's size."""
    return zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True).compress(plaintext)


def decompress(frame: bytes, limit: int) -> bytes:
    """The content of one zstd frame of at most `limit` bytes; `ConfigError` for any other."""
    try:
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        if zstandard.frame_content_size(frame) > limit:
            raise ConfigError("too large")
        plaintext = b""
        for start in range(0, len(frame), 1 << 16):
            plaintext += reader.decompress(frame[start : start + (1 << 16)])
            if len(plaintext) > limit:
                raise ConfigError("too large")
    except zstandard.ZstdError:
        raise ConfigError("not compressed with zstd") from None
    if not reader.eof or reader.unused_data:
        raise ConfigError("not one whole zstd frame")
    return plaintext


def _compressed(plaintext: bytes) -> bytes:
    compressed = COMPRESSED + compress(plaintext)
    return compressed if len(compressed) < len(plaintext) else plaintext


def pad(content: bytes) -> bytes:
    """Zeros in front, so that what is stored has one of few sizes."""
    size = len(content) + OVERHEAD
    bucket = next((bucket for limit, bucket in _BUCKETS if size < limit), _LARGEST_BUCKET)
    return bytes(-size % bucket) + content


def encrypt(padded: bytes, key: bytes, domain: bytes) -> bytes:
    """Under a key and a nonce that come from the content; the nonce is at the end."""
    nonce = crypto.blake2b(crypto.NONCE_BYTES, padded, key=_NONCE_KEY + domain)
    return crypto.encrypt(padded, nonce, _key(key, len(padded), domain)) + nonce


def decrypt(data: bytes, key: bytes, domain: bytes) -> bytes | None:
    """The inverse of `encrypt`; None if it is not of this key and domain."""
    size = len(data) - OVERHEAD
    if size < 1:
        return None
    ciphertext, nonce = data[: -crypto.NONCE_BYTES], data[-crypto.NONCE_BYTES :]
    return crypto.decrypt(ciphertext, nonce, _key(key, size, domain))


def _key(base: bytes, size: int, domain: bytes) -> bytes:
    return crypto.blake2b(crypto.KEY_BYTES, base, size.to_bytes(8, "big"), domain)


def _part(plaintext: bytes) -> Part:
    try:
        match bencode.decode(plaintext[len(PART) :]):
            case [bytes(whole), bytes(index), bytes(count), bytes(chunk)]:
                if len(whole) == 32 and len(index) == len(count) == 1 and index < count and count[0] > 1:
                    return Part(whole, index[0], count[0], chunk)
    except bencode.BencodeError:
        pass
    raise ConfigError("not a part of a config")
