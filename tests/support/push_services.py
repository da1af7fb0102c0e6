"""The services that a push server delivers to, as they are specified: each field is checked, and what it hides opened.

Web Push (RFC 8030, 8188, 8291, 8292) and Firebase over HTTP/1.1, Apple over HTTP/2; all in the test's own event loop.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import bencode2
from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl import bindings

CONTACT = "mailto:operator@push.example"
PROJECT, EMAIL, SCOPE = "a-project", "push@a-project.example", "https://www.googleapis.com/auth/firebase.messaging"
KEY_ID, TEAM_ID, TOPIC = "KEY1234567", "TEAM123456", "com.example.app"
BEARER = "an.access.token"
_UNCOMPRESSED = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint


@dataclass(frozen=True)
class Arrival:
    """What a device has got."""

    device: str
    payload: str
    at: float


@dataclass(frozen=True)
class ScriptedAnswer:
    """An answer that a service is to give instead of taking the notification."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]


@cache
def _service_key() -> rsa.RSAPrivateKey:
    """One for all tests: it takes its time."""
    return rsa.generate_private_key(65537, 2048)


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Browser:
    """A browser's subscription: its key, its secret, and what opens what is sent to it."""

    def __init__(self, private: ec.EllipticCurvePrivateKey | None = None, auth: bytes | None = None) -> None:
        self._private = private or ec.generate_private_key(ec.SECP256R1())
        self.auth = auth or os.urandom(16)
        self.public = self._private.public_key().public_bytes(*_UNCOMPRESSED)

    @property
    def keys(self) -> dict[str, str]:
        return {"p256dh": b64(self.public), "auth": b64(self.auth)}

    def open(self, body: bytes) -> bytes:
        """The plaintext of an `aes128gcm` body of one record."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        assert length == 65 and len(body) <= 4096 and len(body) - 21 - length <= size
        public, ciphertext = body[21 : 21 + length], body[21 + length :]
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
        info = b"WebPush: info\0" + self.public + public
        material = HKDF(hashes.SHA256(), 32, self.auth, info).derive(self._private.exchange(ec.ECDH(), theirs))
        key = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(material)
        nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(material)
        plain = AESGCM(key).decrypt(nonce, ciphertext, None).rstrip(b"\0")
        assert plain[-1:] == b"\x02", "the last record ends so"
        return plain[:-1]


def opened(payload: str, enc_key: bytes) -> tuple[dict[str, Any], bytes | None]:
    """Metadata and message in an `enc_payload`."""
    raw = base64.b64decode(payload, validate=True)
    plain = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(raw[24:], None, raw[:24], enc_key)
    assert len(plain) % 256 == 0
    parts = bencode2.bdecode(plain.rstrip(b"\0"))
    assert len(parts) in (1, 2)
    return json.loads(parts[0]), parts[1] if len(parts) == 2 else None


def claims_of(token: str, key: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token that this public key has to have signed."""
    head, body, signature = token.split(".")
    text, signed = f"{head}.{body}".encode(), unb64(signature)
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signed, text, padding.PKCS1v15(), hashes.SHA256())
    else:
        assert len(signed) == 64
        whole = encode_dss_signature(int.from_bytes(signed[:32], "big"), int.from_bytes(signed[32:], "big"))
        key.verify(whole, text, ec.ECDSA(hashes.SHA256()))
    return json.loads(unb64(head)), json.loads(unb64(body))


