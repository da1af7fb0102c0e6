"""Firebase Cloud Messaging by its HTTP API, version 1, with a service account's key."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric import rsa

from allium.base import urls
from allium.push import tokens
from allium.push.database import Notification
from allium.push.outcome import DELIVERED, GONE, Outcome, failed, retry
from allium.push.outgoing import NoAnswerError, Outgoing, ServiceAnswer

_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: Of the token that the account's own is exchanged for, of which some time is left unused.
_TOKEN_SECONDS, _SPARE_SECONDS = 3600, 300


class Account:
    """A service account, from the JSON file that Firebase gives."""

    def __init__(self, path: Path) -> None:
        """Raises `tokens.KeyFileError`."""
        try:
            given = json.loads(tokens.read(path))
            self.project, self.email, self.token_url = (
                str(given[name]) for name in ("project_id", "client_email", "token_uri")
            )
            pem, self.key_id = str(given["private_key"]), str(given.get("private_key_id", ""))
            urls.check(self.token_url)
            if not self.project.replace("-", "").replace(":", "").replace(".", "").isalnum():
                raise ValueError("project_id")
        except (ValueError, KeyError, TypeError, RecursionError):
            raise tokens.KeyFileError(f"{path} is no service account's key; download it from Firebase anew") from None
        self.key: rsa.RSAPrivateKey = tokens.rsa_key(pem.encode(), path)


class FirebaseSender:
    """A `Sender` to Firebase."""

    def __init__(self, account: Account, url: str, connections: int) -> None:
        self._account = account
        self._url = f"{url}/v1/projects/{account.project}/messages:send"
        self._http = Outgoing(connections, public_only=False)
        self._bearer = ""
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def send(self, notification: Notification) -> Outcome:
        """See `Sender`."""
        ttl = max(0, int(notification.expires - time.time()))
        message = {
            "token": notification.device.token,
            "data": {"enc_payload": notification.payload, "spns": "1"},
            "android": {"priority": "HIGH", "ttl": f"{ttl}s"},
        }
        try:
            bearer = await self._token()
            headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
            answer = await self._http.post(self._url, json.dumps({"message": message}).encode(), headers)
        except NoAnswerError as error:
            return retry(f"no answer: {error}")
        return self._outcome(answer)

    def _outcome(self, answer: ServiceAnswer) -> Outcome:
        status, word = answer.status, _error(answer.body)
        if status == 200:
            return DELIVERED
        if word == "UNREGISTERED" or status == 404:
            return GONE
        if status == 401:
            self._until = 0.0
            return retry("the access token is refused")
        if status == 429 or status >= 500:
            return retry(f"status {status} {word}", answer.headers.get("Retry-After"))
        return failed(f"status {status} {word}")

    async def _token(self) -> str:
        """The access token; raises `NoAnswerError`."""
        async with self._asking:
            if time.time() < self._until:
                return self._bearer
            account, now = self._account, int(time.time())
            claims = {
                "iss": account.email,
                "scope": _SCOPE,
                "aud": account.token_url,
                "iat": now,
                "exp": now + _TOKEN_SECONDS,
            }
            signed = tokens.rs256(account.key, claims, kid=account.key_id)
            form = urlencode({"grant_type": _GRANT, "assertion": signed}).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = await self._http.post(account.token_url, form, headers)
            try:
                told = json.loads(answer.body)
                bearer, lasts = str(told["access_token"]), float(told.get("expires_in", _TOKEN_SECONDS))
                if answer.status != 200 or not bearer.isascii() or not bearer.isprintable():
                    raise ValueError
            except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
                raise NoAnswerError(f"no access token (status {answer.status})") from None
            self._bearer, self._until = bearer, now + max(0.0, lasts - _SPARE_SECONDS)
            return bearer

    async def close(self) -> None:
        """See `Sender`."""
        await self._http.close()


def _error(body: bytes) -> str:
    """The word for what is wrong, such as UNREGISTERED."""
    try:
        error = json.loads(body)["error"]
        details: list[Any] = error.get("details", [])
        words = [one["errorCode"] for one in details if isinstance(one, dict) and "errorCode" in one]
        return str(words[0] if words else error.get("status", ""))[:64]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
