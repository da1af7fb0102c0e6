"""A telephone is let in over the network: by a code that the owner reads from the messenger's page or terminal.

A code is short, so it is good for a few minutes, for one device, and for few tries in all: whoever guesses burns it.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

#: Digits of a code; tries before it is burnt; seconds for which it is good.
DIGITS, TRIES, SECONDS = 8, 5, 300


@dataclass(frozen=True, slots=True)
class Door:
    """Where telephones come in."""

    #: `https://ADDRESS:PORT`.
    url: str
    #: SHA-256 of the certificate, hex.
    fingerprint: str


class Pairing:
    """The one code that is good now, if there is any."""

    def __init__(self, door: Door | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Without a `door` nobody can come in so."""
        self.door, self._clock = door, clock
        self._code, self._until, self._tries = "", 0.0, 0

    def code(self) -> str:
        """A fresh code; the one before is good no longer."""
        self._code = "".join(secrets.choice("0123456789") for _ in range(DIGITS))
        self._until, self._tries = self._clock() + SECONDS, TRIES
        return self._code

    def link(self, code: str) -> str:
        """What a telephone opens; code and fingerprint stay in the telephone, because no browser sends them."""
        assert self.door is not None  # noqa: S101 - asked where there is one
        return f"{self.door.url}/#pair={code}&fingerprint={self.door.fingerprint}"

    def use(self, given: str) -> bool | None:
        """Whether this is the code, which is used up then; None if there is none that is good."""
        if not self._code or self._clock() > self._until:
            return None
        typed = "".join(each for each in given if each.isascii() and each.isdecimal())
        if hmac.compare_digest(typed.encode(), self._code.encode()):
            self._code = ""
            return True
        self._tries -= 1
        if self._tries <= 0:
            self._code = ""
        return False
