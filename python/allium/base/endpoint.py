"""An endpoint: where something listens over OMQ, as settings and connections name it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

#: What the system takes for the path of a socket, in bytes.
_LONGEST_PATH = 107
_PLACE = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_BARRED = "this user may not reach the socket: SupplementaryGroups=GROUP_OF_THE_DAEMON in the unit"
_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class Endpoint:
    """Where a daemon listens: `ipc://…` or `tcp://…`, and its X25519 key where it asks for CURVE."""

    address: str
    x25519: bytes | None = None

    @staticmethod
    def check(address: str) -> None:
        """Raises `ValueError` for an address that no connection can be made to: the text says what it has to be."""
        scheme, _, place = address.partition("://")
        if scheme == "ipc":
            if not place.startswith("/"):
                raise ValueError("a socket is named by its full path: ipc:///PATH, with three slashes")
            if len(place.encode(errors="surrogateescape")) > _LONGEST_PATH:
                raise ValueError(f"the path of a socket has {_LONGEST_PATH} bytes at most; use a shorter one")
            return
        found = _PLACE.fullmatch(place)
        if scheme != "tcp" or found is None or not 0 < int(found["port"]) < 1 << 16:
            raise ValueError("it has to be ipc:///PATH or tcp://HOST:PORT, with the port of the daemon's OMQ")

    def remedy(self) -> str:
        """What to do when nobody answers there."""
        scheme, _, place = self.address.partition("://")
        if scheme != "ipc":
            return "start the daemon, and see that its OMQ listens at this host and port and no firewall is between"
        try:
            Path(place).stat()
        except FileNotFoundError:
            return "there is no such socket: start the daemon, or set oxend_rpc to the one that it makes"
        except OSError:
            return _BARRED
        if not os.access(place, os.W_OK):
            return _BARRED
        return "the socket is there and nobody answers: start the daemon, which may have been killed"

    @classmethod
    def parse_seed(cls, text: str) -> Endpoint:
        """From `host:port/<64 hex digits>`; `ValueError` for anything else."""
        place, _, key = text.rpartition("/")
        host, _, port = place.rpartition(":")
        is_port = port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16
        if not host or not is_port or not _HEX_KEY.fullmatch(key):
            raise ValueError(f"{text!r} is not host:port/<X25519 key as 64 hex digits>")
        return cls(f"tcp://{place}", bytes.fromhex(key))
