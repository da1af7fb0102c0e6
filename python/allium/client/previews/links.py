"""Which links in a text get a preview, and which hosts may be asked for one.

Whoever can have us fetch a URL must not reach what only this machine can: its own ports, the router, a cloud's keys.
What a name leads to is looked at where it is connected to (`addresses`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit, urlunsplit

MAX_URL = 2_048
_LINK = re.compile(r"https://[^\s<>\"`{}|\\^]+", re.IGNORECASE)
_MAX_TEXT = 20_000
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_TOP_LEVEL = re.compile(r"[a-z][a-z0-9-]*[a-z0-9]")
#: Names that mean this machine or its network, whatever they resolve to.
_LOCAL = frozenset(
    {"localhost", "local", "internal", "lan", "home", "corp", "private", "intranet", "onion", "arpa", "test"}
)
_CLOSING = {")": "(", "]": "["}


class LinkError(ValueError):
    """A URL that is not fetched."""


def links_in(text: str) -> Iterator[str]:
    """The links of a text that may have a preview, in order."""
    for found in _LINK.finditer(text[:_MAX_TEXT]):
        url = _without_sentence(found[0])
        try:
            checked(url)
        except LinkError:
            continue
        yield url


def checked(url: str) -> str:
    """A URL as it is fetched, without its fragment; `LinkError` unless it is https, of a public name."""
    try:
        parts = urlsplit(url) if len(url) <= MAX_URL else None
        host = (parts.hostname or "").rstrip(".") if parts else ""
        port = parts.port if parts else None
    except ValueError:
        parts, host, port = None, "", None
    if (
        parts is None
        or parts.scheme != "https"
        or parts.username is not None
        or parts.password is not None
        or port == 0
    ):
        raise LinkError("only links to https are looked at")
    try:
        ascii_host = host.encode("idna").decode().lower()
    except UnicodeError:
        raise LinkError("a host that is none") from None
    labels = ascii_host.split(".")
    # The last label of an address in whatever notation is a number.
    if len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels) or not _TOP_LEVEL.fullmatch(labels[-1]):
        raise LinkError("a host that is no public name")
    if labels[-1] in _LOCAL:
        raise LinkError("a host that is not public")
    netloc = ascii_host if port in (None, 443) else f"{ascii_host}:{port}"
    path = "".join(letter if "!" <= letter <= "~" else _escaped(letter) for letter in parts.path or "/")
    query = "".join(letter if "!" <= letter <= "~" else _escaped(letter) for letter in parts.query)
    return urlunsplit(("https", netloc, path, query, ""))


def joined(base: str, target: str) -> str:
    """Where a link on a page leads, or a redirection; `LinkError`."""
    try:
        return checked(urljoin(base, target.strip()))
    except ValueError as error:
        raise LinkError(str(error)) from None


def _escaped(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "replace"))


def _without_sentence(url: str) -> str:
    """Without what ends the sentence that the link stands in."""
    while url:
        last = url[-1]
        if last in ".,;:!?'*_~" or (last in _CLOSING and url.count(last) > url.count(_CLOSING[last])):
            url = url[:-1]
            continue
        break
    return url
