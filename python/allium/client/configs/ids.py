"""Ids as configs have them: 33 bytes, or 66 digits of hex (`spec/accounts` §1, `spec/groups` §1)."""

from __future__ import annotations

import re

ID_BYTES = 33
_ID = re.compile(r"(?:03|05|15|25)[0-9a-f]{64}")

ACCOUNT, GROUP = "05", "03"
BLINDED = ("15", "25")


def packed(identifier: str, *prefixes: str) -> bytes:
    """The 33 bytes of an id with one of the prefixes; `ValueError` for any other text."""
    lowered = identifier.lower()
    if _ID.fullmatch(lowered) is None or not lowered.startswith(prefixes):
        raise ValueError(f"an id is {' or '.join(prefixes)} and 64 hex digits, not {identifier[:80]!r}")
    return bytes.fromhex(lowered)


def unpacked(key: bytes, *prefixes: str) -> str | None:
    """The 66 digits of an id with one of the prefixes; None for any other bytes."""
    digits = key.hex()
    return digits if len(key) == ID_BYTES and digits.startswith(prefixes) else None