class PushServices:
    """All of them, on ports of this machine."""

    def __init__(self, directory: Path) -> None:
        """Keys for the server under test are written to `directory`."""
        self._rsa = _service_key()
        self._apple = ec.generate_private_key(ec.SECP256R1())
        self._directory = directory
        self.received: asyncio.Queue[Arrival] = asyncio.Queue()
        self.browsers: dict[str, Browser] = {}
        #: What was wrong with requests, in words.
        self.faults: list[str] = []
        self.tokens_asked = 0
        self._script: dict[str, list[ScriptedAnswer]] = defaultdict(list)
        self.url = self.apns_url = ""

    def will_answer(self, device: str, status: int, headers: Mapping[str, str] | None = None, **body: Any) -> None:
        """The next notification for a device is answered so."""
        self._script[device].append(ScriptedAnswer(status, headers or {}, body))

    def browser(self, name: str) -> dict[str, Any]:
        """A new browser's `service_info`."""
        self.browsers[name] = Browser()
        return {"endpoint": f"{self.url}/wp/{name}", "keys": self.browsers[name].keys}

    @property
    def settings(self) -> dict[str, Any]:
        """What a push server has to be set to."""
        return {
            "webpush_contact": CONTACT,
            "webpush_private": True,
            "firebase_account": str(self._directory / "firebase.json"),
            "firebase_url": self.url,
            "apns_key": str(self._directory / "apple.p8"),
            "apns_key_id": KEY_ID,
            "apns_team_id": TEAM_ID,
            "apns_topic": TOPIC,
            "apns_url": self.apns_url,
            "apns_sandbox_url": self.apns_url,
        }

    async def next(self, seconds: float = 40) -> Arrival:
        """What a device gets next."""
        async with asyncio.timeout(seconds):
            got = await self.received.get()
        assert not self.faults, self.faults
        return got

    async def __aenter__(self) -> PushServices:
        app = web.Application()
        app.router.add_post("/wp/{name}", self._web_push)
        app.router.add_post("/token", self._token)
        app.router.add_post("/v1/projects/{project}/messages:send", self._firebase)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._apns = await asyncio.start_server(self._apple_accepted, "127.0.0.1", 0)
        self.apns_url = f"http://127.0.0.1:{self._apns.sockets[0].getsockname()[1]}"
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        account = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "key1",
            "private_key": self._rsa.private_bytes(*form).decode(),
            "client_email": EMAIL,
            "token_uri": f"{self.url}/token",
        }
        (self._directory / "firebase.json").write_text(json.dumps(account))
        (self._directory / "apple.p8").write_bytes(self._apple.private_bytes(*form))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        self._apns.close()
        for task, writer in self._connections.items():
            task.cancel()
            # Some were accepted, and not begun with.
            writer.transport.abort()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _check(self, what: str, holds: bool) -> None:
        if not holds:
            self.faults.append(what)

    def _answered(self, device: str, payload: str) -> ScriptedAnswer | None:
        if self._script[device]:
            return self._script[device].pop(0)
        self.received.put_nowait(Arrival(device, payload, time.monotonic()))
        return None

    async def _web_push(self, request: web.Request) -> web.Response:
        name, headers = request.match_info["name"], request.headers
        scheme, _, rest = headers["Authorization"].partition(" ")
        fields = dict(part.strip().split("=", 1) for part in rest.split(","))
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unb64(fields["k"]))
        head, claims = claims_of(fields["t"], public)
        self._check("the scheme is vapid", scheme == "vapid" and set(fields) == {"t", "k"})
        self._check("ES256", head == {"typ": "JWT", "alg": "ES256"})
        self._check("aud is the origin", claims["aud"] == self.url)
        self._check("exp is within a day", 0 < claims["exp"] - time.time() <= 86_400)
        self._check("sub is the contact", claims["sub"] == CONTACT)
        self._check("the encoding", headers["Content-Encoding"] == "aes128gcm")
        self._check("the type", headers["Content-Type"] == "application/octet-stream")
        self._check("the urgency", headers["Urgency"] == "high")
        self._check("the ttl", 0 <= int(headers["TTL"]) <= 28 * 86_400)
        told = json.loads(self.browsers[name].open(await request.read()))
        self._check("the fields", set(told) == {"enc_payload", "spns"} and told["spns"] == "1")
        scripted = self._answered(name, told["enc_payload"])
        if scripted is None:
            return web.Response(status=201, headers={"Location": f"{self.url}/m/1"})
        return web.json_response(scripted.body, status=scripted.status, headers=scripted.headers)

    async def _token(self, request: web.Request) -> web.Response:
        self.tokens_asked += 1
        form = parse_qs(await request.text(), strict_parsing=True)
        self._check("the grant", form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"])
        head, claims = claims_of(form["assertion"][0], self._rsa.public_key())
        self._check("RS256", head == {"typ": "JWT", "alg": "RS256", "kid": "key1"})
        self._check(
            "iss, scope, aud", (claims["iss"], claims["scope"], claims["aud"]) == (EMAIL, SCOPE, f"{self.url}/token")
        )
        self._check("iat and exp", abs(claims["iat"] - time.time()) < 60 and claims["exp"] - claims["iat"] == 3600)
        return web.json_response({"access_token": BEARER, "expires_in": 3599, "token_type": "Bearer"})

    async def _firebase(self, request: web.Request) -> web.Response:
        self._check("the project", request.match_info["project"] == PROJECT)
        self._check("the bearer", request.headers["Authorization"] == f"Bearer {BEARER}")
        self._check("JSON", request.content_type == "application/json")
        raw = await request.read()
        self._check("at most 4,096 bytes of data", len(raw) <= 4096 + 300)
        told = json.loads(raw)
        message = told["message"]
        self._check("the fields", set(told) == {"message"} and set(message) == {"token", "data", "android"})
        self._check("the data", set(message["data"]) == {"enc_payload", "spns"} and message["data"]["spns"] == "1")
        android = message["android"]
        self._check("android", android["priority"] == "HIGH" and android["ttl"].endswith("s"))
        scripted = self._answered(message["token"], message["data"]["enc_payload"])
        if scripted is None:
            return web.json_response({"name": f"projects/{PROJECT}/messages/1"})
        return web.json_response(scripted.body, status=scripted.status, headers=scripted.headers)

    def _apple_accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._apple_connection(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(lambda done: self._connections.pop(done, None))

    async def _apple_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._apple_streams(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _apple_streams(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from h2 import config, connection, events

        h2 = connection.H2Connection(config.H2Configuration(client_side=False, header_encoding="utf-8"))
        h2.initiate_connection()
        writer.write(h2.data_to_send())
        heads: dict[int, dict[str, str]] = {}
        bodies: dict[int, bytes] = defaultdict(bytes)
        while data := await reader.read(65_536):
            for event in h2.receive_data(data):
                if isinstance(event, events.RequestReceived):
                    heads[event.stream_id] = {str(name): str(value) for name, value in event.headers}
                elif isinstance(event, events.DataReceived):
                    bodies[event.stream_id] += event.data
                    h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, events.StreamEnded):
                    self._apple_request(h2, event.stream_id, heads.pop(event.stream_id), bodies.pop(event.stream_id))
            writer.write(h2.data_to_send())
            await writer.drain()

    def _apple_request(self, h2: Any, stream: int, head: dict[str, str], body: bytes) -> None:
        path = head[":path"].split("/")
        self._check("the request", head[":method"] == "POST" and path[:3] == ["", "3", "device"] and len(path[3]) == 64)
        self._check("the topic", head["apns-topic"] == TOPIC)
        self._check("the type and priority", (head["apns-push-type"], head["apns-priority"]) == ("alert", "10"))
        self._check("the expiration", abs(int(head["apns-expiration"]) - time.time()) < 29 * 86_400)
        scheme, _, token = head["authorization"].partition(" ")
        header, claims = claims_of(token, self._apple.public_key())
        self._check("the token", scheme == "bearer" and header == {"typ": "JWT", "alg": "ES256", "kid": KEY_ID})
        self._check("the claims", claims["iss"] == TEAM_ID and 0 <= time.time() - claims["iat"] < 3600)
        told = json.loads(body)
        self._check("at most 4,096 bytes", len(body) <= 4096)
        self._check("the fields", set(told) == {"aps", "spns", "enc_payload"} and told["spns"] == 1)
        aps = {"badge": 1, "sound": "default", "mutable-content": 1, "category": "SECRET"}
        self._check("aps", aps.items() <= told["aps"].items() and set(told["aps"]["alert"]) == {"title", "body"})
        scripted = self._answered(path[3], told["enc_payload"])
        status, headers, answer = (
            (200, {}, b"")
            if scripted is None
            else (scripted.status, scripted.headers, json.dumps(scripted.body).encode())
        )
        h2.send_headers(stream, [(":status", str(status)), *headers.items()], end_stream=not answer)
        if answer:
            h2.send_data(stream, answer, end_stream=True)


@contextlib.asynccontextmanager
async def push_services(directory: Path) -> AsyncIterator[PushServices]:
    """The services, until the block ends."""
    async with PushServices(directory) as services:
        yield services


def apns_token(name: str) -> str:
    """A device token, 64 hex digits."""
    return hashlib.sha256(name.encode()).hexdigest()
