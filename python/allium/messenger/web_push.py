"""Web Push: a push server that its owner has set wakes a browser whose page is closed (`spec/files-and-calls` §5).

The browser learns that something came and nothing more: messages are not sent along, and the key under which the push
server seals what it tells is thrown away. Who learns what: the push server, that this account has a browser, and its
endpoint; the browser's maker, when something came; neither, from where, as requests to the push server go over nodes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from allium.client.errors import RefusedError
from allium.client.servers import request
from allium.client.session import Session
from allium.client.transfers.transfer import FileServer
from allium.messenger.errors import ApiError
from allium.messenger.requests import PushOver, PushWanted

_SERVICE = "webpush"
#: Where messages of other people come to an account.
_NAMESPACES = (0,)
_JSON = {"content-type": "application/json"}
_MOST_KEY = 200


class PushServer:
    """A push server: its URL and Ed25519 key are those of any server that onion requests reach."""

    def __init__(self, place: FileServer) -> None:
        self._server = place.server

    async def key(self, session: Session) -> str:
        """The key by which browsers know the server, URL-safe base64; `ApiError` if it does no Web Push.

        `NetworkError`, `RefusedError`.
        """
        told = await self._ask(session, "GET", "/services", None)
        vapid = told.get("vapid")
        if _SERVICE not in (told.get("services") or ()) or not isinstance(vapid, str) or len(vapid) > _MOST_KEY:
            raise ApiError("refused", "The push server that is set wakes no browsers.")
        return vapid

    async def subscribe(self, session: Session, wanted: PushWanted) -> None:
        """Has a browser be woken for two weeks. `NetworkError`, `RefusedError`."""
        named = ",".join(map(str, _NAMESPACES))
        asked = self._signed(session, f"MONITOR{{account}}{{now}}0{named}", wanted.endpoint)
        asked["service_info"]["keys"] = {"p256dh": wanted.p256dh, "auth": wanted.auth}
        asked |= {"namespaces": list(_NAMESPACES), "data": False, "enc_key": os.urandom(32).hex()}
        await self._ask(session, "POST", "/subscribe", asked)

    async def unsubscribe(self, session: Session, over: PushOver) -> None:
        """The inverse."""
        asked = self._signed(session, "UNSUBSCRIBE{account}{now}", over.endpoint)
        await self._ask(session, "POST", "/unsubscribe", asked)

    @staticmethod
    def _signed(session: Session, text: str, endpoint: str) -> dict[str, Any]:
        account, now = session.account, session.network.now() // 1000
        signature = account.sign(text.format(account=account.account_id, now=now).encode())
        return {
            "pubkey": account.account_id,
            "session_ed25519": account.ed25519_public.hex(),
            "sig_ts": now,
            "signature": signature.hex(),
            "service": _SERVICE,
            "service_info": {"endpoint": endpoint},
        }

    async def _ask(self, session: Session, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        reply = await request(session.files.route, self._server, method, path, _JSON if data else None, data)
        try:
            told = reply.checked().json()
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise RefusedError(reply.status, "the push server says nothing that can be understood")
        if told.get("success") is False:
            raise RefusedError(reply.status, str(told.get("message", ""))[:200])
        return told
