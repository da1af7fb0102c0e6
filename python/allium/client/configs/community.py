"""Where a community is: URLs in their one canonical form (`spec/configs` §10, §15)."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

MAX_BASE_URL_BYTES = 267
MAX_ROOM_BYTES = 64
KEY_BYTES = 32
_ROOM = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOST = re.compile(r"(?:[a-z0-9_-]+\.)*[a-z0-9_-]+|\[[0-9a-f:.]+\]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_BASE32Z = "ybndrfg8ejkmcpqxot1uwisza345h769"


class CommunityError(ValueError):
    """A text that says no community."""


@dataclass(frozen=True)
class Server:
    """A server of communities, or another that onion requests reach: canonical URL, and X25519 key of 32 bytes."""

    base_url: str
    key: bytes

    @classmethod
    def parse(cls, base_url: str, key: bytes) -> Server:
        """The server of a URL in any form; `CommunityError` for what is none."""
        if len(key) != KEY_BYTES:
            raise CommunityError("a server's key has 32 bytes")
        return cls(canonical(base_url), key)

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return urlsplit(self.base_url).scheme

    @property
    def host(self) -> str:
        """Without brackets, where it is an address of IPv6."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def port(self) -> int:
        """The scheme's own, where the URL has none."""
        return urlsplit(self.base_url).port or _DEFAULT_PORTS[self.scheme]


@dataclass(frozen=True)
class Community:
    """A room of a server, with the spelling that the server gives it."""

    server: Server
    room: str

    @property
    def key(self) -> str:
        """The room's name as configs and requests order it."""
        return self.room.lower()

    @property
    def url(self) -> str:
        """The URL to join by."""
        return f"{self.server.base_url}/{self.room}?public_key={self.server.key.hex()}"

    @classmethod
    def parse(cls, url: str) -> Community:
        """`BASE/ROOM?public_key=…` or `BASE/r/ROOM?public_key=…`; `CommunityError` for any other text."""
        if len(url) > 1024:
            raise CommunityError("too long for a community's URL")
        try:
            parts = urlsplit(url.strip())
            keys = parse_qs(parts.query).get("public_key", [])
        except ValueError:
            raise CommunityError("not a URL") from None
        if len(keys) != 1:
            raise CommunityError("the URL has no public_key")
        base, _, room = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/").rpartition("/")
        return cls(Server.parse(base.removesuffix("/r"), _key(keys[0])), checked_room(room))


def checked_room(room: str) -> str:
    """A room's name; `CommunityError` for what cannot be one."""
    if _ROOM.fullmatch(room) is None:
        raise CommunityError("a room has 1 to 64 letters, digits, - and _")
    return room


def canonical(base_url: str) -> str:
    """A server's URL: lower case, without a default port and without a slash at its end."""
    try:
        parts = urlsplit(base_url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise CommunityError("not a URL") from None
    scheme = parts.scheme.lower()
    host = f"[{host}]" if ":" in host else host.lower()
    if scheme not in _DEFAULT_PORTS or _HOST.fullmatch(host) is None or parts.username is not None:
        raise CommunityError("a community's URL begins with http:// or https:// and a host")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise CommunityError("a community's server has no path")
    shown = "" if port in (None, _DEFAULT_PORTS[scheme]) else f":{port}"
    url = f"{scheme}://{host}{shown}"
    if len(url) > MAX_BASE_URL_BYTES:
        raise CommunityError(f"a community's URL has at most {MAX_BASE_URL_BYTES} bytes")
    return url


def _key(text: str) -> bytes:
    """A key of 32 bytes as hex, base64 without padding, or base32z."""
    try:
        match len(text):
            case 64:
                return bytes.fromhex(text)
            case 43 | 44 if text[43:] in ("", "="):
                # A plus sign of a query means a blank.
                return base64.b64decode(text[:43].replace(" ", "+") + "=", validate=True)
            case 52:
                value = 0
                for letter in text.lower():
                    value = value << 5 | _BASE32Z.index(letter)
                return (value >> 4).to_bytes(KEY_BYTES, "big")
    except (ValueError, OverflowError):
        pass
    raise CommunityError("the URL's public_key is none")
