"""Onion requests for servers that are none: this machine and its neighbours, in every disguise."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from tests.support import wire
from tests.support.lone_node import LoneNode


def refused(node: dict[str, Any], host: str, port: int, protocol: str) -> bool:
    """Whether the node posts no onion request to this server: it may not, or the host stands for nothing."""
    control = {"host": host, "port": port, "protocol": protocol, "target": "/loki/v3/lsrpc"}
    payload, layer = wire.onion([node], b"", control)
    reply = wire.post_onion(node, payload)
    if reply.status == 502:
        return reply.body == b"Could not connect to server"
    return bool(wire.open_reply(layer, reply)["status"] == 400)


def test_nothing_of_this_machine_is_called(lone_node: Callable[..., LoneNode]) -> None:
    node = lone_node()
    node.sees(node.entry)
    with socket.create_server(("", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        own = [str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
        hosts = [
            *("127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "0.0.0.0"),
            *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
            *(
                "[2001:0:7f00:1::]",
                "10.0.0.1",
                "192.168.0.1",
                "169.254.169.254",
                "100.64.0.1",
                "[fd00::1]",
                "[fe80::1]",
            ),
            *(
                f"127.0.0.1:{port}",
                f"127.0.0.1:{port}/any/path?q",
                f"user@127.0.0.1:{port}",
                f"[::ffff:127.0.0.1]:{port}",
            ),
            *(f"127.0.0.1:{port}#", "127.0.0.1\\@example.org", "example.org@127.0.0.1", "", *own),
        ]
        for host in hosts:
            for protocol in ("http", "https"):
                assert refused(node.entry, host, port, protocol), (host, protocol)
                try:
                    server.accept()
                except BlockingIOError:
                    continue
                raise AssertionError(f"{host} was called over {protocol}")
