"""Web Push, and UnifiedPush, which is the same: RFC 8030, encrypted by RFC 8291 (aes128gcm), VAPID by RFC 8292."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from collections import OrderedDict
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from allium.base import files
from allium.push import endpoints, tokens
from allium.push.database import Notification
from allium.push.outcome import DELIVERED, GONE, Outcome, failed, retry
from allium.push.outgoing import NoAnswerError, Outgoing

#: In the data directory: the server's key for VAPID. Browsers bind their subscriptions to it.
KEY_FILE = "key_vapid.pem"
_RECORD_BYTES = 4096
_TOKEN_SECONDS = 12 * 3600
#: Push services whose tokens are kept.
_MOST_ORIGINS = 1000


def create_key(directory: Path) -> None:
    """Makes the server's key; raises `FileExistsError`."""
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files.create(directory / KEY_FILE, key.private_bytes(*form))


def load_key(directory: Path) -> ec.EllipticCurvePrivateKey:
    """The server's key; raises `tokens.KeyFileError`."""
    path = directory / KEY_FILE
    if not path.exists():
        raise tokens.KeyFileError(f"{path} does not exist; restore your backup, or `allium push init` elsewhere")
    if path.stat().st_mode & 0o077:
        raise tokens.KeyFileError(f"{path} can be read by others; run: chmod 600 {path}")
    return tokens.p256(tokens.read(path), path)


def public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """65 bytes, uncompressed."""
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def encrypted(plaintext: bytes, web_key: bytes) -> bytes:
    """A body for the browser that `web_key` (its key and its secret) is of: RFC 8291 in the one record of RFC 8188."""
    theirs, secret = web_key[:65], web_key[65:]
    own = ec.generate_private_key(ec.SECP256R1())
    public, salt = public_bytes(own.public_key()), os.urandom(16)
    shared = own.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs))
    material = _hkdf(secret, shared, b"WebPush: info\0" + theirs + public, 32)
    key = _hkdf(salt, material, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _hkdf(salt, material, b"Content-Encoding: nonce\0", 12)
    ciphertext = AESGCM(key).encrypt(nonce, plaintext + b"\x02", None)
    return salt + _RECORD_BYTES.to_bytes(4, "big") + bytes([len(public)]) + public + ciphertext


def _hkdf(salt: bytes, material: bytes, about: bytes, length: int) -> bytes:
    """Of SHA-256, one block (RFC 5869)."""
    extracted = hmac.digest(salt, material, hashlib.sha256)
    return hmac.digest(extracted, about + b"\x01", hashlib.sha256)[:length]


class WebPushSender:
    """A `Sender` to whatever endpoints subscriptions name."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, contact: str, private: bool, connections: int) -> None:
        """`private`: endpoints at private addresses are posted to as well."""
        self._key = key
        self._contact = contact
        self._private = private
        self._public = tokens.unpadded(public_bytes(key.public_key()))
        self._http = Outgoing(connections, public_only=not private)
        self._tokens: OrderedDict[str, tokens.FreshToken] = OrderedDict()

    async def send(self, notification: Notification) -> Outcome:
        """See `Sender`."""
        url, web_key = notification.device.token, notification.device.web_key
        try:
            # What was allowed when it came need not be now.
            endpoints.check(url, self._private)
        except endpoints.EndpointError as error:
            return failed(f"the endpoint cannot be used: {error}")
        if web_key is None:
            return failed("the subscription has no key")
        plaintext = json.dumps({"enc_payload": notification.payload, "spns": "1"}).encode()
        headers = {
            "Authorization": f"vapid t={self._token(endpoints.origin(url))}, k={self._public}",
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(max(0, int(notification.expires - time.time()))),
            "Urgency": "high",
        }
        try:
            answer = await self._http.post(url, encrypted(plaintext, web_key), headers)
        except NoAnswerError as error:
            return retry(f"no answer: {error}")
        match answer.status:
            case 200 | 201 | 202 | 204:
                return DELIVERED
            case 404 | 410:
                return GONE
            case status if status == 429 or status >= 500:
                return retry(f"status {status}", answer.headers.get("Retry-After"))
        return failed(f"status {answer.status}")

    def _token(self, origin: str) -> str:
        found = self._tokens.get(origin)
        if found is None:

            def make(now: int) -> str:
                claims = {"aud": origin, "exp": now + _TOKEN_SECONDS, "sub": self._contact}
                return tokens.es256(self._key, claims)

            found = self._tokens[origin] = tokens.FreshToken(make)
            if len(self._tokens) > _MOST_ORIGINS:
                self._tokens.popitem(last=False)
        return found.get()

    async def close(self) -> None:
        """See `Sender`."""
        await self._http.close()
