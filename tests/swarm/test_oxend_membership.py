"""What is made of the daemon's lists, hostile ones too, and when a daemon is taken to be behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl import bindings

from allium.base.endpoint import Endpoint
from allium.membership import daemon as rpc
from allium.membership.daemon import Address, Daemon
from allium.membership.omq import OmqError
from allium.membership.oxend import SYNCING_SECONDS, OxendMembership
from allium.settings import keys
from tests.support.oxend import FakeOxend, ipc, stranger

NOWHERE = {"public_ip": "0.0.0.0", "storage_port": 0, "storage_lmq_port": 0}
#: Nobody listens there.
DEAD_SEED = "127.0.0.1:1/" + "ab" * 32


def answer(*states: Any, **changes: Any) -> dict[str, Any]:
    block = {"height": 7, "block_hash": "ab" * 32, "hardfork": 19, "snode_revision": 4}
    return {**block, "service_node_states": list(states), **changes}


def test_a_list_is_read() -> None:
    node = stranger(swarm_id=2**64 - 2)
    told = rpc.read(answer(node, stranger(funded=False)), {})
    assert (told.funded, told.missing) == (1, 0)
    assert told.network == {
        "height": 7,
        "block_hash": "ab" * 32,
        "hardfork": (19, 4),
        "nodes": [
            {
                "pubkey_legacy": node["service_node_pubkey"],
                "pubkey_ed25519": node["pubkey_ed25519"],
                "pubkey_x25519": node["pubkey_x25519"],
                "ip": "127.0.0.1",
                "https_port": 1,
                "omq_port": 1,
                "swarm_id": 2**64 - 2,
                "version": (2, 8, 0),
            }
        ],
    }


def test_an_address_once_known_is_kept() -> None:
    node, addresses = stranger(storage_port=5, storage_lmq_port=6), dict[str, Address]()

    def address(**changes: Any) -> tuple[Any, ...]:
        told = rpc.read(answer({**node, **changes}), addresses)
        [one] = told.network["nodes"]
        return one["ip"], one["https_port"], one["omq_port"], told.missing

    assert address(**NOWHERE) == ("0.0.0.0", 0, 0, 1)
    assert address() == ("127.0.0.1", 5, 6, 0)
    assert address(**NOWHERE) == ("127.0.0.1", 5, 6, 1)
    assert address(storage_port=0) == ("127.0.0.1", 0, 6, 1)
    assert address(public_ip="127.0.0.2") == ("127.0.0.2", 5, 6, 0)
    assert address(**NOWHERE) == ("127.0.0.2", 5, 6, 1)


@pytest.mark.parametrize(
    "broken",
    [
        {"pubkey_ed25519": ""},
        {"pubkey_x25519": "AB" * 32},
        {"service_node_pubkey": None},
        {"swarm_id": -1},
        {"swarm_id": 1.5},
        {"swarm_id": 2**64},
    ],
)
def test_a_node_without_keys_or_swarm_is_left_out_and_counted(broken: dict[str, Any]) -> None:
    told = rpc.read(answer(stranger(**broken), stranger()), {})
    assert (told.funded, told.missing, len(told.network["nodes"])) == (2, 1, 1)


def test_two_nodes_with_one_key_are_not_both_taken() -> None:
    node = stranger()
    told = rpc.read(answer(node, stranger(pubkey_x25519=node["pubkey_x25519"])), {})
    assert (told.missing, len(told.network["nodes"])) == (1, 1)
    told = rpc.read(answer(node, stranger(service_node_pubkey=node["service_node_pubkey"]), stranger()), {})
    assert (told.missing, len(told.network["nodes"])) == (1, 2)


@pytest.mark.parametrize("bad", [None, 7, [], {"funded": True}, stranger(pubkey_x25519="0" * 64)])
def test_a_bad_entry_costs_that_entry(bad: Any) -> None:
    told = rpc.read(answer(stranger(), bad, stranger(storage_port=1e400)), {})
    assert len(told.network["nodes"]) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(sorted(stranger())), JSON), st.dictionaries(st.sampled_from(sorted(answer())), JSON)
)
def test_hostile_lists_are_read_or_refused(of_node: dict[str, Any], of_answer: dict[str, Any]) -> None:
    try:
        told = rpc.read(answer(stranger(**of_node), 5, None, **of_answer), {})
    except OmqError:
        return
    for node in told.network["nodes"]:
        assert 0 <= node["swarm_id"] < 2**64 and 0 <= node["https_port"] < 1 << 16
        assert len(node["version"]) == 3 and len(node["pubkey_legacy"]) == 64


@pytest.mark.parametrize("change", [{"service_node_states": {}}, {"height": "7"}, {"hardfork": None}, {"height": -1}])
def test_what_is_no_list_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(OmqError, match="no states, height or hardfork"):
        rpc.read(answer(**change), {})


class Beside:
    """A daemon, and a membership beside it, whose clock a test moves."""

    def __init__(self, stack: AsyncExitStack, directory: Path, *seeds: str, few_nodes: int = 2) -> None:
        self.now = 0.0
        self.oxend = FakeOxend(ipc(directory))
        self._stack, self._seeds, self._few_nodes = stack, [Endpoint.parse_seed(seed) for seed in seeds], few_nodes

    async def networks(self) -> AsyncIterator[Any]:
        self._stack.enter_context(self.oxend)
        daemon = Daemon(Endpoint(self.oxend.address))
        self.membership = OxendMembership(daemon, self._seeds, self._few_nodes, lambda: self.now)
        await self._stack.enter_async_context(daemon)
        networks = aiter(self.membership)
        await self._stack.enter_async_context(aclosing(networks))  # type: ignore[type-var]
        return networks


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as entered:
        yield entered


def seed_of(port: int, height: int, *states: dict[str, Any]) -> tuple[FakeOxend, str]:
    secret = os.urandom(32)
    seed = FakeOxend(f"tcp://127.0.0.1:{port}", x25519=secret)
    seed.states, seed.height = list(states), height
    return seed, f"127.0.0.1:{port}/{bindings.crypto_scalarmult_base(secret).hex()}"


@pytest.mark.parametrize(
    ("nodes", "missing", "asked"),
    [(99, 0, True), (100, 0, False), (100, 3, False), (100, 4, True), (0, 0, True)],
)
async def test_seeds_are_asked_when_the_list_looks_incomplete(
    stack: AsyncExitStack, tmp_path: Path, free_port: int, nodes: int, missing: int, asked: bool
) -> None:
    seed, place = seed_of(free_port, 5)
    stack.enter_context(seed)
    beside = Beside(stack, tmp_path, place, few_nodes=100)
    beside.oxend.states = [stranger(**(NOWHERE if index < missing else {})) for index in range(nodes)]
    network = await anext(await beside.networks())
    assert len(network["nodes"]) == nodes  # the seed is behind
    assert bool(seed.calls) == asked


async def test_no_daemon_is_behind_for_longer_than_an_hour(
    stack: AsyncExitStack, tmp_path: Path, free_port: int
) -> None:
    seed, place = seed_of(free_port, 2_000)
    stack.enter_context(seed)
    beside = Beside(stack, tmp_path, place, DEAD_SEED)
    beside.oxend.states = [stranger()]
    networks = await beside.networks()
    network = await anext(networks)
    assert network["nodes"] == [] and network["hardfork"] == (19, 4)
    beside.now = SYNCING_SECONDS - 1
    beside.oxend.block(*beside.oxend.states)
    beside.membership.reload()
    network = await anext(networks)
    assert network["nodes"] == [] and network["height"] == 1_001
    beside.now = SYNCING_SECONDS
    beside.membership.reload()
    assert len((await anext(networks))["nodes"]) == 1
    # Nor ever again.
    beside.oxend.block(stranger(), stranger(), height=900)
    beside.membership.reload()
    assert len((await anext(networks))["nodes"]) == 2


async def test_without_a_seed_that_answers_the_daemon_is_believed(stack: AsyncExitStack, tmp_path: Path) -> None:
    beside = Beside(stack, tmp_path, few_nodes=100)
    beside.oxend.states = [stranger()]
    assert len((await anext(await beside.networks()))["nodes"]) == 1


async def test_keys_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    ours, others = keys.generate(), keys.generate()
    mixed = keys.NodeKeys(ours.ed25519_secret[:32] + others.ed25519_public, ours.legacy_secret)
    with FakeOxend(ipc(tmp_path), mixed) as oxend:
        async with Daemon(Endpoint(oxend.address)) as daemon:
            with pytest.raises(OmqError, match="two halves of the Ed25519 key"):
                await daemon.keys()
            oxend.keys = ours
            assert await daemon.keys() == ours
            oxend.answers["admin.get_service_node_privkey"] = [b"403", b"not for you"]
            with pytest.raises(OmqError, match="403 not for you"):
                await daemon.keys()


async def test_requests_fail_at_once_when_the_connection_is_lost(tmp_path: Path) -> None:
    oxend = FakeOxend(ipc(tmp_path))
    async with Daemon(Endpoint(oxend.address)) as daemon:
        with oxend:
            assert await daemon.subscribe_blocks()
            assert not await daemon.subscribe_blocks()
            oxend.silent = True
            asked = asyncio.create_task(daemon.subscribe_blocks())
            await asyncio.to_thread(oxend.wait_for, "sub.block", since=2)
        with pytest.raises(OmqError, match="the connection was lost"):
            await asked
        oxend.silent = False
        with pytest.raises(OmqError, match=r"no connection within 0\.2 s"):
            await daemon.request("sub.block", timeout=0.2)
        with oxend:
            assert await daemon.subscribe_blocks()


@pytest.mark.parametrize("text", ["", "host/" + "ab" * 32, "host:0/" + "ab" * 32, "host:1/" + "zz" * 32, "host:1/ab"])
def test_seeds_are_named_with_port_and_key(text: str) -> None:
    with pytest.raises(ValueError, match="hex"):
        Endpoint.parse_seed(text)
