"""OMQ as the reference's library speaks it, straight from `spec/transports` §2 on libzmq alone.

There is one record for each other node, with up to two connections: the one it opened and the one we opened. Whatever
is sent to it, replies too, goes along either, at random; replies are known by their tag alone
(`spec/transports` §2.1a).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

import zmq
import zmq.asyncio
from nacl import bindings
from zmq.utils import z85

#: Key of whoever asks, command, data parts; `None`: no reply at all.
Answer = Callable[[bytes, str, list[bytes]], Awaitable[list[bytes] | None]]
ERRORS = {b"UNKNOWNCOMMAND", b"FORBIDDEN", b"NOT_A_SERVICE_NODE", b"FORBIDDEN_SN", b"NO_REPLY_TAG"}
LARGEST = 10 << 20


@dataclass
class Link:
    """The connections with one other node."""

    key: bytes
    #: Its name at our ROUTER, while it has a connection to it.
    inbound: bytes | None = None
    outbound: zmq.asyncio.Socket | None = None
    reader: asyncio.Task[None] | None = None
    used: float = 0.0
    #: Seconds without use after which our connection is closed.
    idle: float = 0.0


class ReferenceOmq:
    """The sockets of one node. They are open while it is entered."""

    def __init__(
        self,
        port: int,
        secret: bytes,
        chance: random.Random,
        commands: Collection[str],
        is_node: Callable[[bytes], bool],
        answer: Answer,
    ) -> None:
        """`is_node`: whether a key is an active node's, which alone may call `sn.*`."""
        self._port, self._secret, self._chance = port, secret, chance
        self._public = bindings.crypto_scalarmult_base(secret)
        self._commands, self._is_node, self._answer = commands, is_node, answer
        self._links: dict[bytes, Link] = {}
        self._pending: dict[bytes, asyncio.Future[list[bytes] | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        #: Error frames that came.
        self.errors: list[list[bytes]] = []
        #: Exceptions of this side, which has none.
        self.faults: list[BaseException] = []
        #: What came and went last: when, whose key, along which connection, the first two frames.
        self.trace: deque[tuple[float, str, str, list[bytes]]] = deque(maxlen=1000)

    async def __aenter__(self) -> ReferenceOmq:
        self._context = zmq.asyncio.Context()
        zap = self._context.socket(zmq.REP)
        zap.bind("inproc://zeromq.zap.01")
        self._router = self._socket(zmq.ROUTER)
        self._router.curve_server = True
        self._router.router_mandatory = self._router.router_handover = True
        self._router.bind(f"tcp://127.0.0.1:{self._port}")
        for work in (self._let_in(zap), self._read(self._router, None), self._close_idle()):
            self.spawn(work)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for future in self._pending.values():
            future.cancel()
        self._context.destroy(linger=0)
        self._links.clear()

    def spawn(self, work: Any) -> None:
        """Runs it until it ends, or the sockets are closed."""

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (fault := task.exception()) is not None:
                self.faults.append(fault)

        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(done)

    async def request(
        self, node: dict[str, Any], command: str, *parts: bytes, limit: float = 15.0, outbound: bool = False
    ) -> list[bytes] | None:
        """The data of the reply; `None` when there is none. `outbound`: along our own connection."""
        link = self._link(bytes.fromhex(node["pubkey_x25519"]))
        if link.outbound is None and (outbound or link.inbound is None):
            self._connect(link, f"tcp://{node['ip']}:{node['omq_port']}")
        tag = os.urandom(15)
        reply: asyncio.Future[list[bytes] | None] = asyncio.get_running_loop().create_future()
        self._pending[tag] = reply
        try:
            async with asyncio.timeout(limit):
                if not await self._send(link, [command.encode(), tag, *parts], outbound=outbound):
                    # It has hung up, and we had no connection of our own.
                    self._connect(link, f"tcp://{node['ip']}:{node['omq_port']}")
                    await self._send(link, [command.encode(), tag, *parts])
                return await reply
        except TimeoutError:
            return None
        finally:
            del self._pending[tag]

    def _link(self, key: bytes) -> Link:
        return self._links.setdefault(key, Link(key))

    def _socket(self, kind: int) -> zmq.asyncio.Socket:
        socket = self._context.socket(kind)
        socket.linger, socket.maxmsgsize = 0, LARGEST
        socket.heartbeat_ivl, socket.heartbeat_timeout, socket.handshake_ivl = 15_000, 30_000, 10_000
        socket.curve_secretkey, socket.curve_publickey = z85.encode(self._secret), z85.encode(self._public)
        return socket

    def _connect(self, link: Link, address: str) -> None:
        socket = link.outbound = self._socket(zmq.DEALER)
        socket.routing_id = b"L" + self._public
        socket.curve_serverkey = z85.encode(link.key)
        socket.reconnect_ivl, socket.reconnect_ivl_max = 250, 5_000
        socket.connect(address)
        link.used, link.idle = time.monotonic(), self._chance.uniform(1, 8)
        self.spawn(self._read(socket, link))

    async def _send(self, link: Link, frames: list[bytes], *, outbound: bool = False) -> bool:
        """Along either connection; whether there was one."""
        link.used = time.monotonic()
        ways = [way for way in (link.inbound, link.outbound) if way is not None]
        way = link.outbound if outbound else self._chance.choice(ways) if ways else None
        if way is None:
            return False
        self._note(link.key, "to theirs" if isinstance(way, bytes) else "to ours", frames)
        if not isinstance(way, bytes):
            await way.send_multipart(frames)
            return True
        if await self._send_back(way, frames):
            return True
        link.inbound = None
        return await self._send(link, frames)

    async def _send_back(self, to: bytes, frames: list[bytes]) -> bool:
        """Along a connection that somebody else opened; whether it is still there."""
        try:
            await self._router.send_multipart([to, *frames])
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        return True

    async def _read(self, socket: zmq.asyncio.Socket, link: Link | None) -> None:
        """Takes what comes from a node that we dialled, or from all that dialled us."""
        while True:
            received = await socket.recv_multipart(copy=False)
            frames = [bytes(frame.buffer) for frame in received]
            if link is not None:
                await self._take(link.key, None, frames)
            elif len(frames) > 1:
                await self._take(bytes.fromhex(str(received[-1].get("User-Id"))), frames[0], frames[1:])

    async def _take(self, key: bytes, sender: bytes | None, frames: list[bytes]) -> None:
        is_node = self._is_node(key)
        self._note(key, "from theirs" if sender is not None else "from ours", frames)
        if is_node:
            link = self._link(key)
            link.used = time.monotonic()
            link.inbound = link.inbound if sender is None else sender

        async def refuse(*frames: bytes) -> None:
            # A refusal goes along the connection that it concerns.
            if sender is not None:
                await self._send_back(sender, list(frames))
            elif (own := self._link(key).outbound) is not None:
                await own.send_multipart(list(frames))

        match frames:
            case [b"REPLY", tag, *parts]:
                self._resolve(tag, parts)
            case [error, b"REPLY", tag] if error in ERRORS:
                self.errors.append(frames)
                self._resolve(tag, None)
            case [error, *_] if error in ERRORS:
                self.errors.append(frames)
            case [b"HI"]:
                await refuse(b"HELLO")
            case [b"HELLO" | b"BYE"]:
                pass
            case [command, *_] if command.decode() not in self._commands:
                await refuse(b"UNKNOWNCOMMAND", command)
            case [command]:
                await refuse(b"NO_REPLY_TAG", command)
            case [command, tag, *_] if command.startswith(b"sn.") and not is_node:
                await refuse(b"FORBIDDEN_SN", b"REPLY", tag)
            case [command, tag, *parts]:
                self.spawn(self._serve(key, None if is_node else sender, command.decode(), tag, parts))

    def _note(self, key: bytes, along: str, frames: list[bytes]) -> None:
        self.trace.append((time.time(), key.hex()[:8], along, frames[:2]))

    def _resolve(self, tag: bytes, parts: list[bytes] | None) -> None:
        reply = self._pending.get(tag)
        # It may be too late.
        if reply is not None and not reply.done():
            reply.set_result(parts)

    async def _serve(self, key: bytes, client: bytes | None, command: str, tag: bytes, parts: list[bytes]) -> None:
        answer = await self._answer(key, command, parts)
        if answer is None:
            return
        if client is not None:
            await self._send_back(client, [b"REPLY", tag, *answer])
        else:
            await self._send(self._link(key), [b"REPLY", tag, *answer])

    async def _close_idle(self) -> None:
        """Nodes hang up on each other now and then."""
        while True:
            await asyncio.sleep(0.5)
            for link in self._links.values():
                if link.outbound is not None and not self._pending and time.monotonic() - link.used > link.idle:
                    self._note(link.key, "closed", [])
                    link.outbound.close()
                    link.outbound = None

    async def _let_in(self, zap: zmq.asyncio.Socket) -> None:
        """Everybody, under the name of their key."""
        while True:
            _, sequence, *_, key = await zap.recv_multipart()
            await zap.send_multipart([b"1.0", sequence, b"200", b"", key.hex().encode(), b""])


@contextlib.asynccontextmanager
async def omq_client(node: dict[str, Any]) -> AsyncIterator[zmq.asyncio.Socket]:
    """A client's DEALER to a node, with a key of its own."""
    with zmq.asyncio.Context() as context, context.socket(zmq.DEALER) as socket:
        secret = os.urandom(32)
        socket.linger = 0
        socket.curve_serverkey = z85.encode(bytes.fromhex(node["pubkey_x25519"]))
        socket.curve_secretkey = z85.encode(secret)
        socket.curve_publickey = z85.encode(bindings.crypto_scalarmult_base(secret))
        socket.connect(f"tcp://{node['ip']}:{node['omq_port']}")
        yield socket
