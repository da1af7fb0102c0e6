"""What X25519, signatures and whole onion layers cost: libsodium, OpenSSL, the engine with each of its X25519 backends.

Everything is measured by turns in one run, so that what else the machine does falls on each alike, and in CPU time;
medians are shown. A whole layer is X25519, the key derivation and the cipher (`spec/onion` §3). Ratios are to the
functions of libsodium, called one by one from Rust in the same process; pynacl and `cryptography` are called from
Python, as their users call them. Writes bench/out/crypto.json.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nacl.bindings as sodium
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target" / "release" / "allium-bench"
BACKENDS = ("scalar", "avx2", "avx512", "ifma", "measured")
SIZES = (512, 1024, 4096, 16384, 65536)
#: Seconds of CPU time that one measurement in Python takes at least.
LEAST = 0.02
#: Beyond this, times with a fixed and with random scalars differ.
SIGNIFICANT = 4.5


class Row(NamedTuple):
    """What is measured."""

    what: str
    backend: str
    cipher: str | None
    bytes: int
    batch: int


def cpu_seconds(run: Callable[[], object]) -> float:
    """CPU time of one call."""
    count = 0
    start = time.process_time()
    while (took := time.process_time() - start) < LEAST:
        run()
        count += 1
    return took / count


def python_cases() -> dict[Row, Callable[[], object]]:
    """The libraries as they are called from Python."""
    secret, client = os.urandom(32), X25519PrivateKey.generate()
    node = X25519PrivateKey.from_private_bytes(secret)
    their = client.public_key().public_bytes_raw()
    own = node.public_key().public_bytes_raw()

    def nacl_shared() -> bytes:
        return sodium.crypto_scalarmult(secret, their)

    def openssl_shared() -> bytes:
        return node.exchange(X25519PublicKey.from_public_bytes(their))

    def loki(shared: bytes) -> bytes:
        return hmac.digest(b"LOKI", shared, "sha256")

    cases: dict[Row, Callable[[], object]] = {
        Row("x25519", "pynacl", None, 32, 1): nacl_shared,
        Row("x25519", "cryptography", None, 32, 1): openssl_shared,
    }
    for size in SIZES:
        iv, plaintext = os.urandom(12), bytes(size)
        gcm = AESGCM(loki(openssl_shared())).encrypt(iv, plaintext, None)
        nonce = os.urandom(24)
        key = hashlib.blake2b(nacl_shared() + their + own, digest_size=32).digest()
        chacha = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, None, nonce, key)
        long_iv = os.urandom(16)
        encryptor = Cipher(algorithms.AES(openssl_shared()), modes.CBC(long_iv)).encryptor()
        cbc = encryptor.update(plaintext + b"\x10" * 16) + encryptor.finalize()

        def open_gcm(iv: bytes = iv, sealed: bytes = gcm) -> bytes:
            return AESGCM(loki(openssl_shared())).decrypt(iv, sealed, None)

        def open_chacha(nonce: bytes = nonce, sealed: bytes = chacha) -> bytes:
            key = hashlib.blake2b(nacl_shared() + their + own, digest_size=32).digest()
            return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, None, nonce, key)

        def open_cbc(iv: bytes = long_iv, sealed: bytes = cbc) -> bytes:
            decryptor = Cipher(algorithms.AES(openssl_shared()), modes.CBC(iv)).decryptor()
            return decryptor.update(sealed) + decryptor.finalize()

        cases[Row("peel", "cryptography", "aes-gcm", size, 1)] = open_gcm
        cases[Row("peel", "pynacl", "xchacha20", size, 1)] = open_chacha
        cases[Row("peel", "cryptography", "aes-cbc", size, 1)] = open_cbc
    return cases


def engine(backend: str) -> tuple[dict[Row, dict[str, float]], float] | None:
    """Rows of the engine with one backend, and its t; `None` where the processor does not have it."""
    environment = {**os.environ, "ALLIUM_X25519": "" if backend == "measured" else backend}
    command = [PROGRAM, "crypto", "1"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout)
    if result["backend"] != backend:
        return None
    names = Row._fields
    rows = {Row(*(row[name] for name in names)): row for row in result["rows"]}
    return rows, result["constant_time_t"]


def main() -> None:
    """Measures, prints the table, writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    seconds: defaultdict[Row, list[float]] = defaultdict(list)
    ratios: defaultdict[Row, list[float]] = defaultdict(list)
    clocks: list[float] = []
    ts: defaultdict[str, list[float]] = defaultdict(list)
    cases = python_cases()
    for round_ in range(rounds):
        for backend in BACKENDS:
            print(f"\rround {round_ + 1} of {rounds}: {backend:8}", end="", file=sys.stderr)
            measured = engine(backend)
            if measured is None:
                continue
            rows, t = measured
            ts[backend].append(t)
            for row, values in rows.items():
                seconds[row].append(values["seconds"])
                clocks.append(values["cycles_per_op"] / values["seconds"])
                base = rows.get(row._replace(backend="libsodium", batch=1))
                if base is not None:
                    ratios[row].append(base["seconds"] / values["seconds"])
        for row, run in cases.items():
            seconds[row].append(cpu_seconds(run))
    print("\r", end="", file=sys.stderr)
    clock = statistics.median(clocks)
    out = []
    for row, values in sorted(
        seconds.items(), key=lambda item: (item[0].what == "peel", item[0].cipher or "", item[0].what, *item[0][3:])
    ):
        second = statistics.median(values)
        if row in ratios:
            ratio = statistics.median(ratios[row])
        else:
            base = seconds.get(row._replace(backend="libsodium", batch=1))
            ratio = statistics.median(base) / second if base else None
        out.append(row._asdict() | {"ops_per_s": 1 / second, "ratio_libsodium": ratio, "cycles_per_op": second * clock})
    show(out, clock, rounds)
    for backend, values in ts.items():
        t = statistics.median(values)
        verdict = "the same" if abs(t) < SIGNIFICANT else "NOT the same"
        print(f"{backend}: times with a fixed and with random scalars are {verdict} (Welch's t {t:.1f})")
    target = ROOT / "bench" / "out" / "crypto.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(out, indent=1) + "\n")


def show(rows: list[dict[str, object]], clock: float, rounds: int) -> None:
    """The table."""
    print(f"one core at {clock / 1e9:.2f} GHz, medians of {rounds} rounds, CPU time")
    print(
        f"{'what':12} {'cipher':10} {'bytes':>6} {'batch':>5} {'backend':12} {'ops/s':>9} {'/libsodium':>10} "
        f"{'cycles/op':>10}"
    )
    for row in rows:
        ratio = row["ratio_libsodium"]
        shown = f"{ratio:10.2f}" if isinstance(ratio, float) else f"{'':10}"
        print(
            f"{row['what']:12} {row['cipher'] or '':10} {row['bytes']:6} {row['batch']:5} {row['backend']:12} "
            f"{row['ops_per_s']:9.0f} {shown} {row['cycles_per_op']:10.0f}"
        )


if __name__ == "__main__":
    main()
