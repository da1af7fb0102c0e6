"""Why another program was not reached, or did not answer: in words for people, whichever library asked it.

What a library says of it has names of its own classes, and may repeat a URL with what is secret in it: nothing of its
text is shown.
"""

from __future__ import annotations

import errno
import socket
import ssl
import sys
from collections.abc import Iterator

from allium.base.public_addresses import NotPublicError

#: Causes of causes that are looked at.
_DEEPEST = 8

_NO_NAME = "its name is not known; look at its spelling, and at this machine's DNS"
_CLOSED = "it ends the connection before it has answered; look whether another program has that port"
_OTHER = "it does not speak HTTP there; look at the port, and whether the URL has to begin with https://"
_NO_TLS = "it does not speak TLS there; look at the port, and whether the URL has to begin with http://"
_LATE = "it does not answer in time; look whether it is overloaded, or name another"
_UNKNOWN = "it makes no sense; look whether it is what you mean"

_BY_NUMBER = {
    errno.ECONNREFUSED: "nothing listens at that port; look whether it runs, and at the port",
    errno.ENETUNREACH: "this machine has no way there; look at its network",
    errno.EHOSTUNREACH: "this machine has no way there; look at its network",
    errno.EADDRNOTAVAIL: "this machine has no way there; look at its network",
    errno.ECONNRESET: _CLOSED,
    errno.EPIPE: _CLOSED,
    errno.ETIMEDOUT: _LATE,
    errno.ENOENT: "there is no such socket; look whether it runs, and at the path",
    errno.EACCES: "this user may not connect to it; run it as its user",
}
#: What PostgreSQL refuses, by the first characters of its code.
_BY_STATE = {
    "28": "it does not let this user in; look at the user and the password in the URL",
    "3D": "it has no such database; make it, or name another in the URL",
    "42501": "this user may not do that there; grant it",
    "53300": "it has too many connections; raise max_connections, or end some",
    "57P": "it starts or ends; try again",
    "53100": "its disk is full; free some of it",
    "25006": "it is read-only; name the primary",
}


def why(error: BaseException) -> str:
    """What `error`, of asking another program, means: what is wrong, and what to look at."""
    causes = list(_causes(error))
    if any(isinstance(each, NotPublicError) for each in causes):
        return "it is at no public address; name one that everybody can reach"
    for each in causes:
        if found := _known(each):
            return found
    return next(
        (_BY_NUMBER[each.errno] for each in causes if isinstance(each, OSError) and each.errno in _BY_NUMBER),
        (_CLOSED if any(isinstance(each, ConnectionError) for each in causes) else _UNKNOWN),
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what libraries have wrapped in it."""
    each: BaseException | None = error
    for _ in range(_DEEPEST):
        if each is None:
            return
        yield each
        inner = getattr(each, "os_error", None) or getattr(each, "certificate_error", None)
        each = inner if isinstance(inner, BaseException) and inner is not each else each.__cause__ or each.__context__


def _known(error: BaseException) -> str | None:
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return next((text for start, text in _BY_STATE.items() if state.startswith(start)), f"it refuses ({state})")
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not to be trusted: {error.verify_message}"
        case ssl.SSLError():
            return _NO_TLS
        case socket.gaierror():
            return _NO_NAME
        case TimeoutError():
            return _LATE
    return _of_http(error)


def _of_http(error: BaseException) -> str | None:
    """Of errors of `aiohttp`, if that was used."""
    aiohttp = sys.modules.get("aiohttp")
    if aiohttp is None:
        return None
    match error:
        case aiohttp.ClientConnectorDNSError():
            return _NO_NAME
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return _CLOSED
        case aiohttp.InvalidURL():
            return "its URL cannot be used; it has to be http://HOST… or https://HOST…"
        case aiohttp.TooManyRedirects():
            return "it sends us elsewhere again and again; use the URL of the place itself"
        case aiohttp.ClientResponseError():
            return _OTHER
    return None
