"""The engine for programs of their own: a node, a relay or a store inside an asyncio program.

Needs nothing but the wheel itself. Everything here belongs to the event loop that it was started in, which never waits
for it. There is no global state: any number of engines and stores live in one process.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeVar

from allium import _native
from allium._native import Peeled

if TYPE_CHECKING:
    from allium._native import Network

__all__ = ["Answer", "Engine", "Keys", "Message", "Peeled", "Store", "Stored", "node_keys", "peel", "peel_batch"]

T = TypeVar("T")
#: Answers a client's request with an HTTP status and JSON; a string is told as text.
Handler = Callable[[dict[str, Any]], Awaitable[tuple[int, Any]]]
Durability = Literal["sync", "async"]

#: Calls into one store that may be under way: puts that wait share one write.
_STORE_THREADS = 32
#: Bytes of messages read at once.
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and what was said."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON; `ValueError` when it is none, as the text of a refusal is."""
        return json.loads(self.body)


#: What the engine says while it stops.
_STOPPED = Answer(503, b"Service node is not ready: shutting down\n")


class Keys(NamedTuple):
    """A node's keys, 32 bytes each."""

    ed25519: bytes
    x25519: bytes
    x25519_secret: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A message as a store has it. Times are milliseconds since 1970."""

    account: str
    namespace: int
    timestamp: int
    expiry: int
    data: bytes
    hash: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a message; `obsolete`: it was deleted since, or its outbox holds a newer one."""

    hash: str
    outcome: Literal["new", "extended", "exists", "obsolete"]
    #: That is in force now, milliseconds; 0 for `obsolete`.
    expiry: int


def node_keys(ed25519_seed: bytes) -> Keys:
    """The keys that belong to a node's seed (32 bytes)."""
    return Keys(*_native.node_keys(ed25519_seed))


def peel(x25519_secret: bytes, payload: bytes) -> Peeled:
    """What is under the layer of a payload that a client has posted. What is wrong with it is in `kind`."""
    return peel_batch(x25519_secret, [payload])[0]


def peel_batch(x25519_secret: bytes, payloads: Sequence[bytes]) -> list[Peeled]:
    """`peel` for each payload, at a fraction of the cost."""
    return _native.onion_peel(x25519_secret, list(payloads))


