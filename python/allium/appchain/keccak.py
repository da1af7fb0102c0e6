"""Keccak-256, the hash of the EVM.

The library that has it tells its loader of its functions in C where `cffi` is installed, which brings a parser of C and
0.1 s of work for every process; without, they are the same functions through `ctypes`.
"""

from __future__ import annotations

import sys


def keccak_256(data: bytes) -> bytes:
    """The digest, 32 bytes."""
    return _keccak.new(digest_bits=256, data=data).digest()


if "cffi" in sys.modules:
    from Cryptodome.Hash import keccak as _keccak
else:
    sys.modules["cffi"] = None  # type: ignore[assignment] # as if it were not installed
    try:
        from Cryptodome.Hash import keccak as _keccak
    finally:
        del sys.modules["cffi"]
