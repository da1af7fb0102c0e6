"""A node's view of a real EVM chain, over providers that fail in every way there is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from web3 import AsyncHTTPProvider, AsyncWeb3, HTTPProvider, Web3
from web3.types import RPCEndpoint

from allium._native import BlsSecretKey
from allium.appchain.events import ExitRequest, Registration
from allium.appchain.input import Input, Observation
from allium.appchain.machine import apply
from allium.appchain.parameters import devnet
from allium.appchain.state import genesis
from allium.appchain.types import Address, Height, L2Height, PublicKey, Seconds
from allium.consensus.solo import Listen, Sequencer
from allium.consensus.store import BlockStore
from allium.devnet import anvil, ports, stakes
from allium.errors import ConsensusError, NotFinalError
from allium.settings import keys
from allium.staking.addresses import Addresses
from allium.staking.follower import Contracts, EventFollower, FinalityError
from allium.staking.provider_quorum import ProviderQuorum
from tests.support.rpc_proxy import Provider, refusing, saying

_OPTIONS = ["--slots-in-an-epoch", "1"]
START = L2Height(0)


@pytest.fixture(scope="module")
def staked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, stakes.Staked]]:
    """A chain with two nodes; the second has two contributors and a fee. Nobody makes blocks but the tests."""
    with anvil.running(tmp_path_factory.mktemp("follower") / "anvil.log", _OPTIONS) as local:
        nodes = [(keys.generate(), BlsSecretKey.random()) for _ in range(2)]
        made = asyncio.run(stakes.stake(local.url, anvil.account(0), nodes, None, lambda _: None))
        asyncio.run(stakes.mine(local.url, 40))
        yield local.url, made


def contracts(addresses: Addresses) -> Contracts:
    raw = [Address(bytes.fromhex(address[2:])) for address in (addresses.rewards, addresses.pool)]
    return Contracts(addresses.chain_id, *raw)


class Bench:
    """Three providers before one chain, and who follows it through them."""

    def __init__(self, providers: list[Provider], staked: stakes.Staked, upstream: str) -> None:
        self.providers, self.staked, self.upstream = providers, staked, upstream
        self.made: list[EventFollower] = []

    def panel(self, count: int = 3, quorum: int | None = None) -> ProviderQuorum:
        return ProviderQuorum([provider.url for provider in self.providers[:count]], quorum)

    def follower(self, panel: ProviderQuorum | None = None, **options: Any) -> EventFollower:
        self.made.append(EventFollower(panel or self.panel(), contracts(self.staked.addresses), **options))
        return self.made[-1]

    async def rpc(self, method: str, *params: Any) -> Any:
        w3: AsyncWeb3[Any] = AsyncWeb3(AsyncHTTPProvider(self.upstream))
        try:
            return (await w3.provider.make_request(RPCEndpoint(method), list(params)))["result"]
        finally:
            await w3.provider.disconnect()


@contextlib.asynccontextmanager
async def benched(url: str, made: stakes.Staked) -> AsyncIterator[Bench]:
    providers = [await Provider(url).start() for _ in range(3)]
    bench = Bench(providers, made, url)
    try:
        yield bench
    finally:
        for follower in bench.made:
            await follower.close()
        for provider in providers:
            await provider.stop()


@pytest.fixture
async def bench(staked: tuple[str, stakes.Staked]) -> AsyncIterator[Bench]:
    async with benched(*staked) as made:
        yield made


async def truth(bench: Bench) -> Observation:
    return await bench.follower().observe(START)


async def test_events_become_a_network(bench: Bench) -> None:
    seen = await truth(bench)
    one, two = seen.events
    assert isinstance(one, Registration) and isinstance(two, Registration)
    stakers = [[staker.amount for staker in stake.stakers] for stake in bench.staked.stakes]
    assert [[c.amount for c in each.contributors] for each in (one, two)] == stakers
    assert [len(parts) for parts in stakers] == [1, 2] and (one.fee, two.fee) == (0, 1000)
    assert seen.reward_rate > 0
    assert seen.l2_hash.hex() == (await bench.rpc("eth_getBlockByNumber", hex(seen.l2_height), False))["hash"][2:]
    newest = int(await bench.rpc("eth_blockNumber"), 16)
    assert seen.l2_height == newest - 2, "anvil's finalized block"

    addresses = bench.staked.addresses
    rules = devnet(addresses.chain_id, Address(bytes.fromhex(addresses.rewards[2:])), START)
    state = apply(genesis(rules), Input(Height(1), Seconds(1), seen, ()))
    assert len(state.nodes) == 2 and [note.text for note in state.notes] == ["registered", "registered"]


async def test_two_heights_have_one_answer(bench: Bench) -> None:
    seen = await truth(bench)
    first, second = seen.events
    middle = L2Height(first.position.l2_height)
    assert middle < second.position.l2_height
    follower = bench.follower()
    before = await follower.observe(START, middle)
    after = await follower.observe(middle, seen.l2_height)
    assert (before.events, after.events) == ((first,), (second,))
    assert before.events + after.events == seen.events and replace(after, events=seen.events) == seen
    again = await follower.observe(seen.l2_height)
    assert again.events == () and again.l2_height == seen.l2_height
    with pytest.raises(NotFinalError, match=f"{seen.l2_height + 1} is asked for"):
        await follower.observe(seen.l2_height, L2Height(seen.l2_height + 1))


async def test_the_final_height_stays_while_providers_are_asked_again(bench: Bench) -> None:
    """Whoever looks in between, or when nobody answers, sees the last answer and not the beginning of the chain."""
    follower = bench.follower()
    assert follower.final == 0
    seen = await follower.observe(START)
    told: list[int] = []

    def look(method: str, params: list[Any]) -> Any:
        told.append(follower.final)

    for provider in bench.providers:
        provider.meddle = look
    await follower.observe(START)
    assert len(told) > 3 and set(told) == {seen.l2_height}
    for provider in bench.providers:
        provider.meddle = saying(b"", 500)
    with pytest.raises(NotFinalError):
        await follower.observe(START)
    assert follower.final == seen.l2_height


async def test_what_is_final_is_looked_at_in_strides(bench: Bench) -> None:
    seen = await truth(bench)
    stride = 7
    follower = bench.follower(stride=stride)
    strided = await follower.observe(START)
    assert strided.l2_height == seen.l2_height - seen.l2_height % stride
    # Nothing new until there is another multiple.
    again = await follower.observe(strided.l2_height)
    assert (again.l2_height, again.l2_hash, again.events) == (strided.l2_height, strided.l2_hash, ())
    # However often it came to nothing, the next multiple is in reach.
    patient = bench.follower(stride=stride, log_blocks=1)
    for provider in bench.providers:
        provider.meddle = lambda method, params: {"error": {"code": -1}} if method == "eth_getLogs" else None
    for _ in range(14):
        with pytest.raises(NotFinalError):
            await patient.observe(START)
    for provider in bench.providers:
        provider.meddle = lambda method, params: None
    assert (await patient.observe(START)).l2_height == stride
    upto = L2Height(strided.l2_height - 1)
    assert (await follower.observe(START, upto)).l2_height == upto


async def test_ranges_are_split_to_what_a_provider_gives(bench: Bench) -> None:
    seen = await truth(bench)
    for limit, provider in zip((1, 7, 1000), bench.providers, strict=True):
        provider.calls.clear()
        provider.meddle = refusing(limit)
    panel = bench.panel(quorum=3)
    assert await bench.follower(panel).observe(START) == seen
    assert panel.troubles == {}
    asked = [sum(method == "eth_getLogs" for method, _ in provider.calls) for provider in bench.providers]
    assert asked[0] >= seen.l2_height > asked[1] > 1 == asked[2]


GARBAGE = {
    "no JSON": saying(b"<html>"),
    "nothing": saying(b""),
    "deep": saying(b"[" * 100_000),
    "another document": saying(b"[1, 2]"),
    "no result": saying(b'{"jsonrpc": "2.0", "id": 0}'),
    "null": saying(b'{"jsonrpc": "2.0", "id": 0, "result": null}'),
    "other types": saying(b'{"jsonrpc": "2.0", "id": 0, "result": {"number": [], "hash": 7}}'),
    "endless": saying(b" " * (17 << 20)),
    "server error": saying(b"busy", 503),
    "limited": saying(b"slow down", 429),
    "elsewhere": saying(b"", 302),
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_is_named_and_loses_nothing(bench: Bench, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    seen = await truth(bench)
    bench.providers[0].meddle = GARBAGE[name]
    panel = bench.panel()
    assert await bench.follower(panel).observe(START) == seen
    assert list(panel.troubles) == [panel.providers[0].name]
    said = capsys.readouterr()
    assert "not relied on" in said.out + said.err and "secret-of-an-account" not in said.out + said.err
    # Alone with it there is no view, and the reason is told.
    with pytest.raises(NotFinalError) as error:
        await bench.follower(bench.panel(1)).observe(START)
    assert panel.providers[0].name in str(error.value) and "secret" not in str(error.value)


def _drop_logs(method: str, params: list[Any], result: Any) -> Any:
    return result[:-1] if method == "eth_getLogs" else result


def _another_hash(method: str, params: list[Any], result: Any) -> Any:
    return {**result, "hash": "0x" + "11" * 32} if method == "eth_getBlockByNumber" else result


def _another_rate(method: str, params: list[Any], result: Any) -> Any:
    return "0x" + "00" * 31 + "01" if method == "eth_call" else result


def _another_stake(method: str, params: list[Any], result: Any) -> Any:
    if method == "eth_getLogs" and result:
        result[0]["data"] = result[0]["data"][:-1] + "1"
    return result


LIES = [_drop_logs, _another_hash, _another_rate, _another_stake]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__.strip("_"))
async def test_a_liar_is_outvoted_and_named(bench: Bench, lie: Any) -> None:
    seen = await truth(bench)
    bench.providers[0].twist = lie
    panel = bench.panel()
    follower = bench.follower(panel)
    assert await follower.observe(START) == seen
    assert panel.troubles == {panel.providers[0].name: "was outvoted by 2 others, who agree"}
    # It is not among the first to be asked again, and stays named.
    bench.providers[0].calls.clear()
    assert await follower.observe(START) == seen
    assert {method for method, _ in bench.providers[0].calls} <= {"eth_getBlockByNumber"}
    assert panel.troubles
    # One word against the other decides nothing.
    with pytest.raises(NotFinalError, match="2 contradict each other"):
        await bench.follower(bench.panel(2)).observe(START)


UNASKED = {
    "logs of others": lambda log: {**log, "address": "0x" + "22" * 20},
    "other blocks": lambda log: {**log, "blockNumber": hex(10**6)},
    "removed": lambda log: {**log, "removed": True},
    "other events": lambda log: {**log, "topics": ["0x" + "33" * 32]},
    "no topics": lambda log: {**log, "topics": []},
    "cut off": lambda log: {**log, "data": log["data"][:-64]},
}


@pytest.mark.parametrize("name", UNASKED)
async def test_impossible_logs_are_no_answer(bench: Bench, name: str) -> None:
    def twist(method: str, params: list[Any], result: Any) -> Any:
        return list(map(UNASKED[name], result)) if method == "eth_getLogs" else result

    bench.providers[0].twist = twist
    with pytest.raises(NotFinalError, match=r"logs that it was not asked for|no usable answer"):
        await bench.follower(bench.panel(1)).observe(START)


@pytest.mark.parametrize("receipts", [True, False])
async def test_a_lone_provider_that_leaves_out_logs_is_no_answer(bench: Bench, receipts: bool) -> None:
    lone = bench.providers[0]
    seen = await bench.follower(bench.panel(1)).observe(START)
    assert len(seen.events) == 2
    lone.twist = _drop_logs
    unknown = {"error": {"code": -32601, "message": "the method eth_getBlockReceipts does not exist"}}
    lone.meddle = lambda method, params: unknown if method == "eth_getBlockReceipts" and not receipts else None
    left_out = seen.events[-1].position.l2_height
    with pytest.raises(NotFinalError, match=f"leaves out logs: block {left_out} has some"):
        await bench.follower(bench.panel(1)).observe(START)


def _limited(times: int, *methods: str) -> Any:
    """Refuses so many calls as too many, in a way that some providers have for ranges that are too long, too."""
    left = times

    def meddle(method: str, params: list[Any]) -> Any:
        nonlocal left
        if method not in methods or left == 0:
            return None
        left -= 1
        return {"error": {"code": -32005, "message": "request rate exceeded, see http://docs.example/limits"}}

    return meddle


async def test_a_limit_of_requests_is_none_of_blocks(bench: Bench) -> None:
    lone = bench.providers[0]
    seen = await truth(bench)
    follower = bench.follower(bench.panel(1))
    lone.calls.clear()
    lone.meddle = _limited(2, "eth_getLogs")
    assert await follower.observe(START) == seen
    ranges = [
        (params[0]["fromBlock"], params[0]["toBlock"]) for method, params in lone.calls if method == "eth_getLogs"
    ]
    assert ranges == [("0x1", hex(seen.l2_height))] * 3
    # One that is limited has finality all the same.
    lone.meddle = _limited(100, "eth_getBlockByNumber")
    with pytest.raises(NotFinalError, match="limits how much it is asked: request rate exceeded") as error:
        await bench.follower(bench.panel(1)).observe(START)
    assert "l2_depth" not in str(error.value)


async def test_a_range_grows_back(bench: Bench) -> None:
    lone = bench.providers[0]
    seen = await truth(bench)
    follower = bench.follower(bench.panel(1))
    lone.meddle = refusing(3)
    assert await follower.observe(START) == seen
    lone.meddle = lambda method, params: None
    for _ in range(4):
        assert await follower.observe(START) == seen
    lone.calls.clear()
    assert await follower.observe(START) == seen
    assert sum(method == "eth_getLogs" for method, _ in lone.calls) < 5


async def test_logs_out_of_order_are_no_answer(bench: Bench) -> None:
    bench.providers[0].twist = lambda method, params, result: result[::-1] if method == "eth_getLogs" else result
    with pytest.raises(NotFinalError, match="not in order"):
        await bench.follower(bench.panel(1)).observe(START)


async def test_a_provider_that_lags_is_named_and_not_waited_for(bench: Bench) -> None:
    seen = await truth(bench)

    def behind(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber" and params[0] == "finalized":
            return {**result, "number": hex(int(result["number"], 16) - 20)}
        return result

    bench.providers[0].twist = behind
    panel = bench.panel()
    follower = bench.follower(panel, lag_blocks=10)
    assert await follower.observe(START) == seen
    assert panel.troubles == {panel.providers[0].name: "is 20 blocks behind the others"}
    bench.providers[0].twist = lambda method, params, result: result
    await follower.observe(START)
    assert panel.troubles == {}
    # One that runs ahead of what is final takes nobody along.
    bench.providers[1].twist = lambda method, params, result: (
        {**result, "number": hex(10**9)} if params and params[0] == "finalized" else result
    )
    assert await bench.follower().observe(START) == seen


async def test_a_provider_that_is_down_is_replaced_until_it_is_back(bench: Bench) -> None:
    seen = await truth(bench)
    panel = bench.panel()
    follower = bench.follower(panel)
    await bench.providers[0].stop()
    assert await follower.observe(START) == seen
    assert "cannot be reached" in panel.troubles[panel.providers[0].name]
    bench.providers[1].meddle = saying(b"", 500)
    with pytest.raises(NotFinalError, match=r"cannot be reached.*HTTP status 500"):
        await follower.observe(seen.l2_height)
    bench.providers[1].meddle = lambda method, params: None
    assert await follower.observe(START) == seen
    await bench.providers[0].start()


async def test_another_chain_is_refused(bench: Bench) -> None:
    bench.providers[0].twist = lambda method, params, result: "0x1" if method == "eth_chainId" else result
    with pytest.raises(NotFinalError, match="has chain 1, not 31337"):
        await bench.follower(bench.panel(1)).observe(START)


async def test_without_finality_a_depth_says_what_is_final(bench: Bench) -> None:
    def no_tag(method: str, params: list[Any]) -> Any:
        unknown = method == "eth_getBlockByNumber" and params[0] == "finalized"
        return {"error": {"code": -32602, "message": "invalid block"}} if unknown else None

    bench.providers[0].meddle = no_tag
    with pytest.raises(NotFinalError, match="set l2_depth"):
        await bench.follower(bench.panel(1)).observe(START)
    seen = await bench.follower(bench.panel(1), depth=5).observe(START)
    assert seen.l2_height == int(await bench.rpc("eth_blockNumber"), 16) - 5


async def test_blocks_that_are_taken_back_before_they_are_final_were_never_seen(bench: Bench) -> None:
    follower = bench.follower()
    seen = await follower.observe(START)
    snapshot = await bench.rpc("evm_snapshot")
    stake = bench.staked.stakes[0]
    await stakes.leave(bench.upstream, bench.staked.addresses, stake.stakers[0].key, stake.contract_id)
    assert (await follower.observe(seen.l2_height)).events == ()
    await bench.rpc("evm_revert", snapshot)
    await stakes.mine(bench.upstream, 6)
    after = await follower.observe(seen.l2_height)
    assert after.l2_height > seen.l2_height and after.events == ()
    snapshot = await bench.rpc("evm_snapshot")
    await stakes.leave(bench.upstream, bench.staked.addresses, stake.stakers[0].key, stake.contract_id)
    await stakes.mine(bench.upstream, 3)
    [event] = (await follower.observe(after.l2_height)).events
    assert isinstance(event, ExitRequest) and event.contract_id == stake.contract_id
    # A chain that takes back what was final is followed no further: the state may rest on it.
    await bench.rpc("evm_revert", snapshot)
    await bench.rpc("evm_increaseTime", 1000)
    await stakes.mine(bench.upstream, 9)
    told = follower._anchor
    assert told is not None
    with pytest.raises(FinalityError, match="taken back"):
        await follower.observe(told[0])
    resumed = bench.follower()
    resumed.resume(*told)
    with pytest.raises(ConsensusError, match="taken back"):
        await resumed.observe(told[0])


async def test_blocks_that_are_replaced_leave_neither_ghosts_nor_doubles(bench: Bench) -> None:
    """As deep as blocks are final by a depth that is too small; the same transaction comes again in another block."""
    seen = await bench.follower(depth=0).observe(START)
    stake, addresses = bench.staked.stakes[1], bench.staked.addresses
    before = int(await bench.rpc("eth_blockNumber"), 16)
    await stakes.leave(bench.upstream, addresses, stake.stakers[0].key, stake.contract_id)
    asked = await bench.rpc("eth_getBlockByNumber", hex(before + 1), False)
    raw = await bench.rpc("eth_getRawTransactionByHash", asked["transactions"][0])
    await stakes.mine(bench.upstream, 2)
    follower = bench.follower(depth=0)
    [ghost] = (await follower.observe(seen.l2_height)).events
    assert isinstance(ghost, ExitRequest) and ghost.position.l2_height == before + 1
    # It is gone, and comes again a block later.
    await bench.rpc("anvil_reorg", 3, [[raw, 1]])
    with pytest.raises(FinalityError, match="taken back"):
        await follower.observe(L2Height(before + 3))
    fresh = bench.follower(depth=0)
    [again] = (await fresh.observe(seen.l2_height)).events
    assert again == replace(ghost, position=replace(ghost.position, l2_height=L2Height(before + 2)))
    # It goes while it is asked for: after the logs, and before the block that they are taken to be of.
    waiting = bench.panel(2)
    told: list[str] = []

    def vanish(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getLogs" and result:
            told.append(method)
            if len(told) == 2:
                here = Web3(HTTPProvider(bench.upstream))
                assert "error" not in here.provider.make_request(RPCEndpoint("anvil_reorg"), [2, []])
        return result

    for provider in bench.providers[:2]:
        provider.twist = vanish
    asking = bench.follower(waiting, depth=0)
    with pytest.raises(NotFinalError):
        await asking.observe(seen.l2_height)
    assert (await asking.observe(seen.l2_height)).events == ()


async def test_a_sequencer_goes_on_from_its_own_store(bench: Bench, tmp_path: Path) -> None:
    addresses, mine = bench.staked.addresses, keys.generate()
    rules = devnet(addresses.chain_id, Address(bytes.fromhex(addresses.rewards[2:])), START)

    async def run(until: int) -> Any:
        with ports.reserve(1) as [port], BlockStore(tmp_path / "chain", rules, PublicKey(mine.ed25519_public)) as store:
            engine = Sequencer(store, bench.follower(), mine.ed25519_secret, Listen("127.0.0.1", port))
            running = asyncio.create_task(engine.run())
            async with asyncio.timeout(30):
                async for state in engine:
                    if state.height >= until:
                        break
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            return engine.state

    first = await run(1)
    assert len(first.nodes) == 2
    for provider in bench.providers:
        provider.calls.clear()
    await stakes.mine(bench.upstream, 5)
    second = await run(first.height + 1)
    asked = [int(params[0]["fromBlock"], 16) for p in bench.providers for m, params in p.calls if m == "eth_getLogs"]
    assert asked and min(asked) == first.l2_height + 1, "what was taken is not asked for again"
    assert len(second.nodes) == 2 and second.l2_height > first.l2_height
