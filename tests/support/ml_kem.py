"""ML-KEM-768's encapsulation with given coins, after FIPS 203, for vectors: what is shipped only knows random ones."""

from __future__ import annotations

import hashlib

Q, K, DU, DV = 3329, 3, 10, 4
Poly = list[int]


def encapsulate(public: bytes, coins: bytes) -> tuple[bytes, bytes]:
    """Ciphertext and shared secret (algorithm 17)."""
    both = hashlib.sha3_512(coins + hashlib.sha3_256(public).digest()).digest()
    return _encrypt(public, coins, both[32:]), both[:32]


def _encrypt(public: bytes, message: bytes, randomness: bytes) -> bytes:
    """Algorithm 14."""
    t = [_decode(public[384 * i : 384 * (i + 1)], 12) for i in range(K)]
    rho = public[384 * K :]
    noise = [_cbd(hashlib.shake_256(randomness + bytes([n])).digest(128)) for n in range(2 * K + 1)]
    y, e1, e2 = [_ntt(poly) for poly in noise[:K]], noise[K : 2 * K], noise[2 * K]
    u = [_added(_inverse(_dot([_sample(rho + bytes([i, j])) for j in range(K)], y)), e1[i]) for i in range(K)]
    mu = [bit * ((Q + 1) // 2) for bit in _decode(message, 1)]
    v = _added(_added(_inverse(_dot(t, y)), e2), mu)
    return b"".join(_compressed(poly, DU) for poly in u) + _compressed(v, DV)


def _decode(data: bytes, bits: int) -> Poly:
    number = int.from_bytes(data, "little")
    return [number >> bits * i & ((1 << bits) - 1) for i in range(256)]


def _compressed(poly: Poly, bits: int) -> bytes:
    values = [((x << bits) + Q // 2) // Q % (1 << bits) for x in poly]
    return sum(value << bits * i for i, value in enumerate(values)).to_bytes(32 * bits, "little")


def _cbd(data: bytes) -> Poly:
    bits = _decode(data[:32], 1) + _decode(data[32:64], 1) + _decode(data[64:96], 1) + _decode(data[96:], 1)
    return [(bits[4 * i] + bits[4 * i + 1] - bits[4 * i + 2] - bits[4 * i + 3]) % Q for i in range(256)]


def _sample(seed: bytes) -> Poly:
    stream, found = hashlib.shake_128(seed).digest(2048), list[int]()
    for a, b, c in zip(stream[::3], stream[1::3], stream[2::3], strict=False):
        found += [d for d in (a + 256 * (b % 16), b // 16 + 16 * c) if d < Q]
    assert len(found) >= 256
    return found[:256]


def _reversed(i: int) -> int:
    return int(f"{i:07b}"[::-1], 2)


def _ntt(poly: Poly) -> Poly:
    f, i, length = list(poly), 1, 128
    while length >= 2:
        for start in range(0, 256, 2 * length):
            zeta = pow(17, _reversed(i), Q)
            i += 1
            for j in range(start, start + length):
                t = zeta * f[j + length] % Q
                f[j + length], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
        length //= 2
    return f


def _inverse(poly: Poly) -> Poly:
    f, i, length = list(poly), 127, 2
    while length <= 128:
        for start in range(0, 256, 2 * length):
            zeta = pow(17, _reversed(i), Q)
            i -= 1
            for j in range(start, start + length):
                t = f[j]
                f[j], f[j + length] = (t + f[j + length]) % Q, zeta * (f[j + length] - t) % Q
        length *= 2
    return [x * 3303 % Q for x in f]


def _dot(left: list[Poly], right: list[Poly]) -> Poly:
    total = [0] * 256
    for a, b in zip(left, right, strict=True):
        for i in range(128):
            a0, a1, b0, b1 = a[2 * i], a[2 * i + 1], b[2 * i], b[2 * i + 1]
            total[2 * i] += a0 * b0 + a1 * b1 * pow(17, 2 * _reversed(i) + 1, Q)
            total[2 * i + 1] += a0 * b1 + a1 * b0
    return [x % Q for x in total]


def _added(left: Poly, right: Poly) -> Poly:
    return [(a + b) % Q for a, b in zip(left, right, strict=True)]
