"""`allium.Engine` and `allium.Store`, as programs of their own use them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import allium
from allium import Engine, Store, node_keys, peel, peel_batch
from allium._native import onion_build
from allium.devnet import ports
from tests.support.lone_node import UNASSIGNED

ACCOUNT = "05" + "07" * 32
SEED = bytes([7]) * 32
KEYS = node_keys(SEED)

if TYPE_CHECKING:
    from allium._native import Network, NodeEntry

    Made = tuple[Engine, NodeEntry]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[..., Made]]:
    """Makes engines that do not run yet, and their entries in a network."""
    with contextlib.ExitStack() as stack:

        def make(number: int = 1, **options: Any) -> Made:
            seed = bytes([number]) * 32
            https_port, omq_port = stack.enter_context(ports.reserve(2))
            listen: dict[str, Any] = {"https_port": https_port, "omq_port": omq_port}
            keys = node_keys(seed)
            entry: NodeEntry = {
                "pubkey_legacy": seed.hex(),
                "pubkey_ed25519": keys.ed25519.hex(),
                "pubkey_x25519": keys.x25519.hex(),
                "ip": "127.0.0.1",
                "https_port": https_port,
                "omq_port": omq_port,
                "swarm_id": 7,
            }
            directory = tmp_path / str(number)
            made = Engine(
                directory, ed25519_seed=seed, legacy_pubkey=seed, **{"bind_ip": "127.0.0.1", **listen, **options}
            )
            return made, entry

        yield make


def network(*nodes: NodeEntry) -> Network:
    return {"height": 1, "block_hash": "", "hardfork": (19, 4), "nodes": list(nodes)}


def store_params() -> dict[str, Any]:
    return {"pubkey": ACCOUNT, "timestamp": int(time.time() * 1000), "ttl": 86_400_000, "data": "aGVsbG8="}


def test_what_is_there_is_typed_and_named() -> None:
    assert all(getattr(allium, name) is not None for name in allium.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = allium.nothing


async def test_a_store_by_itself(tmp_path: Path) -> None:
    async with Store(tmp_path) as store:
        first = await store.put(ACCOUNT, b"one", namespace=5)
        again = await store.put(ACCOUNT, b"one", namespace=5, ttl_ms=20 * 86_400_000)
        assert (first.outcome, again.outcome, again.hash) == ("new", "extended", first.hash)
        assert again.expiry > first.expiry
        now = int(time.time() * 1000)
        many = await store.put_all([(ACCOUNT, 0, now, now + 60_000, f"{n}".encode()) for n in range(300)])
        assert len({one.hash for one in many}) == 300
        page, more = await store.retrieve(ACCOUNT, after=many[0].hash, max_count=2)
        assert ([message.data for message in page], more) == ([b"1", b"2"], True)
        assert {message.namespace async for message in store} == {0, 5}
        assert await store.remove(ACCOUNT, [first.hash, first.hash]) == [first.hash]
        assert await store.get(ACCOUNT, first.hash) is None
        assert (await store.count())[0] == 300
        with pytest.raises(OSError, match="another process"):
            Store(tmp_path)
        with pytest.raises(ValueError, match="66 hex digits"):
            await store.put("05", b"")
        with pytest.raises(ValueError, match="hash"):
            await store.get(ACCOUNT, "?")
        for wrong in (store.put(ACCOUNT, b"", timestamp=-1), store.put(ACCOUNT, b"", namespace=1 << 20)):
            with pytest.raises(ValueError, match="out of range"):
                await wrong
    with pytest.raises(OSError, match="closed"):
        store._store.count()
    for late in (store.put(ACCOUNT, b""), store.count()):
        with pytest.raises(OSError, match="closed"):
            await late
    await store.close()
    with pytest.raises(ValueError, match="out of range"):
        Store(tmp_path, max_bytes=-1)
    # Open to others.
    async with Store(tmp_path, durability="async") as store:
        found = await store.get(ACCOUNT, many[7].hash)
        assert found is not None
        assert found.data == b"7"


async def test_two_engines_in_one_process(engine: Callable[..., Made]) -> None:
    first, first_own = engine(1)
    second, second_own = engine(2)
    with pytest.raises(RuntimeError, match="not running"):
        first.set_network(network())
    async with first, second:
        assert "not in any swarm" in str(first.not_ready)
        first.set_network(network(first_own, first_own))
        assert first.stats()["nodes"] == 1
        for one in (first, second):
            one.set_network(network(first_own, second_own))
            await one.ready()
        # Over the first into the second, and from there to the whole swarm.
        body = json.dumps({"method": "store", "params": store_params()}).encode()
        here, there = (node_keys(bytes([number]) * 32)[:2] for number in (1, 2))
        payload, key = onion_build([here], there, body)
        answers = await asyncio.gather(first.onion(payload), first.request("info", {}), second.request("nope", {}))
        assert [answer.status for answer in answers] == [200, 200, 400]
        reply = json.loads(key.open(answers[0].body) or b"")
        assert reply["status"] == 200
        assert len(json.loads(reply["body"])["swarm"]) == 2
        assert answers[1].json()["version"] == [2, 8, 0]
        with pytest.raises(ValueError):
            answers[2].json()
        for one in (first, second):
            assert one.store is not None
            assert [message.data async for message in one.store] == [b"hello"]
            assert one.stats()["messages"] == 1
    assert first.store is None
    with pytest.raises(RuntimeError, match="not running"):
        first.stats()
    with pytest.raises(RuntimeError, match="not running"):
        await first.ready()
    await first.stop()


async def test_requests_are_answered_by_the_program(engine: Callable[..., Made]) -> None:
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    going = asyncio.Event()
    asked = asyncio.Event()

    async def wait(params: dict[str, Any]) -> tuple[int, object]:
        asked.set()
        await going.wait()
        return 403, params["text"]

    async def fail(_: dict[str, Any]) -> tuple[int, object]:
        raise ZeroDivisionError

    one, own = engine(keeps_messages=False, answers={"wait": wait, "fail": fail})
    async with one:
        one.set_network(network({**own, "swarm_id": UNASSIGNED}))
        waiting = asyncio.create_task(one.request("wait", {"text": "not for you"}))
        await asked.wait()
        assert (await one.request("fail", {})).status == 500
        assert [type(failure) for failure in failures] == [ZeroDivisionError]
        assert (await one.request("store", store_params())).status == 421
        assert not waiting.done()
        going.set()
        answer = await waiting
        assert (answer.status, answer.body) == (403, b"not for you")


async def test_membership_is_followed(engine: Callable[..., Made]) -> None:
    one, own = engine()

    async def membership() -> AsyncIterator[Network]:
        for height in (3, 4):
            yield {**network(own), "height": height}

    async with one:
        await one.follow(membership())
        assert one.stats()["height"] == 4


async def test_whoever_waits_when_it_stops_is_told(engine: Callable[..., Made]) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(_: dict[str, Any]) -> tuple[int, object]:
        asked.set()
        await go.wait()
        return 200, {}

    one, own = engine(answers={"slow": slow})
    await one.start()
    one.set_network(network(own))
    asking = asyncio.create_task(one.request("slow", {}))
    await asked.wait()
    one.set_network(network())
    unready = asyncio.create_task(one.ready())
    await asyncio.sleep(0)
    # Its own store, closed before it by the program.
    assert one.store is not None
    await one.store.close()
    stopping = asyncio.create_task(one.stop())
    with pytest.raises(RuntimeError, match="was stopped"):
        await unready
    # What was under way is finished before the end.
    go.set()
    await stopping
    assert (await asking).status == 200
    # As good as new, also in another event loop.
    async with one:
        one.set_network(network(own))
        await one.ready()


async def test_a_start_that_is_cancelled_leaves_nothing(engine: Callable[..., Made]) -> None:
    one, own = engine()
    starting = asyncio.create_task(one.start())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="is running"):
        await one.start()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    async with one:
        one.set_network(network(own))
        assert (await one.request("info", {})).status == 200


def threads_and_files() -> list[int]:
    return [len([*Path("/proc/self", what).iterdir()]) for what in ("task", "fd")]


async def test_engines_leave_no_threads_and_no_files(engine: Callable[..., Made]) -> None:
    one, own = engine()

    async def life() -> list[int]:
        async with one:
            one.set_network(network(own))
            await one.ready()
            assert (await one.request("store", store_params())).status == 200
        return threads_and_files()

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    lives = [await life() for _ in range(30)]
    # Some end a little later; one that stayed of each would make twenty more.
    left = [min(counts) for counts in zip(*lives[-10:], strict=True)]
    assert all(now < was + 10 for was, now in zip(lives[0], left, strict=True)), lives


async def test_what_is_no_network_is_refused(engine: Callable[..., Made]) -> None:
    one, own = engine()
    good: Any = network(own)
    missing: Any = {"block_hash": "", "hardfork": (19, 4), "nodes": [own]}
    async with one:
        one.set_network(good)
        for name, bad in {
            "height": missing,
            "height of the network": {**good, "height": -1},
            "block_hash": {**good, "block_hash": b""},
            "hardfork": {**good, "hardfork": (1, 2, 3)},
            "nodes": {**good, "nodes": None},
            "nodes of the network": {**good, "nodes": ["node"]},
            "pubkey_x25519": {**good, "nodes": [{**own, "pubkey_x25519": "zz"}]},
            "https_port": {**good, "nodes": [{**own, "https_port": 65536}]},
        }.items():
            with pytest.raises(ValueError, match=name):
                one.set_network(bad)
        with pytest.raises(ValueError, match="height"):
            one.set_network([])  # type: ignore[arg-type]
        assert one.stats()["nodes"] == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"https_port": 65536}, "out of range"),
        ({"worker_threads": -1}, "out of range"),
        ({"worker_threads": 1 << 40}, "at most 1024"),
        ({"durability": "perhaps"}, "sync or async"),
        ({"rate_limit": (1,)}, "length 2"),
    ],
)
async def test_an_engine_says_what_to_change(engine: Callable[..., Made], options: Any, words: str) -> None:
    one, _ = engine(**options)
    with pytest.raises(ValueError, match=words):
        await one.start()


async def test_a_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    one = Engine(tmp_path / "file", ed25519_seed=SEED, legacy_pubkey=SEED, bind_ip="127.0.0.1")
    with pytest.raises(OSError, match=str(tmp_path / "file")):
        await one.start()


#: A process that forks while an engine and a store run in it: what the child may not do, and that it ends.
FORK = """
import asyncio, os, sys
from allium import Engine, Store

