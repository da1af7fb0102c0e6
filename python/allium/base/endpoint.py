"""An endpoint: where something listens over OMQ, as settings and connections name it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class Endpoint:
    """Where a daemon listens: `ipc://…` or `tcp://…`, and its X25519 key where it asks for CURVE."""

    address: str
    x25519: bytes | None = None

    @classmethod
    def parse_seed(cls, text: str) -> Endpoint:
        """From `host:port/<64 hex digits>`; `ValueError` for anything else."""
        place, _, key = text.rpartition("/")
        host, _, port = place.rpartition(":")
        is_port = port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16
        if not host or not is_port or not _HEX_KEY.fullmatch(key):
            raise ValueError(f"{text!r} is not host:port/<X25519 key as 64 hex digits>")
        return cls(f"tcp://{place}", bytes.fromhex(key))
