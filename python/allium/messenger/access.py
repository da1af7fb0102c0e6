"""Who may come in: whoever has the link that the service shows once, then their browser; and the owner's programs.

What browsers carry is kept as its hash alone. All of it is compared without telling how much of it was right.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from allium.base import files
from allium.messenger.places import Places, read_json, write_json

#: A link may be used for so long, seconds.
LINK_SECONDS = 600
MAX_LINKS = 16
#: A browser that was not seen for so long has to come by a link again, seconds.
DEVICE_SECONDS = 90 * 86_400
MAX_DEVICES = 64
#: How exactly it is kept when a browser was seen, seconds.
_SEEN_SECONDS = 300
_MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Device:
    """A browser that may come in. Times are Unix seconds."""

    id: str
    name: str
    #: SHA-256 of what it carries, hex.
    secret: str
    created: int
    seen: int
    #: Whether it came over the network.
    remote: bool = False


class Access:
    """Links, browsers and the token of programs."""

    def __init__(self, places: Places, clock: Callable[[], float] = time.time) -> None:
        self._places, self._clock = places, clock
        self._links: dict[str, float] = {}
        self._devices: dict[str, Device] = {}
        self._stamp: Any = None
        self._token = _digest(self._program_token())

    def _program_token(self) -> str:
        path = self._places.api_token
        with contextlib.suppress(FileExistsError):
            files.create(path, f"{secrets.token_urlsafe(32)}\n".encode())
        return path.read_text().strip()

    # --- links

    def link(self) -> str:
        """A token that opens the messenger once."""
        now = self._clock()
        self._links = {each: until for each, until in self._links.items() if until > now}
        while len(self._links) >= MAX_LINKS:
            del self._links[next(iter(self._links))]
        token = secrets.token_urlsafe(32)
        self._links[_digest(token)] = now + LINK_SECONDS
        return token

    def follow(self, token: str, name: str, *, remote: bool = False) -> str | None:
        """What the browser that came by a link carries from then on; None for a link that was used, or is none."""
        until = self._links.pop(_digest(token), 0.0)
        return self.admit(name, remote=remote) if until > self._clock() else None

    # --- browsers

    def admit(self, name: str, *, remote: bool = False) -> str:
        """What a new browser carries."""
        self._load()
        secret = secrets.token_urlsafe(32)
        now = int(self._clock())
        device = Device(secrets.token_hex(6), name[:_MAX_NAME], _digest(secret), now, now, remote)
        while len(self._devices) >= MAX_DEVICES:
            del self._devices[min(self._devices, key=lambda each: self._devices[each].seen)]
        self._devices[device.secret] = device
        self._store()
        return secret

    def device(self, secret: str) -> Device | None:
        """The browser that carries this; None if it may not come in."""
        self._load()
        digest, now = _digest(secret), int(self._clock())
        found = self._devices.get(digest)
        if found is None or now - found.seen > DEVICE_SECONDS:
            return None
        if now - found.seen > _SEEN_SECONDS:
            found = self._devices[digest] = replace(found, seen=now)
            self._store()
        return found

    def is_program(self, token: str) -> bool:
        """Whether this is the token of the owner's programs."""
        return hmac.compare_digest(_digest(token), self._token)

    def devices(self) -> list[Device]:
        """All browsers, the last seen first."""
        self._load()
        return sorted(self._devices.values(), key=lambda each: -each.seen)

    def revoke(self, number: str) -> bool:
        """It may not come in any more; False if there is none."""
        self._load()
        found = next((each for each in self._devices.values() if each.id == number), None)
        if found is None:
            return False
        del self._devices[found.secret]
        self._store()
        return True

    def _load(self) -> None:
        """Another process may have changed the list."""
        try:
            status = self._places.devices.stat()
            stamp = status.st_mtime_ns, status.st_ino, status.st_size
        except OSError:
            stamp = None
        if stamp == self._stamp and (stamp is not None or not self._devices):
            return
        self._stamp = stamp
        self._devices = {}
        told = read_json(self._places.devices)
        for each in told.get("devices", ()) if isinstance(told, dict) else ():
            with contextlib.suppress(TypeError):
                device = Device(**each)
                self._devices[device.secret] = device

    def _store(self) -> None:
        write_json(self._places.devices, {"devices": [asdict(each) for each in self._devices.values()]})
        status = self._places.devices.stat()
        self._stamp = status.st_mtime_ns, status.st_ino, status.st_size


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
