"""A connection to a daemon over OMQ, as its client (`spec/transports` §2, §6)."""

from __future__ import annotations

import asyncio
import json
import os
import struct
from collections.abc import Callable
from typing import Any, Self

import zmq
import zmq.asyncio
from nacl import bindings
from zmq.utils import z85

from allium.base import log
from allium.base.endpoint import Endpoint
from allium.errors import Complaint

#: How long an answer may take, in seconds.
TIMEOUT = 15.0
_HEARTBEAT_MS, _HEARTBEAT_TIMEOUT_MS = 15_000, 30_000
_RECONNECT_MS, _RECONNECT_MAX_MS = 250, 5_000
_MAX_MESSAGE = 10 << 20
_PAUSE_SECONDS = 0.25


class OmqError(Complaint):
    """There is no answer, or it is a refusal; the text is the other side's where it said something."""


class UnknownCommandError(OmqError):
    """The other side has no such command."""


class OmqConnection:
    """A connection that is made again whenever it is lost. Entering it begins to connect.

    Whoever listens to the other side's own messages, or wants to know of a new connection, says so beforehand.
    """

    def __init__(self, endpoint: Endpoint, context: zmq.asyncio.Context | None = None) -> None:
        """`context`: one that many share, and that somebody else ends."""
        self.endpoint = endpoint
        #: Called with the data of each message that is no answer, by command.
        self.on_notify: dict[bytes, Callable[[list[bytes]], None]] = {}
        #: Called each time a connection is made.
        self.on_connect: list[Callable[[], None]] = []
        self._shared = context is not None
        self._context = zmq.asyncio.Context() if context is None else context
        self._socket: zmq.asyncio.Socket | None = None
        self._connected = asyncio.Event()
        self._goes = False
        self._pending: dict[bytes, tuple[bytes, asyncio.Future[list[bytes]]]] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connected.is_set()

    async def request(self, command: str, *parts: bytes, timeout: float = TIMEOUT) -> list[bytes]:
        """The data parts of the answer; `OmqError` when there is none in time. Waits for a connection as well."""
        tag = os.urandom(8)
        answer: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                while not (self._connected.is_set() and self._socket):
                    await self._connected.wait()
                self._pending[tag] = (command.encode(), answer)
                await self._socket.send_multipart([command.encode(), tag, *parts])
                return await answer
        except TimeoutError:
            where = "answer" if self._connected.is_set() else "connection"
            raise OmqError(f"no {where} within {timeout:g} s") from None
        except zmq.ZMQError as error:
            raise OmqError(f"not sent: {error}") from None
        finally:
            self._pending.pop(tag, None)

    async def call(self, command: str, params: dict[str, Any] | None = None, timeout: float = TIMEOUT) -> Any:
        """The decoded JSON of an `rpc.` or `admin.` command; `OmqError` with the daemon's words when it refuses."""
        parts = [] if params is None else [json.dumps(params).encode()]
        match await self.request(command, *parts, timeout=timeout):
            case [b"200", body]:
                try:
                    return json.loads(body)
                except (ValueError, RecursionError):
                    raise OmqError("the answer is not JSON") from None
            case [*answer]:
                words = b" ".join(answer)[:500].decode(errors="replace")
                raise OmqError(words or "an empty answer")

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="omq")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if not self._shared:
            self._context.term()

    async def _run(self) -> None:
        while True:
            with self._open() as socket, socket.get_monitor_socket(zmq.EVENT_DISCONNECTED) as monitor:
                self._socket = socket
                try:
                    await self._serve(socket, monitor)
                except zmq.ZMQError as error:
                    log.get("omq").warning("connection failed", address=self.endpoint.address, reason=str(error))
                finally:
                    self._forget()
            await asyncio.sleep(_PAUSE_SECONDS)

    def _open(self) -> zmq.asyncio.Socket:
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
        socket.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE)
        if self.endpoint.x25519 is not None:
            secret = os.urandom(32)
            socket.curve_serverkey = z85.encode(self.endpoint.x25519)
            socket.curve_secretkey = z85.encode(secret)
            socket.curve_publickey = z85.encode(bindings.crypto_scalarmult_base(secret))
        return socket

    async def _serve(self, socket: zmq.asyncio.Socket, monitor: zmq.asyncio.Socket) -> None:
        """Returns when the connection is lost, or the other side goes and has answered what it was asked."""
        self._goes = False
        socket.connect(self.endpoint.address)
        await socket.send(b"HI")
        poller = zmq.asyncio.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(monitor, zmq.POLLIN)
        while True:
            ready = dict(await poller.poll())
            # What came before the loss counts.
            while int(socket.get(zmq.EVENTS)) & zmq.POLLIN:
                self._take(await socket.recv_multipart())
            if self._goes and not self._pending:
                return
            if monitor in ready:
                [event, _] = await monitor.recv_multipart()
                if struct.unpack_from("=H", event)[0] == zmq.EVENT_DISCONNECTED:
                    return

    def _take(self, frames: list[bytes]) -> None:
        """Gives a message to whoever waits for it."""
        match frames:
            case [b"HELLO"]:
                self._connected.set()
                for listener in self.on_connect:
                    listener()
            case [b"BYE"]:
                # The next request is for its successor.
                self._goes = True
                self._connected.clear()
            case [b"REPLY", tag, *parts] if tag in self._pending:
                self._resolve(tag, parts)
            case [error, b"REPLY", tag] if tag in self._pending:
                self._resolve(tag, OmqError(f"refused: {error.decode(errors='replace')}"))
            case [b"UNKNOWNCOMMAND", command]:
                for tag in [tag for tag, (asked, _) in self._pending.items() if asked == command]:
                    self._resolve(tag, UnknownCommandError(f"{command.decode(errors='replace')} is not known there"))
            case [command, *parts] if command in self.on_notify:
                self.on_notify[command](parts)

    def _resolve(self, tag: bytes, result: list[bytes] | OmqError) -> None:
        _, answer = self._pending.pop(tag)
        if answer.done():
            return
        if isinstance(result, OmqError):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    def _forget(self) -> None:
        self._connected.clear()
        self._socket = None
        for tag in list(self._pending):
            self._resolve(tag, OmqError("the connection was lost"))
