"""URLs of other people's servers: checked before use, and shown without what is secret in them.

The user, the path and the query of a provider's URL often are the key of an account with it. So nothing but the place,
host and port, is shown of any URL.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

#: Up to what cannot be in a URL, or ends one in the texts that logs and errors are made of.
_URL = re.compile(r"\b(https?|wss?|tcp|postgres(?:ql)?)://([^\s\"'<>|\\\x1b]*)", re.IGNORECASE)
#: Shorter parts of a path are words such as `v3`, which hide nothing and may stand anywhere.
_SHORTEST_SECRET = 8


def check(url: str) -> None:
    """Raises `ValueError`, whose text shows nothing of it, unless `url` is one that HTTP can be spoken with."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url:
        raise ValueError("no URL that can be used: it has to be http://HOST… or https://HOST…")


def place(url: str) -> str:
    """Host and port of a URL."""
    return _place(url.partition("://")[2])[0]


def secrets(url: str) -> list[str]:
    """What of a URL nobody else may see, the longest first."""
    parts = urlsplit(url)
    whole = [parts.path, parts.query, parts.username, parts.password, *(value for _, value in parse_qsl(parts.query))]
    pieces = [piece for piece in parts.path.split("/") if len(piece) >= _SHORTEST_SECRET]
    found = {text for part in (*whole, *pieces) if part and part != "/" for text in (part, unquote(part))}
    return sorted(found, key=len, reverse=True)


def redacted(text: str) -> str:
    """`text` with nothing but the places of the URLs in it."""
    return _URL.sub(_shown, text)


def _shown(url: re.Match[str]) -> str:
    host, rest = _place(url[2])
    # What ends a part of a sentence is hardly of the URL.
    end = url[2][-1] if rest and url[2][-1] in ":;," else ""
    return f"{url[1]}://{host}{'/…' if rest else ''}{end}"


def _place(url: str) -> tuple[str, bool]:
    """The place in what follows a URL's scheme, and whether more than a slash follows it."""
    host, rest = [*re.split(r"[/?#]", url, maxsplit=1), ""][:2]
    if "@" in rest and "@" not in host:
        # A slash in a password, perhaps.
        return "…", False
    return host.rpartition("@")[2], bool(rest)
