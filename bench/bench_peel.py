"""`allium._native.peel_batch` beside the libraries that a relay in Python would use, under pytest-benchmark."""

from __future__ import annotations

import hmac
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pytest_benchmark.fixture import BenchmarkFixture

from allium import _native

BATCH = 64
Layer = tuple[str, bytes, bytes]


def layers(secret: bytes, size: int) -> list[Layer]:
    """A batch of layers, each of another client."""
    made = []
    node = X25519PrivateKey.from_private_bytes(secret)
    for _ in range(BATCH):
        client = X25519PrivateKey.generate()
        key = hmac.digest(b"LOKI", client.exchange(node.public_key()), "sha256")
        iv = os.urandom(12)
        made.append(
            ("aes-gcm", client.public_key().public_bytes_raw(), iv + AESGCM(key).encrypt(iv, bytes(size), None))
        )
    return made


def one_by_one(secret: bytes, layers: list[Layer]) -> list[bytes]:
    """With `cryptography`."""
    node = X25519PrivateKey.from_private_bytes(secret)
    opened = []
    for _, client, sealed in layers:
        key = hmac.digest(b"LOKI", node.exchange(X25519PublicKey.from_public_bytes(client)), "sha256")
        opened.append(AESGCM(key).decrypt(sealed[:12], sealed[12:], None))
    return opened


@pytest.mark.parametrize("size", [512, 1024, 4096, 16384, 65536])
@pytest.mark.parametrize("peel", [_native.peel_batch, one_by_one], ids=["ours", "cryptography"])
def test_peel(benchmark: BenchmarkFixture, peel: object, size: int) -> None:
    """64 layers of `size` bytes."""
    secret = os.urandom(32)
    batch = layers(secret, size)
    assert benchmark(peel, secret, batch) == [bytes(size)] * BATCH  # noqa: S101
