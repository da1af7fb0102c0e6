"""A server that answers whatever it is told to, byte by byte, over real sockets: of JSON-RPC, or of anything."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: What is secret in the URLs of these servers.
KEY = "0f1e2d3c4b5a69788796a5b4"

#: Writes an answer to one call, whose method and parameters it is given, on the connection that it came over.
Behaviour = Callable[[socket.socket, dict[str, Any]], None]


class Server(socketserver.ThreadingTCPServer):
    """Listens until it is shut down; `calls` has the method of each call, "" where it was none of JSON-RPC."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, behaviour: Behaviour, at_once: bool = False) -> None:
        """`at_once`: it does not wait for a question."""
        super().__init__(("127.0.0.1", 0), _Connection)
        self.at_once = at_once
        self.behaviour, self.calls = behaviour, list[str]()
        #: Set when it is over, so that no answer is held back any longer.
        self.over = threading.Event()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        """With a key in each place where providers have one."""
        return f"http://user:pass-{KEY}@{self.place}/v3/{KEY}?apikey=query-{KEY}"


class _Connection(socketserver.BaseRequestHandler):
    server: Server

    def handle(self) -> None:
        try:
            call = {} if self.server.at_once else self._question()
            self.server.calls.append(call.get("method", ""))
            self.server.behaviour(self.request, {**call, "server": self.server})
        except (OSError, ValueError):
            return  # who asked has gone

    def _question(self) -> dict[str, Any]:
        with self.request.makefile("rb") as reader:
            length = 0
            while (line := reader.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            told = reader.read(length)
        with contextlib.suppress(ValueError):
            if isinstance(call := json.loads(told), dict):
                return call
        return {}


@contextmanager
def serving(behaviour: Behaviour, at_once: bool = False) -> Iterator[Server]:
    with Server(behaviour, at_once) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def raw(answer: bytes) -> Behaviour:
    """Sends these bytes and closes."""
    return lambda connection, call: connection.sendall(answer)


def body(text: bytes, status: int = 200, *headers: str) -> Behaviour:
    """An HTTP answer with this body."""
    head = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(text)}", "Connection: close", *headers]
    return raw("\r\n".join(head).encode() + b"\r\n\r\n" + text)


def result(value: Any) -> Behaviour:
    return lambda connection, call: body(_answer(call, result=value))(connection, call)


def error(value: Any, status: int = 200) -> Behaviour:
    return lambda connection, call: body(_answer(call, error=value), status)(connection, call)


def by_method(default: Behaviour, **behaviours: Behaviour) -> Behaviour:
    return lambda connection, call: behaviours.get(call["method"], default)(connection, call)


def endless(head: bytes, piece: bytes) -> Behaviour:
    """Never stops to send, as fast as it is read."""

    def behave(connection: socket.socket, call: dict[str, Any]) -> None:
        connection.sendall(head)
        while not call["server"].over.is_set():
            connection.sendall(piece)

    return behave


def dripping(head: bytes) -> Behaviour:
    """Always sends one more byte before anybody gives up."""

    def behave(connection: socket.socket, call: dict[str, Any]) -> None:
        connection.sendall(head)
        while not call["server"].over.wait(0.2):
            connection.sendall(b" ")

    return behave


def hanging(connection: socket.socket, call: dict[str, Any]) -> None:
    """Says nothing."""
    call["server"].over.wait()


def _answer(call: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": call["id"], **more}).encode()