class _Process:
    """The process that opened something. A fork has its memory but none of its threads, and would wait for ever."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._id = os.getpid()

    def check(self) -> None:
        if os.getpid() != self._id:
            raise RuntimeError(f"{self._what} is of the process that this one was forked from; open one after the fork")


class Store:
    """A message store. Closed by `close`, or as an asynchronous context manager.

    What fails raises `OSError` in words (full, in use by another program, damaged, closed); bad arguments raise
    `ValueError`, and what a process does that was forked from the one that opened it `RuntimeError`.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        max_bytes: int = 3_758_096_384,
        account_bytes: int = 134_217_728,
        account_messages: int = 100_000,
        durability: Durability = "sync",
    ) -> None:
        """Opens the store in the directory `path`, which is made when it is not there.

        `max_bytes` is what messages may take, `account_bytes` and `account_messages` what one account may have in its
        public inboxes, and as much again in its other namespaces.

        `durability` is what the end of a `put` means: on disk (`sync`), or with the operating system, which writes
        every second (`async`).
        """
        try:
            store = _native.Store(fspath(path), max_bytes, account_bytes, account_messages, durability)
        except OverflowError as error:
            raise ValueError(f"a limit is out of range: {error}") from None
        self._attach(store)

    @classmethod
    def _of(cls, store: _native.Store) -> Self:
        self = cls.__new__(cls)
        self._attach(store)
        return self

    def _attach(self, store: _native.Store) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(_STORE_THREADS, "allium-store")
        self._closed = False
        self._process = _Process("the store")

    async def _wait(self, call: Callable[[], T]) -> T:
        self._process.check()
        if self._closed:
            raise OSError("the store is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except OverflowError as error:
            raise ValueError(f"a number is out of range: {error}") from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def put(
        self,
        account: str,
        data: bytes,
        *,
        namespace: int = 0,
        ttl_ms: int = 14 * 86_400_000,
        timestamp: int | None = None,
    ) -> Stored:
        """Stores a message of an account (66 hex digits), to go `ttl_ms` after its `timestamp`, by default now."""
        timestamp = int(time.time() * 1000) if timestamp is None else timestamp
        [stored] = await self.put_all([(account, namespace, timestamp, timestamp + ttl_ms, data)])
        return stored

    async def put_all(self, messages: Sequence[tuple[str, int, int, int, bytes]]) -> list[Stored]:
        """Stores many (account, namespace, timestamp, expiry, data) in as few writes as it can."""
        stored = await self._wait(partial(self._store.put, list(messages)))
        return [Stored(*one) for one in stored]

    async def get(self, account: str, message_hash: str) -> Message | None:
        """One message; `None` when it is not there."""
        found = await self._wait(partial(self._store.get, account, message_hash))
        return None if found is None else Message(*found)

    async def retrieve(
        self,
        account: str,
        *,
        namespace: int = 0,
        after: str | None = None,
        max_count: int | None = None,
        max_size: int = _PIECE,
    ) -> tuple[list[Message], bool]:
        """Messages in the order of their storing, and whether there are more.

        They begin after the one with the hash `after` if that is there. There are at most `max_count` of at most
        `max_size` bytes together, but at least one if there is any.
        """
        call = partial(self._store.retrieve, account, namespace, after, max_count, max_size)
        messages, more = await self._wait(call)
        return [Message(*one) for one in messages], more

    async def __aiter__(self) -> AsyncIterator[Message]:
        """Every message of every account; what is stored meanwhile may be seen or not."""
        cursor: _native.Cursor | None = None
        while True:
            messages, cursor = await self._wait(partial(self._store.scan, cursor, _PIECE))
            for one in messages:
                yield Message(*one)
            if cursor is None:
                return

    async def remove(self, account: str, hashes: Sequence[str]) -> list[str]:
        """Removes messages of an account; the hashes of those that were there."""
        return await self._wait(partial(self._store.remove, account, list(hashes)))

    async def count(self) -> tuple[int, int]:
        """How many messages there are, and bytes charged for them."""
        return await self._wait(self._store.count)

    async def close(self) -> None:
        """Writes what is queued and closes; of an engine's store, only this handle. A second time does nothing."""
        if self._closed:
            return
        self._process.check()
        try:
            await self._wait(self._store.close)
        finally:
            self._closed = True
            self._threads.shutdown(wait=False)


class Engine:
    """A node or a relay. Runs between `start` and `stop`, or as an asynchronous context manager."""

    def __init__(
        self,
        data_dir: str | PathLike[str],
        *,
        ed25519_seed: bytes,
        legacy_pubkey: bytes,
        bind_ip: str = "0.0.0.0",
        https_port: int = 22021,
        omq_port: int = 22020,
        keeps_messages: bool = True,
        max_store_bytes: int = 3_758_096_384,
        durability: Durability = "sync",
        worker_threads: int = 2,
        queue: int = 1000,
        rate_limit: tuple[int, int] = (600, 300),
        allow_private_servers: bool = False,
        answers: Mapping[str, Handler] | None = None,
    ) -> None:
        """Keys are 32 bytes; messages and certificate are in `data_dir`, which is made when it is not there.

        Without `keeps_messages`, it relays onion requests and tells clients which swarm has what they ask for.

        `answers` are requests that this program answers, by method: those that come by HTTPS, in onion requests and
        through `request`. A handler is given the params and has 30 s; whatever it raises refuses the request.

        `rate_limit` is how many requests of one address may come at once, and how many per second in the long run.
        """
        self._answers = dict(answers or {})
        self._running: set[asyncio.Task[None]] = set()
        self._asked: set[asyncio.Future[Answer]] = set()
        self._native: _native.Node | None = None
        self._store: Store | None = None
        self._ready = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process: _Process | None = None
        self._open = partial(
            _native.Node,
            data_dir=fspath(data_dir),
            ed25519_seed=ed25519_seed,
            legacy_pubkey=legacy_pubkey,
            bind_ip=bind_ip,
            https_port=https_port,
            omq_port=omq_port,
            keeps_messages=keeps_messages,
            max_store_bytes=max_store_bytes,
            durability=durability,
            worker_threads=worker_threads,
            queue=queue,
            rate_limit=rate_limit,
            allow_private_servers=allow_private_servers,
            answers=(list(self._answers), self._take) if self._answers else None,
        )

    async def start(self) -> None:
        """Opens the store, binds the sockets, serves; `OSError` or `ValueError` says what to change.

        Requests are refused until there is a network with this node in it.
        """
        if self._process is not None:
            raise RuntimeError("the engine is running")
        self._process = _Process("the engine")
        self._loop = asyncio.get_running_loop()
        try:
            self._native = await self._start()
        except BaseException:
            self._process = None
            raise
        store = self._native.store()
        self._store = None if store is None else Store._of(store)

    async def _start(self) -> _native.Node:
        starting = asyncio.ensure_future(asyncio.to_thread(self._open))
        try:
            return await asyncio.shield(starting)
        except OverflowError as error:
            raise ValueError(f"a port or a limit is out of range: {error}") from None
        except asyncio.CancelledError:
            # The thread goes on. What it starts would keep its ports and its store, with nobody to stop it.
            await asyncio.wait([starting])
            if not starting.cancelled() and starting.exception() is None:
                await asyncio.to_thread(starting.result().shutdown)
            raise

    async def stop(self) -> None:
        """Refuses new requests, finishes those under way, writes what is queued, closes. A second time does nothing."""
        if self._native is None:
            return
        node, store = self._node, self._store
        self._native = self._store = None
        # Whoever waits is told.
        ready, self._ready = self._ready, asyncio.Event()
        ready.set()
        try:
            if store is not None:
                await store.close()
        finally:
            try:
                await asyncio.to_thread(node.shutdown)
            finally:
                self._process = None
                for task in self._running:
                    task.cancel()
                # Nobody answers them any more.
                for coming in self._asked:
                    if not coming.done():
                        coming.set_result(_STOPPED)
            await asyncio.gather(*self._running, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def _node(self) -> _native.Node:
        if self._native is None or self._process is None:
            raise RuntimeError("the engine is not running")
        self._process.check()
        return self._native

    def set_network(self, network: Network) -> None:
        """Puts a new picture of the network in force; `ValueError` when it is malformed (the old one stays)."""
        self._node.set_network(network)
        if self.not_ready is None:
            self._ready.set()
        else:
            self._ready.clear()

    async def follow(self, membership: AsyncIterable[Network]) -> None:
        """Puts each picture of the network in force that `membership` yields, until it ends or this is cancelled."""
        async for network in membership:
            self.set_network(network)

    @property
    def not_ready(self) -> str | None:
        """Why requests are refused; `None` when the engine serves."""
        return self._node.not_ready()

    async def ready(self) -> None:
        """Waits until there is a network in which the engine serves; `RuntimeError` if it stops, or does not run."""
        _, ready = self._node, self._ready
        await ready.wait()
        if ready is not self._ready:
            raise RuntimeError("the engine was stopped")

    @property
    def store(self) -> Store | None:
        """Its messages, until it stops; `None` when it keeps none."""
        return self._store

    def stats(self) -> dict[str, int | str]:
        """Counters and gauges by name."""
        return self._node.stats()

    async def onion(self, payload: bytes) -> Answer:
        """Answers an onion request that came over a transport of this program's own."""
        return await self._ask(self._node.onion, payload)

    async def request(self, method: str, params: Mapping[str, Any]) -> Answer:
        """Answers a client's request that came over a transport of this program's own."""
        return await self._ask(self._node.request, json.dumps({"method": method, "params": dict(params)}).encode())

    async def _ask(self, ask: Callable[[bytes, Callable[[int, bytes], object]], None], what: bytes) -> Answer:
        loop = asyncio.get_running_loop()
        coming: asyncio.Future[Answer] = loop.create_future()

        def done(status: int, body: bytes) -> None:
            # Whoever waited may be gone.
            if not coming.done():
                coming.set_result(Answer(status, body))

        ask(what, partial(_tell, loop, done))
        self._asked.add(coming)
        try:
            return await coming
        finally:
            self._asked.discard(coming)

    def _take(self, call: _native.Call) -> None:
        """Told of a request, on a thread of the engine's."""
        if self._loop is not None:
            _tell(self._loop, self._begin, call)

    def _begin(self, call: _native.Call) -> None:
        task = asyncio.ensure_future(self._answer(call))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _answer(self, call: _native.Call) -> None:
        try:
            status, body = await self._answers[call.method](json.loads(call.params))
            text = json.dumps(body)
        except Exception as error:
            context = {"message": f"a handler of {call.method} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            status, text = 500, json.dumps("Internal Server Error")
        call.answer(status, text)


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[..., object], *arguments: object) -> None:
    try:
        loop.call_soon_threadsafe(what, *arguments)
    except RuntimeError:
        # The loop has ended, and with it whoever waited.
        return
