"""A second, independent client: requests and onion layers straight from `spec/onion`, for checking the real one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import ssl
import struct
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl import bindings

UNVERIFIED = ssl.create_default_context()
UNVERIFIED.check_hostname = False
UNVERIFIED.verify_mode = ssl.CERT_NONE


@dataclass(frozen=True)
class HttpReply:
    """An HTTP answer, whatever its status."""

    status: int
    body: bytes
    headers: dict[str, str]

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def post(url: str, body: bytes, headers: dict[str, str] | None = None, timeout: float = 40) -> HttpReply:
    """POSTs `body`; refusals are answers, not exceptions. Loopback only, so no proxy is asked."""
    request = urllib.request.Request(url, data=body, headers=headers or {}, method="POST")
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=UNVERIFIED)
    )
    try:
        with opener.open(request, timeout=timeout) as answer:
            return HttpReply(answer.status, answer.read(), dict(answer.headers))
    except urllib.error.HTTPError as error:
        return HttpReply(error.code, error.read(), dict(error.headers))


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


class User:
    """A user's account, made from a 32-byte Ed25519 seed."""

    def __init__(self, seed: bytes | None = None) -> None:
        self.ed_public, self.ed_secret = bindings.crypto_sign_seed_keypair(seed or os.urandom(32))
        self.account_id = "05" + bindings.crypto_sign_ed25519_pk_to_curve25519(self.ed_public).hex()

    def sign(self, text: str | bytes) -> str:
        """Signature of `text`, base64."""
        signed = bindings.crypto_sign(text.encode() if isinstance(text, str) else text, self.ed_secret)
        return base64.b64encode(signed[:64]).decode()

    def auth(self, text: str | bytes) -> dict[str, str]:
        """The request fields that prove it is us."""
        return {"pubkey": self.account_id, "pubkey_ed25519": self.ed_public.hex(), "signature": self.sign(text)}


class Group(User):
    """A group's account: it is its Ed25519 key."""

    def __init__(self, prefix: str = "03") -> None:
        super().__init__()
        self.account_id = prefix + self.ed_public.hex()

    def auth(self, text: str | bytes) -> dict[str, str]:
        return {"pubkey": self.account_id, "signature": self.sign(text)}


class Member(User):
    """Somebody who acts for a group by a token that the group has signed (`spec/node-rpc` §2.4)."""

    def __init__(self, group: Group, flags: int, prefix: int | None = None) -> None:
        super().__init__()
        self.account_id = group.account_id
        kind = int(group.account_id[:2], 16) if prefix is None else prefix
        self.token = (bytes([kind, flags, 0, 0]) + self.ed_public).hex()
        self._token_signature = group.sign(bytes.fromhex(self.token))

    def auth(self, text: str | bytes) -> dict[str, str]:
        return {
            "pubkey": self.account_id,
            "subaccount": self.token,
            "subaccount_sig": self._token_signature,
            "signature": self.sign(text),
        }


def rpc_body(method: str, params: dict[str, Any]) -> bytes:
    """The JSON of a client request."""
    return json.dumps({"method": method, "params": params}).encode()


def rpc(node: dict[str, Any], method: str, params: dict[str, Any], timeout: float = 40) -> HttpReply:
    """A request straight to a node of network.json."""
    url = f"https://{node['ip']}:{node['https_port']}/storage_rpc/v1"
    return post(url, rpc_body(method, params), timeout=timeout)


def store_params(account_id: str, data: bytes, ttl_ms: int = 86_400_000) -> dict[str, Any]:
    """Parameters of an unauthenticated store to the default namespace."""
    return {
        "pubkey": account_id,
        "timestamp": now_ms(),
        "ttl": ttl_ms,
        "data": base64.b64encode(data).decode(),
    }


def message_hash(account_id: str, namespace: int, data: bytes) -> str:
    """`spec/node-rpc` §2.6."""
    named = bytes.fromhex(account_id) + (str(namespace).encode() if namespace else b"") + data
    return base64.b64encode(hashlib.blake2b(named, digest_size=32).digest()).decode().rstrip("=")


def retrieve(node: dict[str, Any], user: User, namespace: int = 0) -> list[dict[str, Any]]:
    """All messages of one of the user's namespaces on one node, oldest first."""
    messages: list[dict[str, Any]] = []
    last = ""
    while True:
        timestamp = now_ms()
        text = f"retrieve{namespace or ''}{timestamp}"
        params = {**user.auth(text), "namespace": namespace, "timestamp": timestamp, "last_hash": last}
        reply = rpc(node, "retrieve", params)
        assert reply.status == 200, reply
        page = reply.json()
        messages += page["messages"]
        if not page["more"]:
            return messages
        last = messages[-1]["hash"]


def frame(ciphertext: bytes, control: dict[str, Any]) -> bytes:
    """Length prefix, ciphertext, control JSON (`spec/onion` §1)."""
    return struct.pack("<I", len(ciphertext)) + ciphertext + json.dumps(control).encode()


class Layer:
    """One AES-GCM layer to a node's X25519 key."""

    def __init__(self, node_x25519: bytes) -> None:
        secret = os.urandom(32)
        self.ephemeral = bindings.crypto_scalarmult_base(secret)
        shared = bindings.crypto_scalarmult(secret, node_x25519)
        self.key = hmac.digest(b"LOKI", shared, hashlib.sha256)

    def seal(self, plaintext: bytes) -> bytes:
        """IV, ciphertext and tag."""
        iv = os.urandom(12)
        return iv + AESGCM(self.key).encrypt(iv, plaintext, None)

    def open(self, ciphertext: bytes) -> bytes:
        """The inverse; raises when anything was changed."""
        return AESGCM(self.key).decrypt(ciphertext[:12], ciphertext[12:], None)


def onion(path: list[dict[str, Any]], body: bytes, control: dict[str, Any] | None = None) -> tuple[bytes, Layer]:
    """A payload that travels over `path` (the last node is the destination), and the layer that opens the reply."""
    last = Layer(bytes.fromhex(path[-1]["pubkey_x25519"]))
    ciphertext = last.seal(frame(body, {"headers": ""} if control is None else control))
    layer, inner_key = last, last.ephemeral.hex()
    for hop, following in zip(reversed(path[:-1]), reversed(path[1:]), strict=True):
        layer = Layer(bytes.fromhex(hop["pubkey_x25519"]))
        inner = frame(ciphertext, {"destination": following["pubkey_ed25519"], "ephemeral_key": inner_key})
        ciphertext, inner_key = layer.seal(inner), layer.ephemeral.hex()
    return frame(ciphertext, {"ephemeral_key": inner_key}), last


def post_onion(guard: dict[str, Any], payload: bytes) -> HttpReply:
    """Posts a payload to its entry node."""
    return post(f"https://{guard['ip']}:{guard['https_port']}/onion_req/v2", payload)


def open_reply(layer: Layer, reply: HttpReply) -> dict[str, Any]:
    """The decrypted `{"status", "body"}`."""
    assert reply.status == 200, reply
    answer: dict[str, Any] = json.loads(layer.open(base64.b64decode(reply.body)))
    return answer


def held(node: dict[str, Any], user: User) -> list[str]:
    """The hashes of what a node has of a user."""
    return [message["hash"] for message in retrieve(node, user)]
