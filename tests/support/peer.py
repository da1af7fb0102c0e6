"""Another node of the network, as far as a test needs it: its keys, and OMQ in both directions."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import zmq
from nacl import bindings
from zmq.utils import z85

from allium.client.direct import Node, OmqClient
from allium.settings import keys
from tests.support.lone_node import entry

#: The data parts of an answer to a command and its data parts; `None`: no answer at all.
Answer = Callable[[str, list[bytes]], list[bytes] | None]


class Peer:
    """A node that only this test knows."""

    def __init__(self, omq_port: int, made: keys.NodeKeys, **fields: Any) -> None:
        self.entry = {**entry(made, 1, omq_port), **fields}
        self._secret = bindings.crypto_sign_ed25519_sk_to_curve25519(made.ed25519_secret)

    def ask(self, node: dict[str, Any], command: str, *parts: bytes) -> list[bytes]:
        """What `node` answers to this node."""

        async def ask() -> list[bytes]:
            async with OmqClient(Node.parse(node), self._secret) as client:
                return await client.request(command, *parts)

        return asyncio.run(ask())


@contextlib.contextmanager
def peer(answer: Answer, made: keys.NodeKeys | None = None, port: int | None = None, **fields: Any) -> Iterator[Peer]:
    """A node that answers requests over OMQ with what `answer` says; `fields` of its entry in the network."""
    made = made or keys.generate()
    secret = bindings.crypto_sign_ed25519_sk_to_curve25519(made.ed25519_secret)
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router, context.socket(zmq.PULL) as stop:
        router.curve_server, router.curve_secretkey = True, z85.encode(secret)
        router.curve_publickey = z85.encode(made.x25519_public)
        if port is None:
            port = router.bind_to_random_port("tcp://127.0.0.1")
        else:
            router.bind(f"tcp://127.0.0.1:{port}")
        stop.bind("inproc://stop")

        def serve() -> None:
            poller = zmq.Poller()
            poller.register(router, zmq.POLLIN)
            poller.register(stop, zmq.POLLIN)
            while stop not in dict(poller.poll()):
                sender, command, tag, *parts = router.recv_multipart()
                told = answer(command.decode(), parts)
                if told is not None:
                    router.send_multipart([sender, b"REPLY", tag, *told])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Peer(port, made, **fields)
        finally:
            with context.socket(zmq.PUSH) as push:
                push.connect("inproc://stop")
                push.send(b"")
                thread.join()
