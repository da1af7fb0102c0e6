"""Another node of the network over QUIC, as far as a test needs it: its keys, and both ends of request streams."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import bencode2

from allium import _native
from allium.base.streams import Stream
from allium.devnet import ports
from allium.devnet.layout import LOOPBACK
from allium.server.quic import Listener
from allium.settings import keys
from tests.support.lone_node import entry
from tests.support.peer import peer

SECONDS = 30.0
#: What nodes of Allium offer each other, those of before, and those of the reference.
ALLIUM, BEFORE, REFERENCE = "allium-sn/2", "allium-sn/1", "oxenstorage-sn"

#: The body of a reply to a command and its body; an exception's text is an error's body.
Answer = Callable[[str, bytes], bytes]


class RefusedError(Exception):
    """A command is answered with an error."""


class Frames:
    """The messages of one request stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._buffer = stream, b""

    async def next(self) -> list[Any] | None:
        """The next message; `None` at the end."""
        while True:
            head, colon, rest = self._buffer.partition(b":")
            if colon and len(rest) >= int(head):
                self._buffer = rest[int(head) :]
                message: list[Any] = bencode2.bdecode(rest[: int(head)])
                return message
            data = await self._stream.read(1 << 16, SECONDS)
            if not data:
                return None
            self._buffer += data

    async def send(self, *message: Any) -> None:
        frame = bencode2.bencode(list(message))
        await self._stream.write(b"%d:%b" % (len(frame), frame), SECONDS)


class QuicPeer:
    """A node that only this test knows."""

    def __init__(self, made: keys.NodeKeys, port: int) -> None:
        self.keys, self.entry = made, entry(made, 1, port)
        self._seen: list[tuple[str, bytes]] = []
        self._news = threading.Condition()

    def note(self, command: str, body: bytes) -> None:
        with self._news:
            self._seen.append((command, body))
            self._news.notify_all()

    def seen(self, *commands: str) -> list[tuple[str, bytes]]:
        """Commands of these names that have come, with their bodies."""
        with self._news:
            return [one for one in self._seen if one[0] in commands]

    def forget(self) -> None:
        with self._news:
            self._seen.clear()

    def await_seen(self, holds: Callable[[list[tuple[str, bytes]]], bool]) -> None:
        """Waits until `holds` of all that has come."""
        with self._news:
            assert self._news.wait_for(lambda: holds(self._seen), SECONDS), self._seen

    def ask(self, node: dict[str, Any], *commands: tuple[str, bytes]) -> list[tuple[bytes, bytes]]:
        """What `node` answers to these, sent at once on one stream: `R` or `E`, and the body, in their order."""

        async def ask() -> list[tuple[bytes, bytes]]:
            key = bytes.fromhex(node["pubkey_ed25519"])
            seed = self.keys.ed25519_seed
            connection = await asyncio.to_thread(
                _native.QuicConnection, LOOPBACK, node["omq_port"], key, seed, ALLIUM, SECONDS
            )
            frames = Frames(Stream(connection.open()))
            for number, (command, body) in enumerate(commands):
                await frames.send("C", number, command, body)
            told: dict[int, tuple[bytes, bytes]] = {}
            while len(told) < len(commands):
                message = await frames.next()
                assert message is not None
                told[message[1]] = (message[0], message[2])
            connection.close()
            return [told[number] for number in range(len(commands))]

        return asyncio.run(ask())


@contextlib.contextmanager
def quic_peer(answer: Answer, protocol: str = ALLIUM) -> Iterator[QuicPeer]:
    """A node that takes this application protocol, and answers each command with what `answer` says."""
    made = keys.generate()
    # Its OMQ port says that it is alive.
    with ports.reserve(1) as [port], peer(lambda *_: [b"pong"], made, port):
        other = QuicPeer(made, port)

        async def serve(stream: Stream) -> None:
            frames = Frames(stream)
            while (message := await frames.next()) is not None:
                _, rid, command, body = message
                other.note(command.decode(), body)
                try:
                    await frames.send("R", rid, answer(command.decode(), body))
                except RefusedError as refused:
                    await frames.send("E", rid, str(refused).encode())

        stop = asyncio.Event()
        started: list[Any] = []
        ready = threading.Event()

        async def run() -> None:
            listener = Listener(LOOPBACK, port, made.ed25519_seed, protocol, 8, 8)
            started.append(asyncio.get_running_loop())
            ready.set()
            tasks: list[asyncio.Task[None]] = []

            async def accepting() -> None:
                while (stream := await listener.accept()) is not None:
                    tasks.append(asyncio.create_task(quietly(serve(stream))))

            accepted = asyncio.create_task(accepting())
            await stop.wait()
            listener.close()
            await accepted
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        thread = threading.Thread(target=lambda: asyncio.run(run()))
        thread.start()
        try:
            assert ready.wait(SECONDS)
            yield other
        finally:
            started[0].call_soon_threadsafe(stop.set)
            thread.join()


async def quietly(serving: Coroutine[Any, Any, None]) -> None:
    """The other end may go at any moment."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        await serving
