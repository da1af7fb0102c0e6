"""Update checks: the newest version of each client, as the operator's file says it (`spec/files-and-calls` §1)."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nacl import bindings
from nacl.exceptions import CryptoError

from allium.base import log
from allium.server.binary import decoded

PLATFORMS = ("desktop", "android", "ios")
#: How far a signed time may be from ours, in seconds.
TOLERANCE_SECONDS = 86_400
_PREFIX = 0x07
_HEADERS = ("x-fs-pubkey", "x-fs-timestamp", "x-fs-signature")
_MAX_FILE_BYTES = 1 << 20
_FIELDS = ("result", "updated", "name", "notes", "assets")
_ALPHA, _PRERELEASE = "alpha", "prerelease"


class SignatureError(Exception):
    """Headers that prove nothing: an HTTP status, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def verify(headers: Mapping[str, str], method: str, target: str, body: bytes = b"") -> str | None:
    """The blinded id that signed a request, `None` when nobody did; `target` is path and query.

    Raises `SignatureError`: 400 for what is no signature, 425 for a time too far from ours, 401 for a wrong one.
    """
    given = [headers.get(name, "") for name in _HEADERS]
    if not any(given):
        return None
    if not all(given):
        raise SignatureError(400, f"one of {', '.join(_HEADERS)} is missing")
    pubkey, timestamp, signature = given
    key, signed = decoded(pubkey, 33), decoded(signature, 64)
    if key is None or key[0] != _PREFIX or not bindings.crypto_core_ed25519_is_valid_point(key[1:]):
        raise SignatureError(400, "x-fs-pubkey is not 07 and an Ed25519 key")
    if signed is None:
        raise SignatureError(400, "x-fs-signature is not 64 bytes in base64")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 16):
        raise SignatureError(400, "x-fs-timestamp is not a time in seconds")
    if abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        raise SignatureError(425, "x-fs-timestamp is too far from this server's time")
    message = f"{timestamp}{method}{target}".encode()
    if body:
        message += hashlib.blake2b(body, digest_size=64).digest()
    try:
        bindings.crypto_sign_open(signed + message, key[1:])
    except (CryptoError, ValueError):
        raise SignatureError(401, "x-fs-signature is not by x-fs-pubkey") from None
    return "07" + key[1:].hex()


class Versions:
    """The operator's file: `{"desktop": {"result": "1.2.3", "updated": 1700000000, …, "alpha": {…}}, …}`."""

    def __init__(self, path: Path | None) -> None:
        """`None`: nothing is known."""
        self._path = path
        self._signature: tuple[int, int] | None = None
        self._known: dict[str, Any] = {}
        self._log = log.get("files")

    def answer(self, platform: str, channel: str) -> dict[str, Any] | None:
        """What a client of this platform is told; `None` when nothing is known."""
        self._read()
        found = self._known.get(platform)
        release = found.get(_ALPHA) if isinstance(found, dict) and channel == _ALPHA else found
        if not isinstance(release, dict) or not isinstance(release.get("result"), str):
            return None
        told = {"status_code": 200, **_public(release)}
        told.setdefault("updated", self._signature[0] / 1e9 if self._signature else 0)
        if isinstance(found, dict) and isinstance(found.get(_PRERELEASE), dict):
            told[_PRERELEASE] = {"updated": told["updated"], **_public(found[_PRERELEASE])}
        return told

    def _read(self) -> None:
        """Reads the file again when it has changed; what cannot be used leaves in force what was there before."""
        if self._path is None:
            return
        try:
            status = self._path.stat()
            signature = status.st_mtime_ns, status.st_size
            if signature == self._signature:
                return
            self._signature = signature
            with self._path.open("rb") as file:
                known = json.loads(file.read(_MAX_FILE_BYTES))
            if not isinstance(known, dict):
                raise ValueError("it is not a JSON object")
            self._known = known
        except (OSError, ValueError, RecursionError) as error:
            self._log.warning("the file of versions cannot be used", path=str(self._path), reason=str(error))


def _public(release: Mapping[str, Any]) -> dict[str, Any]:
    return {name: release[name] for name in _FIELDS if name in release}
