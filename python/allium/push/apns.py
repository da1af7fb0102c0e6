"""The Apple Push Notification service by its HTTP/2 API, with a provider's key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from allium.base import unreached
from allium.errors import SetupError
from allium.push import tokens
from allium.push.database import Notification
from allium.push.outcome import DELIVERED, GONE, Outcome, failed, retry

#: What is shown until the app has decrypted the rest (`spec/client-network`).
_APS = {
    "alert": {"title": "Session", "body": "You've got a new message"},
    "badge": 1,
    "sound": "default",
    "mutable-content": 1,
    "category": "SECRET",
}
#: Tokens that are none, or not of this app: they never will be.
_GONE = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered", "ExpiredToken"})
_TOKEN = frozenset({"ExpiredProviderToken", "InvalidProviderToken", "MissingProviderToken"})
_SECONDS = 15.0


class ApnsSender:
    """A `Sender` to Apple, or its sandbox."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, key_id: str, team_id: str, topic: str, url: str) -> None:
        """Raises `SetupError` where what speaks HTTP/2 is not installed."""
        try:
            import httpx2
        except ImportError:
            raise SetupError('APNS needs HTTP/2: pip install "allium[push]"') from None
        self._httpx = httpx2
        self._url, self._topic = url, topic
        self._token = tokens.FreshToken(lambda now: tokens.es256(key, {"iss": team_id, "iat": now}, kid=key_id))
        # http1=False: nothing else is spoken there, and in the clear nobody could say so.
        self._http = httpx2.AsyncClient(
            http1=False,
            http2=True,
            follow_redirects=False,
            trust_env=False,
            timeout=_SECONDS,
            limits=httpx2.Limits(max_connections=4, max_keepalive_connections=4, keepalive_expiry=600),
        )

    async def send(self, notification: Notification) -> Outcome:
        """See `Sender`."""
        headers = {
            "authorization": f"bearer {self._token.get()}",
            "apns-topic": self._topic,
            "apns-push-type": "alert",
            "apns-priority": "10",
            "apns-expiration": str(int(notification.expires)),
            "content-type": "application/json",
        }
        told = {"aps": _APS, "spns": 1, "enc_payload": notification.payload}
        url = f"{self._url}/3/device/{notification.device.token.lower()}"
        try:
            body = json.dumps(told, separators=(",", ":")).encode()
            answer = await self._http.post(url, content=body, headers=headers)
        except (self._httpx.HTTPError, self._httpx.InvalidURL, OSError) as error:
            return retry(f"no answer: {unreached.words(error)}")
        status, reason = answer.status_code, _reason(answer.content)
        if status == 200:
            return DELIVERED
        if status == 410 or reason in _GONE:
            return GONE
        if reason in _TOKEN:
            self._token.forget()
            return retry(reason)
        if status in (403, 429) or status >= 500:
            return retry(f"status {status} {reason}", answer.headers.get("retry-after"))
        return failed(f"status {status} {reason}")

    async def close(self) -> None:
        """See `Sender`."""
        await self._http.aclose()


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The provider's key; raises `tokens.ServiceKeyError`."""
    return tokens.p256(tokens.read(path), path)


def _reason(body: bytes) -> str:
    try:
        told: Any = json.loads(body)
        return str(told["reason"])[:64]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
