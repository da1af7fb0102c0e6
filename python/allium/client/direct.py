"""One request straight to one node, over any of its transports: for debugging clients and nodes, and for tests."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import bencode2
from nacl import bindings

from allium import _native
from allium.client.errors import NetworkError
from allium.client.listing import decoded
from allium.client.transport import Transport

TransportName = Literal["https", "onion", "omq", "quic"]
Encoding = Literal["json", "bencode"]
#: Methods that bytes are sent to under this name, and not as a method of the RPC.
MONITOR = "monitor"


@dataclass(frozen=True)
class Node:
    """Where a node is and its keys (32 bytes each)."""

    ip: str
    https_port: int
    #: OMQ over TCP, QUIC over UDP.
    omq_port: int
    ed25519: bytes
    x25519: bytes

    @classmethod
    def parse(cls, state: Mapping[str, Any]) -> Node:
        """From an entry of a node list or of a devnet's network.json; `ValueError` when a field is missing or wrong."""
        try:
            return cls(
                str(ipaddress.IPv4Address(str(state["public_ip"] if "public_ip" in state else state["ip"]))),
                int(state["storage_port"] if "storage_port" in state else state["https_port"]),
                int(state["storage_lmq_port"] if "storage_lmq_port" in state else state["omq_port"]),
                bytes.fromhex(state["pubkey_ed25519"]),
                bytes.fromhex(state["pubkey_x25519"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"not a node: {error!r}") from None


@dataclass(frozen=True)
class Answer:
    """What came back: the status, and the body as it stood on the wire (the onion's, decrypted)."""

    status: int
    body: bytes
    seconds: float

    def decoded(self) -> Any:
        """The body as JSON or bencode; as text, or bytes, when it is neither."""
        try:
            return decoded(self.body)
        except ValueError:
            pass
        try:
            if self.body[:1] in (b"d", b"l"):
                return bencode2.bdecode(self.body)
        except bencode2.BencodeDecodeError:
            pass
        try:
            return self.body.decode()
        except UnicodeDecodeError:
            return self.body


async def call(
    node: Node,
    method: str,
    params: Mapping[str, Any] | bytes,
    *,
    transport: TransportName = "https",
    encoding: Encoding = "json",
    path: tuple[Node, ...] = (),
    timeout: float = 30.0,
) -> Answer:
    """Sends one request. `params` as bytes are sent as they are (OMQ and QUIC only); `path` is for the onion.

    Raises `NetworkError` when there is no answer; refusals are answers.
    """
    began = time.monotonic()
    if transport in ("https", "onion"):
        if isinstance(params, bytes) or encoding != "json":
            raise ValueError(f"{transport} carries JSON only")
        body = json.dumps({"method": method, "params": dict(params)}).encode()
        async with Transport() as http:
            if transport == "https":
                answer = await http.post(f"https://{node.ip}:{node.https_port}/storage_rpc/v1", body, timeout)
                status, body = answer.status, answer.body
            else:
                status, body = await _onion(http, node, body, path, timeout)
    else:
        if not isinstance(params, bytes):
            params = json.dumps(params).encode() if encoding == "json" else bencode2.bencode(dict(params))
        status, body = await (_omq if transport == "omq" else _quic)(node, method, params, timeout)
    return Answer(status, body, time.monotonic() - began)


async def _onion(http: Transport, node: Node, body: bytes, path: tuple[Node, ...], timeout: float) -> tuple[int, bytes]:
    hops = [(hop.ed25519, hop.x25519) for hop in path]
    payload, key = _native.onion_build(hops, (node.ed25519, node.x25519), body)
    entry = path[0] if path else node
    answer = await http.post(f"https://{entry.ip}:{entry.https_port}/onion_req/v2", payload, timeout)
    if answer.status != 200:
        return answer.status, answer.body
    plaintext = key.open(answer.body)
    if plaintext is None:
        raise NetworkError("the answer is not encrypted for this request")
    try:
        reply = decoded(plaintext)
        status, inner = int(reply["status"]), reply["body"]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise NetworkError(f"the answer cannot be used: {error!r}") from None
    return status, inner.encode() if isinstance(inner, str) else json.dumps(inner).encode()


async def _omq(node: Node, method: str, body: bytes, timeout: float) -> tuple[int, bytes]:
    command = "monitor.messages" if method == MONITOR else f"storage.{method}"
    async with OmqClient(node) as client:
        parts = await client.request(command, body, timeout=timeout)
    match parts:
        case [answer]:
            return 200, answer
        case [code, text]:
            return int(code), text
    raise NetworkError(f"an answer of {len(parts)} parts")


async def _quic(node: Node, method: str, body: bytes, timeout: float) -> tuple[int, bytes]:
    def ask() -> tuple[bool, bytes]:
        client = _native.QuicClient(node.ip, node.omq_port, node.ed25519, os.urandom(32), timeout)
        try:
            return client.request(method, body, timeout)
        finally:
            client.close()

    try:
        ok, answer = await asyncio.to_thread(ask)
    except (ConnectionError, TimeoutError) as error:
        raise NetworkError(str(error)) from error
    if not ok:
        head, separator, rest = answer.partition(b"\n\n")
        code = head.partition(b" ")[0]
        if not separator or not code.isdigit():
            raise NetworkError(answer.decode(errors="replace"))
        return int(code), _unwrapped(rest)
    return 200, _unwrapped(answer)


def _unwrapped(body: bytes) -> bytes:
    """The body inside the list with its code that QUIC puts around results; all else as it is."""
    if body[:1] == b"[":
        wrapped = decoded(body)
        if isinstance(wrapped, list) and len(wrapped) == 2 and isinstance(wrapped[0], int):
            return json.dumps(wrapped[1]).encode()
    if body[:2] == b"li" and body.endswith(b"e"):
        # The inner bytes as they are: a second encoding could differ.
        return body[body.index(b"e", 2) + 1 : -1]
    return body


class OmqClient:
    """A connection to a node as a client speaks OMQ: ZMTP with CURVE, a random key (`spec/transports` §2)."""

    def __init__(self, node: Node, x25519_secret: bytes | None = None) -> None:
        """Connects when first used; `x25519_secret` where the node must know who asks."""
        import zmq.asyncio
        from zmq.utils import z85

        secret = os.urandom(32) if x25519_secret is None else x25519_secret
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.curve_serverkey = z85.encode(node.x25519)
        self._socket.curve_secretkey = z85.encode(secret)
        self._socket.curve_publickey = z85.encode(bindings.crypto_scalarmult_base(secret))
        self._socket.connect(f"tcp://{node.ip}:{node.omq_port}")
        #: Notifications that came while a reply was awaited.
        self.notifications: list[bytes] = []

    async def request(self, command: str, *parts: bytes, timeout: float = 10.0) -> list[bytes]:
        """The data parts of the reply; `NetworkError` when there is none, or for an error frame."""
        tag = os.urandom(8)
        await self._socket.send_multipart([command.encode(), tag, *parts])
        frames = await self._receive(timeout, lambda frames: frames[0] != b"notify.message")
        if frames[:2] != [b"REPLY", tag]:
            raise NetworkError(f"refused: {frames[0].decode(errors='replace')}")
        return frames[2:]

    async def notification(self, timeout: float = 10.0) -> bytes:
        """The next notification's dict; `NetworkError` when none comes in time."""
        if not self.notifications:
            await self._receive(timeout, lambda frames: frames[0] == b"notify.message")
        return self.notifications.pop(0)

    async def _receive(self, timeout: float, wanted: Any) -> list[bytes]:
        try:
            async with asyncio.timeout(timeout):
                while True:
                    frames = await self._socket.recv_multipart()
                    if frames[0] == b"notify.message":
                        self.notifications.append(frames[1])
                    if wanted(frames):
                        return list(frames)
        except TimeoutError:
            raise NetworkError(f"no answer within {timeout:.0f} s") from None

    async def __aenter__(self) -> OmqClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket.close()
        self._context.term()
