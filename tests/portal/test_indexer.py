"""The contracts' events as a portal keeps them: seeds, chains that take blocks back, starts, limits of providers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from hexbytes import HexBytes

from allium.portal.claimed import Claim
from allium.portal.database import PortalDatabase
from allium.portal.indexer import Indexer
from allium.portal.limits import Rate, TooOftenError
from allium.staking.addresses import Addresses
from allium.staking.provider_quorum import ProviderQuorum
from tests.support.chain import HOUR, REQUIREMENT, Chain, Node
from tests.support.rpc_proxy import Provider, refusing, saying


@contextlib.asynccontextmanager
async def indexing(addresses: Addresses, directory: Path, *urls: str) -> AsyncIterator[Indexer]:
    panel = ProviderQuorum(urls)
    database = PortalDatabase(directory / "portal.sqlite", addresses.chain_id, addresses.rewards, addresses.block)
    indexer = Indexer(panel, addresses, database)
    try:
        await indexer.open()
        yield indexer
    finally:
        await panel.close()
        database.close()


async def test_seeds_have_their_stakers_and_a_chain_may_take_blocks_back(chain: Chain, tmp_path: Path) -> None:
    rewards = chain.unstarted()
    addresses = replace(chain.addresses, rewards=rewards.address, block=chain.w3.eth.block_number)
    quarter, node = REQUIREMENT // 4, Node(id=1)
    stakers = [((chain.alice, chain.bob), quarter), ((chain.carol, chain.carol), REQUIREMENT - quarter)]
    seed = (node.key, node.params()[0], 1000, stakers)
    chain.send(rewards.functions.seedPublicKeyList([seed]), chain.owner)
    provider = await Provider(chain.url).start()
    try:
        async with indexing(addresses, tmp_path, provider.url) as indexer:
            provider.meddle = refusing(3)
            await indexer.look()
            assert indexer.trouble is None
            assert indexer.index.stakes == {1: [(chain.alice, quarter), (chain.carol, REQUIREMENT - quarter)]}
            assert indexer.index.bls_keys == {node.secret.public.hex(): 1}
            # Another block takes the place of one that was seen.
            snapshot = chain.rpc("evm_snapshot")
            chain.send(rewards.functions.setStakingRequirement(7), chain.owner)
            await indexer.look()
            assert indexer.index.events[-1].args == {"newRequirement": 7}
            index = indexer.index
            await indexer.look()
            assert indexer.index is index, "nothing is made anew where nothing is new"
            chain.rpc("evm_revert", snapshot)
            chain.send(rewards.functions.setClaimCycle(8), chain.owner)
            await indexer.look()
            assert [event.name for event in indexer.index.events] == ["NewSeededServiceNode", "ClaimCycleUpdated"]
            provider.meddle = saying(b"", 503)
            await indexer.look()
            assert indexer.trouble is not None and "HTTP status 503" in indexer.trouble
            told = indexer.index.events
        # Another start has all of it before anybody is asked.
        async with indexing(addresses, tmp_path, provider.url) as again:
            assert again.index.events == told
    finally:
        await provider.stop()


async def test_blocks_that_are_replaced_leave_neither_ghosts_nor_doubles(chain: Chain, tmp_path: Path) -> None:
    """A registration, a claim and an exit go, and another node takes the number; a transaction comes again later."""
    stays, rewards = chain.join(chain.alice), chain.rewards.functions
    addresses = replace(chain.addresses, block=chain.w3.eth.block_number)
    before = chain.w3.eth.block_number
    chain.send(chain.token.functions.transfer(addresses.rewards, 1000), chain.owner)
    goes = chain.join(chain.bob)
    chain.send(chain.rewarding(chain.alice, 300, [stays, goes]), chain.alice)
    claim = chain.send(rewards.claimRewards(200), chain.alice)
    chain.at_time(chain.now + 3 * HOUR)
    exit_ = chain.exiting(goes, [stays, goes], chain.now)
    chain.send(exit_, chain.carol)
    async with indexing(addresses, tmp_path, chain.url) as indexer:
        await indexer.look()
        assert indexer.trouble is None
        assert [event.name for event in indexer.index.events] == [
            "NewServiceNodeV2",
            "NewServiceNodeV2",
            "RewardsBalanceUpdated",
            "RewardsClaimed",
            "ServiceNodeExit",
        ]
        assert indexer.index.claims[chain.alice] == [Claim(claim["blockNumber"], 200, 300)]
        assert [each.key for each in indexer.index.exits.values()] == [goes.secret.public.hex()]
        # All of it goes, and the chain is as long as before.
        height = chain.w3.eth.block_number
        sent = chain.w3.eth.get_raw_transaction(claim["transactionHash"]).to_0x_hex()
        chain.rpc("anvil_reorg", height - before, [])
        await indexer.look()
        index = indexer.index
        assert [event.name for event in index.events] == ["NewServiceNodeV2"] and not index.claims and not index.exits
        assert index.bls_keys == {stays.secret.public.hex(): stays.id} and set(index.stakes) == {stays.id}
        # Another has the number now, and the claim comes again.
        other = chain.join(chain.carol)
        assert other.id == goes.id
        chain.send(chain.token.functions.transfer(addresses.rewards, 1000), chain.owner)
        chain.send(chain.rewarding(chain.alice, 500, [stays, other]), chain.alice)
        # What was sent from Alice's account had these numbers before.
        receipt = chain.w3.eth.wait_for_transaction_receipt(chain.w3.eth.send_raw_transaction(HexBytes(sent)))
        await indexer.look()
        index = indexer.index
        assert index.claims == {chain.alice: [Claim(receipt["blockNumber"], 200, 500)]}
        assert index.stakes[other.id] == [(chain.carol, REQUIREMENT)] and chain.bob not in index.nodes_of
        assert [event.name for event in index.of_node[other.id]] == ["NewServiceNodeV2"]
        places = [(event.block, event.log_index) for event in index.events]
        assert places == sorted(set(places)) and len(places) == 4
    # Another start has what is on the chain, and no more.
    async with indexing(addresses, tmp_path, chain.url) as fresh:
        assert fresh.index.events == index.events


def test_a_bucket_fills_again_and_sources_do_not_fill_memory() -> None:
    now = [0.0]
    rate = Rate(2, 10, clock=lambda: now[0])

    def refused(source: str) -> bool:
        try:
            rate.take(source)
        except TooOftenError as error:
            assert 0 < error.seconds <= 10
            return True
        return False

    assert [refused("one") for _ in range(3)] == [False, False, True]
    now[0] += 5
    assert [refused("one") for _ in range(2)] == [False, True]
    crowd = [refused(f"source {number}") for number in range(50_100)]
    assert not any(crowd[:49_999]) and crowd[-1], "those beyond share one bucket"
    assert len(rate._used) <= 50_001
    now[0] += 100
    assert not refused("another") and len(rate._used) < 10
