"""A push server beside a devnet: what is stored wakes a browser, whatever nodes, swarms and processes do."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from allium.devnet import ports
from allium.operate import admin
from allium.push.monitor import Monitor
from allium.push.payload import Message
from allium.push.subscription import parse_subscription
from tests.support import wire
from tests.support.command import allium
from tests.support.devnet import Devnet, up
from tests.support.file_server import through_layer
from tests.support.push_client import Device
from tests.support.push_services import CONTACT, PushServices, opened
from tests.support.server_process import ServerUnderTest
from tests.support.waiting import await_that


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """Two swarms, of which every member tells."""
    with up(tmp_path_factory.mktemp("net"), "--nodes", "6", "--swarm-size", "3") as made:
        yield made


@pytest_asyncio.fixture
async def services(tmp_path: Path) -> AsyncIterator[PushServices]:
    async with PushServices(tmp_path) as made:
        yield made


@pytest.fixture
def server(net: Devnet, services: PushServices, tmp_path: Path) -> Iterator[ServerUnderTest]:
    """One that serves."""
    options = ("--network-file", str(net.directory / "nodes.json"), "--webpush-contact", CONTACT)
    with ports.reserve(1) as [port]:
        made = ServerUnderTest("push", tmp_path, port, *options, **services.settings, swarm_members=2)
        made.start()
        yield made
        made.end()


def numbers(server: ServerUnderTest) -> dict[str, float]:
    told: dict[str, float] = admin.status(server.directory)["push"]
    return told


async def monitored(server: ServerUnderTest, at_least: int) -> None:
    """Waits until nodes have taken so many subscriptions."""
    await asyncio.to_thread(await_that, "nodes are subscribed to", lambda: numbers(server)["monitored"] >= at_least)


def members(net: Devnet, account: str) -> list[dict[str, Any]]:
    """The account's swarm, of nodes that answer."""
    for node in net.nodes:
        try:
            reply = wire.rpc(node, "get_swarm", {"pubkey": account}, timeout=10)
            told = reply.json() if reply.status == 200 else {}
        except OSError:
            continue
        if not told.get("snodes"):
            continue
        keys = {snode["pubkey_ed25519"] for snode in told["snodes"]}
        return [each for each in net.nodes if each["pubkey_ed25519"] in keys]
    raise AssertionError("no node answers")


async def store(node: dict[str, Any], user: wire.User, data: bytes) -> None:
    stored = await asyncio.to_thread(wire.rpc, node, "store", wire.store_params(user.account_id, data))
    assert stored.status == 200, stored


async def test_a_stored_message_wakes_a_browser(net: Devnet, services: PushServices, server: ServerUnderTest) -> None:
    user = wire.User()
    device = Device(user, "webpush", services.browser("browser"))
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{server.url}/subscribe", json=device.subscription()) as answer:
            assert (answer.status, (await answer.json())["added"]) == (200, True)
        body = json.dumps([device.subscription()]).encode()
        sealed = await through_layer(http, server, "POST", "/subscribe", body=body)
        assert (sealed.code, [one["updated"] for one in sealed.json()]) == (200, [True])
        async with http.post(f"{server.url}/subscribe", data=b"x" * 100_001) as answer:
            assert await answer.json() == {
                "success": False,
                "error": 1,
                "message": "Invalid request: request too large",
            }
        async with http.post(f"{server.url}/subscribe") as answer:
            assert (await answer.json())["message"] == "Invalid request: request body missing"
        for method, path, status in (("GET", "/subscribe", 405), ("POST", "/services", 405), ("GET", "/x", 404)):
            async with http.request(method, f"{server.url}{path}") as answer:
                assert answer.status == status
    await monitored(server, 2)
    swarm = await asyncio.to_thread(members, net, user.account_id)
    for data in (b"first", b"second"):
        await store(swarm[0], user, data)
        about, got = opened((await services.next()).payload, device.enc_key)
        assert (got, about["@"]) == (data, user.account_id)
    # Two members have told of it.
    await asyncio.to_thread(await_that, "the queue is empty", lambda: numbers(server)["queued"] == 0)
    assert services.received.empty() and numbers(server)["messages_total"] == 2
    done = await asyncio.to_thread(allium, "status", "--data-dir", str(server.directory))
    assert done.returncode == 0 and "push server" in done.stdout and "2 of 2 connected to" in done.stdout, done.stdout
    done = await asyncio.to_thread(allium, "doctor", "--data-dir", str(server.directory))
    assert "webpush" not in server.log and "Traceback" not in server.log


