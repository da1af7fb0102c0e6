"""Who is let in, before anything is looked at: the right host, no other site, and somebody who is known.

A browser sends requests for whatever site it shows. So a request has to name a host that is served here (a foreign name
that leads to this machine is not), come from this page and no other, and carry the cookie of a browser that came by a
link; or it is a program's, with the token that only this machine's user can read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from allium.messenger.access import Access, Device
from allium.messenger.calls import answer
from allium.messenger.cookies import COOKIE
from allium.messenger.errors import ApiError

#: What of the API may be asked before one is known.
_PUBLIC = ("/api/pair",)

_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; worker-src 'self'; manifest-src 'self'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(self), microphone=(self), geolocation=(), payment=(), usb=(), serial=(), hid=(), "
    "midi=(), display-capture=(), browsing-topics=(), interest-cohort=()",
}


class Guard:
    """Stands before the application."""

    def __init__(self, app: ASGIApp, access: Access, origins: Collection[str]) -> None:
        """`origins`: `http://127.0.0.1:PORT` and whatever else is served; it may grow."""
        self._app, self._access, self._origins = app, access, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope, Headers(scope=scope))
        except ApiError as error:
            await self._refuse(error, scope, receive, send)
            return
        await self._app(scope, receive, _guarded(send) if scope["type"] == "http" else send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        secure = scope["scheme"] in ("https", "wss")
        host = headers.get("host", "").lower()
        own = f"{'https' if secure else 'http'}://{host}"
        if len(headers.getlist("host")) != 1 or own not in self._origins:
            raise ApiError("host", "This is not the messenger's address; open the link that it showed.")
        # Of two that do not agree another program might have looked at the other.
        origin, site, mode = (_only(headers, name) for name in ("origin", "sec-fetch-site", "sec-fetch-mode"))
        if origin is not None and origin.lower() != own:
            raise ApiError("forbidden", "Another site may not ask for this.")
        if origin is None and scope["type"] == "websocket" and not _bearer(headers):
            # Every browser says from which page it connects.
            raise ApiError("forbidden", "Another site may not ask for this.")
        path: str = scope["path"]
        # A link may be followed from anywhere, which a navigation is; nothing else.
        foreign = site not in (None, "none", "same-origin")
        if foreign and not (scope.get("method") == "GET" and mode == "navigate"):
            raise ApiError("forbidden", "Another site may not ask for this.")
        if not path.startswith("/api") or path in _PUBLIC:
            return
        if foreign:
            raise ApiError("forbidden", "Another site may not ask for this.")
        device = self._device(headers, secure)
        if device is None and not self._is_program(headers):
            raise ApiError(
                "unauthorized", "Open the link that the messenger showed, or start `allium messenger` again."
            )
        scope.setdefault("state", {})["device"] = device

    def _device(self, headers: Headers, secure: bool) -> Device | None:
        secret = cookie(headers)
        found = self._access.device(secret) if secret else None
        # What a browser got over the network is not good for anything else, and the other way round.
        return found if found is not None and found.remote == secure else None

    def _is_program(self, headers: Headers) -> bool:
        token = _bearer(headers)
        return token is not None and self._access.is_program(token)

    async def _refuse(self, error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": error.word})
            return
        await answer(error.body(), error.status)(scope, receive, _guarded(send))


def cookie(headers: Headers) -> str | None:
    """What a browser carries."""
    for line in headers.getlist("cookie"):
        with contextlib.suppress(CookieError):
            found = SimpleCookie(line).get(COOKIE)
            if found is not None:
                return found.value
    return None


def _only(headers: Headers, name: str) -> str | None:
    found = headers.getlist(name)
    if len(found) > 1:
        raise ApiError("forbidden", f"Say {name} once.")
    return found[0] if found else None


def _bearer(headers: Headers) -> str | None:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def _guarded(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            _add(message)
        await send(message)

    return guarded


def _add(message: MutableMapping[str, Any]) -> None:
    """The headers that every answer has; what an answer says itself stays."""
    headers = list(message.get("headers", ()))
    given = {name.lower() for name, _ in headers}
    headers += [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in given]
    message["headers"] = headers
