"""A network of thirteen nodes in one server of the test: it speaks the onion layer, keeps messages, and lies as told.

Each node has an address of its own on loopback and its own keys; all share a port, so that one server is all of them.
Layers are opened with libsodium and OpenSSL (`reference_onion`), as the client's own code does not.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web
from nacl import bindings

from tests.support.reference_node import certificate
from tests.support.reference_onion import ReferenceLayer, unframe
from tests.support.wire import message_hash, now_ms

#: Ends the connection without a word.
HANG_UP = object()


@dataclass
class StandIn:
    """One node."""

    number: int
    ed25519: bytes
    x25519: bytes
    secret: bytes
    #: By account and namespace, (data, timestamp) in the order in which they came.
    kept: dict[tuple[str, int], list[tuple[bytes, int]]] = field(default_factory=dict)
    #: Milliseconds that its clock is ahead.
    ahead: int = 0
    #: Methods it was asked as destination.
    asked: list[str] = field(default_factory=list)
    #: Requests that came to it from the client itself.
    entered: int = 0
    #: What it answers as destination, (status, body) or bytes instead of a sealed answer; `None`: honestly.
    lie: Callable[[str, dict[str, Any]], Awaitable[Any]] | None = None
    #: What it answers as an entry, an HTTP answer or `HANG_UP`; `None`: honestly.
    entry_lie: Callable[[web.Request], Awaitable[Any]] | None = None
    #: What it answers in place of a server, as the last node of a path; `None`: what the server does.
    server_lie: web.Response | None = None

    @property
    def ip(self) -> str:
        return f"127.0.1.{self.number + 1}"

    @property
    def key(self) -> str:
        return self.ed25519.hex()


class StandInNetwork:
    """Use it as an asynchronous context manager."""

    def __init__(self, directory: Path, port: int, nodes: int = 13, members: int = 5) -> None:
        self._directory, self.port = directory, port
        self.nodes = [_node(number) for number in range(nodes)]
        #: Of every account.
        self.members = self.nodes[:members]
        #: Nodes that a seed and honest witnesses tell of.
        self.listed = list(self.nodes)
        #: How often a seed was asked.
        self.seeded = 0
        self._runner: web.AppRunner | None = None

    @property
    def seed(self) -> str:
        return f"https://127.0.0.1:{self.port}/"

    async def start(self) -> None:
        file = self._directory / "standin.pem"
        file.write_bytes(certificate())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/json_rpc", self._seed)
        app.router.add_post("/storage_rpc/v1", self._direct)
        app.router.add_post("/onion_req/v2", self._onion)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "0.0.0.0", self.port, ssl_context=context).start()  # all of loopback

    async def stop(self) -> None:
        """As if this machine had no connection any more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def state(self, node: StandIn) -> dict[str, Any]:
        """As a seed lists it."""
        keys = {"pubkey_ed25519": node.key, "pubkey_x25519": node.x25519.hex()}
        return {"public_ip": node.ip, "storage_port": self.port, **keys}

    # --- as entry and on the way

    def _entered(self, request: web.Request) -> StandIn:
        assert request.transport is not None
        ip = request.transport.get_extra_info("sockname")[0]
        [node] = [node for node in self.nodes if node.ip == ip]
        node.entered += 1
        return node

    async def _seed(self, request: web.Request) -> web.Response:
        self.seeded += 1
        return web.json_response({"result": self._list()})

    def _list(self) -> dict[str, Any]:
        return {"service_node_states": [self.state(node) for node in self.listed], "height": 1, "status": "OK"}

    async def _direct(self, request: web.Request) -> web.StreamResponse:
        node = self._entered(request)
        if node.entry_lie is not None:
            return await self._lied(node, request)
        call = json.loads(await request.read())
        status, body = self._honest(node, call["method"], call["params"])
        return web.json_response(body, status=status)

    async def _lied(self, node: StandIn, request: web.Request) -> web.StreamResponse:
        assert node.entry_lie is not None
        answer = await node.entry_lie(request)
        if answer is HANG_UP:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        assert isinstance(answer, web.StreamResponse)
        return answer

    async def _onion(self, request: web.Request) -> web.StreamResponse:
        node = self._entered(request)
        payload = await request.read()
        if node.entry_lie is not None:
            return await self._lied(node, request)
        ciphertext, control = unframe(payload)
        while True:
            ephemeral, cipher = bytes.fromhex(control["ephemeral_key"]), control.get("enc_type", "aes-gcm")
            layer = ReferenceLayer.between(node.secret, ephemeral, cipher)
            plaintext = layer.open(ciphertext)
            ciphertext, control = unframe(plaintext)
            if "host" in control:
                return await self._server(node, plaintext, control)
            if "headers" in control:
                return await self._answer(node, layer, json.loads(ciphertext))
            found = [each for each in self.nodes if each.key == control["destination"]]
            if not found:
                return web.Response(status=502, text=f"Next node not found: {control['destination']}")
            [node] = found

    async def _server(self, node: StandIn, plaintext: bytes, control: dict[str, Any]) -> web.StreamResponse:
        if node.server_lie is not None:
            return web.Response(status=node.server_lie.status, body=node.server_lie.body)
        url = f"{control['protocol']}://{control['host']}:{control['port']}{control['target']}"
        async with aiohttp.ClientSession() as http, http.post(url, data=plaintext) as answer:
            return web.Response(status=answer.status, body=await answer.read())

    async def _answer(self, node: StandIn, layer: ReferenceLayer, call: dict[str, Any]) -> web.StreamResponse:
        node.asked.append(call["method"])
        told = self._honest(node, call["method"], call["params"]) if node.lie is None else None
        if node.lie is not None:
            told = await node.lie(call["method"], call["params"])
            if isinstance(told, bytes):
                return web.Response(body=told)
            if told is None:
                told = self._honest(node, call["method"], call["params"])
        assert told is not None
        status, body = told
        text = body if isinstance(body, str) else json.dumps(body)
        # A long answer is sealed beside the loop, as it would be on another machine.
        sealed = await asyncio.to_thread(layer.seal, json.dumps({"status": status, "body": text}).encode())
        return web.Response(body=base64.b64encode(sealed))

    # --- as destination

    def honest(self, node: StandIn, method: str, params: dict[str, Any]) -> Any:
        """What an honest node would answer, for lies that change a part of it."""
        return self._honest(node, method, params)[1]

    def _honest(self, node: StandIn, method: str, params: dict[str, Any]) -> tuple[int, Any]:
        now = now_ms() + node.ahead
        match method:
            case "info":
                return 200, {"timestamp": now, "t": now}
            case "get_swarm":
                return 200, {"snodes": self._members(), "t": now}
            case "oxend_request":
                return 200, {"result": self._list(), "t": now}
            case "batch" | "sequence":
                results = [self._honest(node, call["method"], call["params"]) for call in params["requests"]]
                return 200, {"results": [{"code": code, "body": body} for code, body in results]}
            case _ if node not in self.members:
                return 421, {"snodes": self._members(), "t": now}
            case _ if abs(params.get("sig_timestamp", params.get("timestamp", now)) - now) > 60_000:
                return 406, "Timestamp error: check your clock"
            case "retrieve":
                return 200, {**self._retrieve(node, params), "t": now}
            case "store":
                return 200, {**self._store(params, now), "t": now}
        return 400, f"no method {method}"

    def _members(self) -> list[dict[str, Any]]:
        return [{**self.state(node), "ip": node.ip, "port": str(self.port)} for node in self.members]

    def _store(self, params: dict[str, Any], now: int) -> dict[str, Any]:
        account, namespace = params["pubkey"], params.get("namespace", 0)
        data = base64.b64decode(params["data"])
        for node in self.members:
            kept = node.kept.setdefault((account, namespace), [])
            if data not in [each for each, _ in kept]:
                kept.append((data, now))
        return {"hash": message_hash(account, namespace, data), "swarm": {}}

    def _retrieve(self, node: StandIn, params: dict[str, Any]) -> dict[str, Any]:
        account, namespace = params["pubkey"], params.get("namespace", 0)
        entries = [
            entry_of(account, namespace, data, timestamp) for data, timestamp in node.kept.get((account, namespace), [])
        ]
        hashes = [entry["hash"] for entry in entries]
        last = params.get("last_hash")
        return {"messages": entries[hashes.index(last) + 1 if last in hashes else 0 :], "more": False}


def entry_of(account: str, namespace: int, data: bytes, timestamp: int) -> dict[str, Any]:
    """A message as `retrieve` tells of it."""
    name, expiration = message_hash(account, namespace, data), timestamp + 86_400_000
    return {
        "hash": name, "data": base64.b64encode(data).decode(), "timestamp": timestamp, "expiration": expiration
    }  # fmt: skip


def _node(number: int) -> StandIn:
    public, secret = bindings.crypto_sign_keypair()
    x25519_secret = bindings.crypto_sign_ed25519_sk_to_curve25519(secret)
    return StandIn(number, public, bindings.crypto_scalarmult_base(x25519_secret), x25519_secret)