async def test_it_goes_on_after_a_kill(net: Devnet, services: PushServices, server: ServerUnderTest) -> None:
    user = wire.User()
    device = Device(user, "unifiedpush", services.browser("phone"))
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{server.url}/subscribe", json=device.subscription()) as told,
    ):
        assert (await told.json())["success"] is True
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    # The signature is the one that the client gave.
    await monitored(server, 2)
    swarm = await asyncio.to_thread(members, net, user.account_id)
    services.will_answer("phone", 503, {"Retry-After": "1"})
    await store(swarm[-1], user, b"news")
    waits = "the queue has it"
    await asyncio.to_thread(await_that, waits, lambda: numbers(server).get("attempts_total", 0) >= 1)
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    assert opened((await services.next()).payload, device.enc_key)[1] == b"news"
    await asyncio.to_thread(server.stop)


async def test_a_member_that_dies_and_a_swarm_that_changes(
    net: Devnet, services: PushServices, server: ServerUnderTest
) -> None:
    user = wire.User()
    device = Device(user, "webpush", services.browser("browser"))
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{server.url}/subscribe", json=device.subscription()) as told,
    ):
        assert (await told.json())["success"] is True
    await monitored(server, 2)
    swarm = await asyncio.to_thread(members, net, user.account_id)
    # The first of those that tell.
    dies, *live = sorted(swarm, key=lambda node: node["pubkey_ed25519"])
    keys = [node["pubkey_ed25519"] for node in net.nodes]
    index = keys.index(dies["pubkey_ed25519"])
    await asyncio.to_thread(net.run, "kill", str(index))
    await store(live[0], user, b"without it")
    assert opened((await services.next()).payload, device.enc_key)[1] == b"without it"
    await asyncio.to_thread(net.run, "start", str(index))
    await monitored(server, 3)
    # All that had the account leave, and it is another swarm's, whose nodes have never heard of it.
    for node in swarm:
        await asyncio.to_thread(net.run, "remove", str(keys.index(node["pubkey_ed25519"])))
    gone = {node["pubkey_ed25519"] for node in swarm}

    def left() -> list[dict[str, Any]]:
        found = members(net, user.account_id)
        return [] if gone & {node["pubkey_ed25519"] for node in found} else found

    await asyncio.to_thread(await_that, "the nodes know", lambda: bool(left()))
    for number in range(40):
        await store((await asyncio.to_thread(left))[0], user, b"after it %d" % number)
        try:
            got = await services.next(1)
        except TimeoutError:
            # The server hears of it when it does; what came before that is lost to it.
            continue
        body = opened(got.payload, device.enc_key)[1]
        assert body is not None and body.startswith(b"after it")
        break
    else:
        raise AssertionError("nothing comes any more")
    assert numbers(server)["nodes_connected"] == 2


async def test_subscriptions_are_renewed_and_what_nodes_send_is_checked(net: Devnet) -> None:
    user = wire.User()
    device = Device(user, "firebase", {"token": "t"})
    subscription = parse_subscription(device.subscription(), time.time(), {"firebase": False})
    told: asyncio.Queue[Message] = asyncio.Queue()
    monitor = Monitor(lambda _: [subscription], told.put_nowait, members=1, renew_seconds=0.2)
    current = {
        "height": 1,
        "block_hash": "",
        "hardfork": (19, 4),
        "nodes": json.loads((net.directory / "nodes.json").read_text())["nodes"],
    }

    async def networks() -> AsyncIterator[Any]:
        yield current
        await asyncio.Event().wait()

    account = bytes.fromhex(user.account_id)
    running = asyncio.create_task(monitor.run(networks(), [account]))
    await asyncio.to_thread(await_that, "it is renewed", lambda: monitor.counts.made >= 3)
    await monitor.add(account)
    swarm = await asyncio.to_thread(members, net, user.account_id)
    await store(swarm[0], user, b"hello")
    got = await asyncio.wait_for(told.get(), 40)
    assert (got.account, got.data, monitor.swarms, monitor.wanted) == (account, b"hello", 1, 1)
    for parts in (
        [],
        [b""],
        [b"de"],
        [b"le"],
        [b"d" * 1000],
        [b"d1:@i5e1:h1:x1:ni0e1:ti0e1:zi0ee"],
        [b"d1:@33:%b1:h1:x1:n1:a1:ti0e1:zi0ee" % account],
        # Not the hash of its data.
        [b"d1:@33:%b1:h43:%b1:ni0e1:ti0e1:zi0e1:~5:helloe" % (account, b"A" * 43)],
    ):
        monitor._take(parts)
    assert monitor.counts.nonsense == 8 and told.empty()
    await monitor.remove(account)
    assert (monitor.swarms, monitor.wanted) == (0, 0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
