"""The nodes that a contract was started with, as the network sees them: who staked for them is theirs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from eth_typing import ChecksumAddress
from nacl import bindings

from allium.appchain.events import Seed
from allium.appchain.input import Input, Observation
from allium.appchain.machine import apply
from allium.appchain.parameters import devnet
from allium.appchain.state import genesis
from allium.appchain.types import Address, Height, L2Height, Seconds
from allium.devnet import anvil
from allium.errors import NotFinalError
from allium.staking.follower import Contracts, EventFollower
from allium.staking.provider_quorum import ProviderQuorum
from tests.support.chain import REQUIREMENT, Chain, Node, raw
from tests.support.rpc_proxy import Provider

START = L2Height(0)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Chain, Contracts]]:
    """A contract with a node of one contributor and one of two, and blocks above them."""
    with anvil.running(tmp_path_factory.mktemp("seeds") / "anvil.log", ["--slots-in-an-epoch", "1"]) as local:
        chain = Chain(local.url)
        rewards = chain.unstarted()
        quarter = REQUIREMENT // 4
        stakes = [[(chain.alice, REQUIREMENT)], [(chain.bob, quarter), (chain.carol, REQUIREMENT - quarter)]]
        given = []
        for parts in stakes:
            node = Node(ed25519=bindings.crypto_sign_keypair()[0])
            contributors = [((who, chain.dave), part) for who, part in parts]
            given.append((node.key, int.from_bytes(node.ed25519, "big"), 1_700_000_000, contributors))
        chain.send(rewards.functions.seedPublicKeyList(given), chain.owner)
        chain.send(rewards.functions.start(), chain.owner)
        chain.rpc("anvil_mine", hex(4))
        places: list[ChecksumAddress] = [rewards.address, chain.pool.address]
        yield chain, Contracts(chain.addresses.chain_id, *(Address(raw(place)) for place in places))


@contextlib.asynccontextmanager
async def through(chain: Chain, contracts: Contracts, *twists: Any) -> AsyncIterator[EventFollower]:
    """Follows by as many providers as there are twists of what they are asked and answer."""
    providers = [await Provider(chain.url).start() for _ in twists]
    for provider, (meddle, twist) in zip(providers, twists, strict=True):
        provider.meddle, provider.twist = meddle, twist
    follower = EventFollower(ProviderQuorum([provider.url for provider in providers]), contracts)
    try:
        yield follower
    finally:
        await follower.close()
        for provider in providers:
            await provider.stop()


def _honest(method: str, params: list[Any]) -> Any:
    return None


def _plain(method: str, params: list[Any], result: Any) -> Any:
    return result


def _pruned(rewards: Address) -> Any:
    """Knows the contract as it is now only."""

    def meddle(method: str, params: list[Any]) -> Any:
        old = method == "eth_call" and params[1] != "latest" and raw(params[0]["to"]) == rewards
        return {"error": {"code": -32000, "message": "missing trie node"}} if old else None

    return meddle


def _thief(method: str, params: list[Any], result: Any) -> Any:
    """Says that somebody else staked."""
    return result.replace("1", "2") if method == "eth_call" and len(result) > 66 else result


async def _observed(chain: Chain, contracts: Contracts, *twists: Any) -> Observation:
    async with through(chain, contracts, *twists) as follower:
        return await follower.observe(START)


def _by_people(chain: Chain, seen: Observation) -> list[list[tuple[str, int]]]:
    names = {raw(address): name for name, address in vars(chain).items() if isinstance(address, str) and name != "url"}
    seeds = [event for event in seen.events if isinstance(event, Seed)]
    return [[(names[part.address], part.amount) for part in seed.contributors] for seed in seeds]


TRUTH = [[("alice", REQUIREMENT)], [("bob", REQUIREMENT // 4), ("carol", REQUIREMENT - REQUIREMENT // 4)]]


def test_seeds_have_their_contributors_and_become_nodes(seeded: tuple[Chain, Contracts]) -> None:
    chain, contracts = seeded
    seen = asyncio.run(_observed(chain, contracts, (_honest, _plain)))
    assert _by_people(chain, seen) == TRUTH
    rules = devnet(contracts.chain_id, contracts.rewards, START)
    state = apply(genesis(rules), Input(Height(1), Seconds(1), seen, ()))
    assert len(state.nodes) == 2 and not state.departed
    assert state.locked[Address(raw(chain.carol))] == REQUIREMENT - REQUIREMENT // 4


def test_a_provider_without_history_says_the_same(seeded: tuple[Chain, Contracts]) -> None:
    chain, contracts = seeded
    seen = asyncio.run(_observed(chain, contracts, (_pruned(contracts.rewards), _plain)))
    assert _by_people(chain, seen) == TRUTH


def test_who_names_other_contributors_is_outvoted(seeded: tuple[Chain, Contracts]) -> None:
    chain, contracts = seeded
    seen = asyncio.run(_observed(chain, contracts, (_honest, _thief), (_honest, _plain), (_honest, _plain)))
    assert _by_people(chain, seen) == TRUTH
    with pytest.raises(NotFinalError):
        asyncio.run(_observed(chain, contracts, (_honest, _thief), (_honest, _plain)))