directory, *free = sys.argv[1:]

def made(name, https_port, omq_port):
    ports = {"https_port": int(https_port), "omq_port": int(omq_port)}
    return Engine(f"{directory}/{name}", ed25519_seed=bytes(32), legacy_pubkey=bytes(32), bind_ip="127.0.0.1", **ports)

async def child(engine, store):
    for waiting in (engine.request("info", {}), engine.ready(), engine.stop(), store.count(), store.close()):
        try:
            await waiting
        except RuntimeError as error:
            assert "forked" in str(error), error
        else:
            raise AssertionError(waiting)
    async with made("its own", *free[2:]) as another:
        assert (await another.request("info", {})).status == 503
    # Nobody waits for threads that are not there.
    engine._native = engine._store = store._store = None

async def parent():
    async with made("one", *free[:2]) as engine, Store(f"{directory}/store") as store:
        await store.put("05" + "07" * 32, b"before")
        if (pid := os.fork()) == 0:
            try:
                asyncio.run(child(engine, store))
                os._exit(7)
            finally:
                os._exit(1)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        assert (await store.count())[0] == 1
        return os.waitstatus_to_exitcode(status)

print(asyncio.run(parent()))
"""


def test_a_fork_is_told_that_it_is_one(tmp_path: Path) -> None:
    with ports.reserve(4) as free:
        command = [sys.executable, "-c", FORK, str(tmp_path), *map(str, free)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert (done.stdout, done.stderr) == ("7\n", "")


#: A process that forks when it has had streams over QUIC.
STREAMS = """
import os, threading
from allium import _native, node_keys

