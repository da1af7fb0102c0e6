"""A client that asks one member of an account's swarm, over any transport and in either encoding."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from nacl import bindings

from allium.client import direct
from allium.client.direct import Answer, Node
from allium.client.swarm import message_hash
from tests.support import wire
from tests.support.devnet import Devnet

#: Every transport with the encodings that it carries.
CALLS = [
    ("https", "json"),
    ("onion", "json"),
    ("omq", "json"),
    ("omq", "bencode"),
    ("quic", "json"),
    ("quic", "bencode"),
]
#: Fields that are base64 in JSON and raw in bencode.
_RAW = ("signature", "subaccount_sig", "data")
_TOKENS = ("subaccount", "revoke", "unrevoke")
UNKNOWN = "A" * 43
DAY = 86_400_000


class Caller:
    """An account, a member of its swarm, and a way to ask it."""

    def __init__(self, devnet: Devnet, transport: str, encoding: str, user: wire.User | None = None) -> None:
        self.devnet, self.transport, self.encoding = devnet, transport, encoding
        self.user, self.now = user or wire.User(), wire.now_ms()
        reply = wire.rpc(devnet.nodes[0], "get_swarm", {"pubkey": self.user.account_id})
        members = {snode["pubkey_ed25519"] for snode in reply.json()["snodes"]}
        self.inside = [Node.parse(node) for node in devnet.nodes if node["pubkey_ed25519"] in members]
        self.outside = [Node.parse(node) for node in devnet.nodes if node["pubkey_ed25519"] not in members]
        self.node = self.inside[0]

    # --- asking

    def ask(self, method: str, params: dict[str, Any]) -> Answer:
        """`params` in their JSON form; bencode is made of it."""
        sent = to_bencode(params) if self.encoding == "bencode" else params
        path = tuple(self.outside[:2]) if self.transport == "onion" else ()
        call = direct.call(
            self.node,
            method,
            sent,
            transport=self.transport,  # type: ignore[arg-type]
            encoding=self.encoding,  # type: ignore[arg-type]
            path=path,
        )
        return asyncio.run(call)

    def result(self, answer: Answer) -> Any:
        """The body with text for bytes, so that both encodings compare alike."""
        return textual(answer.decoded())

    def ok(self, method: str, params: dict[str, Any]) -> Any:
        """The result of a request that must succeed."""
        answer = self.ask(method, params)
        assert answer.status == 200, answer
        return self.result(answer)

    def refused(self, method: str, params: dict[str, Any]) -> tuple[int, str]:
        """Status and text of a request that must not succeed."""
        answer = self.ask(method, params)
        assert answer.status != 200, answer
        return answer.status, answer.body.decode()

    # --- params

    def signed(self, text: str | bytes, **params: Any) -> dict[str, Any]:
        """Params that the account signs over `text`."""
        return {**self.user.auth(text), **params}

    def retrieve(self, **params: Any) -> dict[str, Any]:
        namespace = params.get("namespace", 0)
        text = f"retrieve{namespace or ''}{self.now}"
        return self.signed(text, timestamp=self.now, **params)

    def store(self, data: bytes = b"hello world", **params: Any) -> dict[str, Any]:
        return {**wire.store_params(self.user.account_id, data), **params}

    def signed_store(self, namespace: int, data: bytes = b"hello world", **params: Any) -> dict[str, Any]:
        """A store that its namespace asks to be signed."""
        signature = self.user.auth(f"store{namespace}{self.now}")
        return {**self.store(data, namespace=namespace, timestamp=self.now, **params), **signature}

    def revocation(self, field: str, tokens: list[str]) -> dict[str, Any]:
        """Of `revoke` or `unrevoke`."""
        text = f"{field}_subaccount{self.now}".encode() + b"".join(bytes.fromhex(token) for token in tokens)
        return self.signed(text, timestamp=self.now, **{field: tokens})

    # --- shorthands

    def stored(self, data: bytes = b"hello world", **params: Any) -> str:
        """Stores beforehand, over HTTPS; the hash."""
        node = {"ip": self.node.ip, "https_port": self.node.https_port}
        reply = wire.rpc(node, "store", self.store(data, **params))
        assert reply.status == 200, reply
        return str(reply.json()["hash"])

    def held(self, **params: Any) -> list[str]:
        """Hashes of what a retrieve gives."""
        return [message["hash"] for message in self.ok("retrieve", self.retrieve(**params))["messages"]]

    def hash_of(self, data: bytes = b"hello world", namespace: int = 0) -> str:
        return message_hash(self.user.account_id, namespace, data)

    def entries(self, result: Any) -> dict[str, Any]:
        """Per-node results; their keys must be the swarm's."""
        assert set(result["swarm"]) == {node.ed25519.hex() for node in self.inside}
        entries: dict[str, Any] = result["swarm"]
        return entries

    def each_signed(self, result: Any, text: str | bytes) -> bool:
        """Every member has signed `text`."""
        raw = text.encode() if isinstance(text, str) else text
        for key, entry in self.entries(result).items():
            signature = base64.b64decode(entry["signature"])
            bindings.crypto_sign_open(signature + raw, bytes.fromhex(key))  # raises when it does not verify
        return True


def to_bencode(params: Any, name: str = "") -> Any:
    if isinstance(params, dict):
        return {key: to_bencode(value, key) for key, value in params.items() if value is not None}
    if isinstance(params, list):
        return [to_bencode(item, name) for item in params]
    if isinstance(params, str) and (name in _RAW or name in _TOKENS):
        try:
            return bytes.fromhex(params) if len(params) == 72 else base64.b64decode(params, validate=True)
        except ValueError:
            return params
    return params


def textual(value: Any) -> Any:
    if isinstance(value, dict):
        return {textual(key): textual(item) for key, item in value.items()}
    if isinstance(value, list):
        return [textual(item) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return value
