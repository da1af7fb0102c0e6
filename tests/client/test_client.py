"""The client against a real network, and its bookkeeping of nodes and paths."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path as FilePath
from typing import Any

import pytest
from aiohttp import web

from allium.client import Account, Client, NetworkError, Path, Paths, RefusedError, Snode, SnodePool, State, network
from allium.client.pool import STRIKES, parse_states
from allium.client.session_pb2 import Content
from allium.client.transport import Transport
from tests.support import wire
from tests.support.command import allium
from tests.support.devnet import Devnet


def snode(index: int, ip: str = "127.0.0.1") -> Snode:
    return Snode(ip, 1000 + index, bytes([index]) * 32, bytes([index + 100]) * 32)


async def test_text_travels_and_is_read_once(shared_devnet: Devnet) -> None:
    seeds = [shared_devnet.network["seed_url"]]
    alice_account, bob_account = Account.new(), Account.new()
    async with Client(alice_account, seeds) as alice, Client(bob_account, seeds) as bob:
        sent = await alice.send_text(bob_account.account_id.upper(), "hello", display_name="Alice")
        assert len({node.ed25519 for node in (*sent.path, sent.destination)}) == 4
        assert len(sent.confirmations) == 5
        assert all(confirmation.verified and confirmation.failure is None for confirmation in sent.confirmations)
        [message] = (await bob.poll()).messages
        assert (message.hash, message.sender, message.text) == (sent.hash, alice_account.account_id, "hello")
        assert (message.recipient, message.display_name) == (bob_account.account_id, "Alice")
        assert message.timestamp == sent.timestamp
        for _ in range(6):  # every node of the swarm, and one of them again
            assert (await bob.poll()).messages == ()
        # What Alice sent is known to her; another device of hers reads the copy.
        assert (await alice.poll()).messages == ()
        async with Client(alice_account, seeds) as other_device:
            [copy] = (await other_device.poll()).messages
        assert (copy.sender, copy.recipient, copy.text) == (alice_account.account_id, bob_account.account_id, "hello")
        assert copy.timestamp == sent.timestamp


async def test_note_to_self(shared_devnet: Devnet) -> None:
    account = Account.new()
    async with Client(account, [shared_devnet.network["seed_url"]]) as client:
        await client.send_text(account.account_id, "remember")
        [message] = (await client.poll()).messages
        assert (message.sender, message.recipient) == (account.account_id, account.account_id)


async def test_a_long_inbox_comes_in_order(shared_devnet: Devnet) -> None:
    seeds = [shared_devnet.network["seed_url"]]
    account = Account.new()
    async with Client(Account.new(), seeds) as sender, Client(account, seeds) as receiver:
        for number in range(3):
            await sender.send_text(account.account_id, str(number), sync=False)
        # Bytes that are no message, as anyone may store them.
        members = await receiver.network.swarm(account.account_id)
        node = {"ip": members[0].ip, "https_port": members[0].port}
        for number in range(120):
            params = wire.store_params(account.account_id, f"junk {number}".encode())
            reply = await asyncio.to_thread(wire.rpc, node, "store", params)
            assert reply.status == 200
        await sender.send_text(account.account_id, "3", sync=False)
        assert [message.text for message in (await receiver.poll()).messages] == ["0", "1", "2", "3"]


async def test_state_outlives_the_client(shared_devnet: Devnet, tmp_path: FilePath) -> None:
    seeds = [shared_devnet.network["seed_url"]]
    account, file = Account.new(), tmp_path / "deep" / "state.json"
    async with Client(account, seeds, State.load(file)) as client:
        await client.send_text(account.account_id, "once")
        assert len((await client.poll()).messages) == 1
        guards = {path.guard.ed25519 for path in client.paths.paths}
    assert file.stat().st_mode & 0o777 == 0o600
    # The nodes are known, so no seed is needed.
    async with Client(account, ["http://127.0.0.1:9"], State.load(file)) as client:
        assert (await client.poll()).messages == ()
        # One of them may have been the destination.
        assert guards & {path.guard.ed25519 for path in client.paths.paths}
    file.write_text("{")
    assert State.load(file) == State(file)


async def test_refusals_reach_the_caller(shared_devnet: Devnet) -> None:
    async with Client(Account.new(), [shared_devnet.network["seed_url"]]) as client:
        for bad in ("", "x" * 2001):
            with pytest.raises(ValueError, match="1 to 2000"):
                await client.send_text(client.account.account_id, bad)
        with pytest.raises(ValueError, match="Account ID"):
            await client.send_text("03" + "00" * 32, "hello")
        await client.network.refresh()
        [node, *_] = client.pool.nodes
        with pytest.raises(RefusedError) as refused:
            await client.network.request(node, "get_swarm", {"pubkey": "nobody"})
        assert refused.value.status == 400


async def test_dead_nodes_are_worked_around(devnet: Devnet) -> None:
    seeds = [devnet.network["seed_url"]]
    account = Account.new()
    async with Client(account, seeds) as client:
        await client.send_text(account.account_id, "before")
        members = {node.ed25519.hex() for node in await client.network.swarm(account.account_id)}
        indices = [i for i, node in enumerate(devnet.nodes) if node["pubkey_ed25519"] in members]
        for index in indices[:2]:
            await asyncio.to_thread(devnet.run, "kill", str(index))
        sent = await client.send_text(account.account_id, "after")
        assert sum(confirmation.verified for confirmation in sent.confirmations) == 3
        assert sum(confirmation.failure is not None for confirmation in sent.confirmations) == 2
        received: list[str] = []
        for _ in range(5):
            received += [message.text for message in (await client.poll()).messages]
        assert received == ["before", "after"]


async def test_swarm_is_learnt_anew_after_421(shared_devnet: Devnet) -> None:
    account = Account.new()
    async with Client(account, [shared_devnet.network["seed_url"]]) as client:
        right = {node.ed25519 for node in await client.network.swarm(account.account_id)}
        wrong = [node.ed25519 for node in client.pool.nodes if node.ed25519 not in right]
        client.network._swarms[account.account_id] = wrong[:5]
        sent = await client.send_text(account.account_id, "found")
        assert sent.destination.ed25519 in right


async def test_no_seed_answers() -> None:
    async with Transport() as transport:
        pool = SnodePool(["http://127.0.0.1:9"], transport)
        fetching = asyncio.create_task(pool.ensure())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fetching, 0.5)  # it tries again for 7 s


async def test_first_seed_that_answers_wins(unused_tcp_port: int) -> None:
    async def states(request: web.Request) -> web.Response:
        call = json.loads(await request.read())
        assert call["method"] == "get_n_service_nodes" and call["params"]["fields"]["public_ip"] is True
        good = {"public_ip": "192.0.2.1", "storage_port": 1, "pubkey_ed25519": "01" * 32, "pubkey_x25519": "02" * 32}
        return web.json_response({"result": {"service_node_states": [good, {**good, "public_ip": "0.0.0.0"}, {}]}})

    app = web.Application()
    app.router.add_post("/json_rpc", states)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    try:
        async with Transport() as transport:
            for end in ("", "/", "/json_rpc", "/json_rpc/"):
                pool = SnodePool(["http://127.0.0.1:9/", f"http://127.0.0.1:{unused_tcp_port}{end}"], transport)
                await pool.ensure()
                assert pool.nodes == [Snode("192.0.2.1", 1, b"\1" * 32, b"\2" * 32)]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("answer", [None, [], {}, {"result": None}, {"result": {"service_node_states": [1]}}])
def test_unusable_lists_are_refused(answer: Any) -> None:
    with pytest.raises(ValueError, match="not a list"):
        parse_states(answer)


GOOD = {"public_ip": "192.0.2.1", "storage_port": 1, "pubkey_ed25519": "01" * 32, "pubkey_x25519": "02" * 32}


@pytest.mark.parametrize(
    "bad",
    [
        None,
        1,
        [],
        {},
        {**GOOD, "public_ip": "2001:db8::1"},
        {**GOOD, "public_ip": 1},
        {**GOOD, "storage_port": 1e400},
        {**GOOD, "storage_port": None},
        {**GOOD, "pubkey_ed25519": "0" * 64},
        {**GOOD, "pubkey_x25519": 5},
        {**GOOD, "pubkey_ed25519": "03" * 32},
        {name: value for name, value in GOOD.items() if name != "storage_port"},
    ],
)
def test_a_bad_entry_of_an_answer_costs_that_entry(bad: Any) -> None:
    other = {**GOOD, "pubkey_ed25519": "04" * 32, "pubkey_x25519": "05" * 32}
    expected = [Snode("192.0.2.1", 1, bytes([n]) * 32, bytes([n + 1]) * 32) for n in (1, 4)]
    assert parse_states({"result": {"service_node_states": [GOOD, bad, other]}}) == expected
    swarm = [{**entry, "ip": entry["public_ip"], "port": entry["storage_port"]} for entry in (GOOD, other)]
    assert network.members_in({"snodes": [swarm[0], bad, swarm[1]]}) == expected


async def test_strikes_drop_a_node_and_mend_its_path() -> None:
    async with Transport() as transport:
        pool = SnodePool(["http://127.0.0.1:9"], transport, [snode(i) for i in range(8)])
        paths = Paths(pool, transport, Account.new().account_id)
        path = Path([snode(0), snode(1), snode(2)])
        paths._paths.append(path)
        for _ in range(STRIKES - 1):
            pool.strike(snode(1))
        assert path.nodes[1] == snode(1)
        pool.strike(snode(1))
        assert snode(1) not in pool
        assert path.nodes[0] == snode(0) and path.nodes[2] == snode(2)
        assert path.nodes[1] in pool and path.nodes[1] not in (snode(0), snode(2))
        pool.drop(snode(0))
        assert paths.paths == []


async def test_a_path_that_fails_three_times_goes() -> None:
    async with Transport() as transport:
        pool = SnodePool(["http://127.0.0.1:9"], transport, [snode(i) for i in range(3)])
        paths = Paths(pool, transport, Account.new().account_id)
        path = Path([snode(0), snode(1), snode(2)])
        paths._paths.append(path)
        paths.failed(path)
        paths.failed(path)
        assert paths.paths == [path]
        paths.failed(path)
        assert paths.paths == []


async def test_one_node_per_subnet_outside_loopback() -> None:
    async with Transport() as transport:
        nodes = [snode(i, f"192.0.2.{i}") for i in range(5)] + [snode(9, "198.51.100.1")]
        paths = Paths(SnodePool(["http://127.0.0.1:9"], transport, nodes), transport, Account.new().account_id)
        chosen = paths._choose(5, [], [])
        assert len(chosen) == 2 and len({node.subnet for node in chosen}) == 2


async def test_too_few_nodes_for_a_path() -> None:
    async with Transport() as transport:
        pool = SnodePool(["http://127.0.0.1:9"], transport, [snode(0)])
        with pytest.raises(NetworkError, match="no path"):
            await Paths(pool, transport, Account.new().account_id).get(snode(0))


async def _send_dated(seed: str, phrase: str, recipient: str, contents: list[tuple[str, int]]) -> None:
    """Stores texts that say that they are of another time (0: now)."""
    async with Client(Account.from_phrase(phrase), [seed]) as client:
        for text, timestamp in contents:
            content = Content()
            content.dataMessage.body = text
            await client._store(recipient, content, timestamp or None)


def test_command_line(shared_devnet: Devnet, tmp_path: FilePath) -> None:
    seed = shared_devnet.network["seed_url"]
    alice, bob = str(tmp_path / "alice"), str(tmp_path / "bob")
    created = shared_devnet.allium("account", "new", "--account", bob)
    phrase = created.split("Recovery phrase")[1].strip()
    bob_id = created.split("Account ID")[1].split()[0]
    assert Account.from_phrase(phrase).account_id == bob_id
    assert FilePath(bob).stat().st_mode & 0o777 == 0o600
    alice_id = shared_devnet.allium("account", "new", "--account", alice).split("Account ID")[1].split()[0]
    assert "signed" in shared_devnet.allium(
        "send", bob_id, "from the shell \x1b[31m", "--seed", seed, "--account", alice
    )
    inbox = shared_devnet.allium("inbox", "--seed", seed, "--account", bob)
    assert "from the shell" in inbox and "\x1b" not in inbox
    assert "from the shell" not in shared_devnet.allium("inbox", "--seed", seed, "--account", bob)
    # A time that is on no calendar, a terminal that knows but ASCII, readers that go, places that cannot be written.
    seeds, others = ("--seed", seed), ("--account", bob)
    contents = [("first", 0), ("from the far future", 2**63 - 1), ("→ last", 0)]
    asyncio.run(_send_dated(seed, FilePath(alice).read_text(), bob_id, contents))
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    with FilePath("/dev/full").open("wb") as full:
        assert allium("inbox", *seeds, *others, stdout=full, env=ascii_only).returncode == 1
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        assert allium("inbox", *seeds, *others, stdout=closed).returncode == 141
    shown = allium("inbox", *seeds, *others, env=ascii_only)
    assert shown.returncode == 0, shown
    assert all(text in shown.stdout for text in ("first", "far future", "\\u2192 last")), shown
    assert "nothing new" in allium("inbox", *seeds, *others).stderr
    # What is stored is sent, whether or not that can be shown or remembered.
    nowhere = ("--state", "/proc/no/such/state")
    with FilePath("/dev/full").open("wb") as full:
        sent = allium("send", bob_id, "stored", *seeds, "--account", alice, *nowhere, stdout=full, env=ascii_only)
    assert sent.returncode == 0 and "stored" in sent.stderr, sent
    unmarked = allium("inbox", *seeds, *others, *nowhere)
    assert unmarked.returncode == 1 and "stored" in unmarked.stdout and "--state" in unmarked.stderr, unmarked
    elsewhere = ("--state", str(tmp_path / "elsewhere" / "state"))
    assert "stored" in allium("inbox", *seeds, *others, *elsewhere).stdout
    assert "nothing new" in allium("inbox", *seeds, *others, *elsewhere).stderr
    # Whoever follows is told at once, and may be stopped at any time.
    assert allium("inbox", *seeds, *others).returncode == 0
    following = [sys.executable, "-m", "allium", "inbox", "--follow", *seeds, *others]
    with subprocess.Popen(following, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert allium("send", bob_id, "are you there?", *seeds, "--account", alice).returncode == 0
        assert process.stdout is not None and process.stderr is not None
        assert alice_id in process.stdout.readline() and "are you there?" in process.stdout.readline()
        process.terminate()
        assert process.wait(30) == 143 and not process.stderr.read()
    restored = str(tmp_path / "restored")
    assert bob_id in shared_devnet.allium("account", "restore", "--phrase", phrase, "--account", restored)
    assert bob_id in shared_devnet.allium("account", "show", "--qr", "--account", restored)