SEED = bytes(32)

def once():
    taken, there = [], threading.Event()
    listener = _native.QuicListener("127.0.0.1", 0, SEED, "test")
    listener.accept(lambda *outcome: (taken.append(outcome), there.set()))
    connection = _native.QuicConnection("127.0.0.1", listener.port, node_keys(SEED).ed25519, SEED, "test", 60.0)
    connection.open().write(b"hello", 60.0, lambda *_: None)
    there.wait()
    assert taken[0][0] is None, taken

once()
if os.fork() == 0:
    try:
        once()
        os._exit(7)
    finally:
        os._exit(1)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_fork_has_streams_of_its_own() -> None:
    command = [sys.executable, "-c", STREAMS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert (done.stdout, done.stderr) == ("7\n", "")


def test_layers_are_opened_and_answered() -> None:
    here = (KEYS.ed25519, KEYS.x25519)
    body = b'{"method":"info","params":{}}'
    payload, key = onion_build([], here, body, "xchacha20")
    onwards, _ = onion_build([here], (bytes([3]) * 32, KEYS.x25519), body)
    stranger, _ = onion_build([], (KEYS.ed25519, node_keys(bytes([9]) * 32).x25519), body)
    opened, relayed, foreign, broken = peel_batch(KEYS.x25519_secret, [payload, onwards, stranger, b"\1"])
    assert (opened.kind, opened.body, opened.json, opened.base64) == ("final", body, False, True)
    assert (relayed.kind, relayed.destination, relayed.server) == ("relay", bytes([3]) * 32, None)
    assert relayed.body.startswith(b"d4:data")
    assert (foreign.kind, broken.kind) == ("ciphertext", "malformed")
    assert broken.body == b"Error parsing onion request: Unexpected payload size; expected ciphertext size"
    assert key.open(opened.seal(b"done")) == b"done"
    assert key.open(opened.seal(b"done", base64=False), base64=False) == b"done"
    with pytest.raises(ValueError, match="did not open"):
        foreign.seal(b"")
    assert peel(KEYS.x25519_secret, payload).kind == "final"
