"""Who staked for the nodes that the contract was started with: their logs do not say, `serviceNodes` does.

A provider that has forgotten how the chain was then is asked how it is now: a number is given once, and what a node's
contributors are does not change while the contract holds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from eth_typing import ChecksumAddress
from web3.types import BlockIdentifier

from allium.appchain.events import Contributor, Event, Seed
from allium.staking import logs
from allium.staking.provider import Provider, ProviderError, RateLimitError

_AT_ONCE = 8


async def complete(provider: Provider, rewards: ChecksumAddress, events: Sequence[Event]) -> list[Event]:
    """`events` with the contributors of the seeds among them; raises `ProviderError`."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(event: Event) -> Event:
        if not isinstance(event, Seed):
            return event
        async with turns:
            return replace(event, contributors=await _contributors(provider, rewards, event))

    asking = [asyncio.create_task(one(event)) for event in events]
    try:
        return list(await asyncio.gather(*asking))
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def _contributors(provider: Provider, rewards: ChecksumAddress, seed: Seed) -> tuple[Contributor, ...]:
    try:
        # None are there when the node left in the very block that it came in.
        return await _read(provider, rewards, seed, seed.position.l2_height) or ()
    except RateLimitError:
        raise
    except ProviderError as error:
        if (now := await _read(provider, rewards, seed, "latest")) is None:
            raise ProviderError(f"cannot say who staked for node {seed.contract_id}: {error}") from None
        return now


async def _read(
    provider: Provider, rewards: ChecksumAddress, seed: Seed, block: BlockIdentifier
) -> tuple[Contributor, ...] | None:
    """`None` when the contract does not hold the node."""
    call = provider.contract("ServiceNodeRewards", rewards).functions.serviceNodes(seed.contract_id)
    told = await provider.ask(lambda _: call.call(block_identifier=block))

    async def understood(_: object) -> tuple[Contributor, ...] | None:
        _, _, _, key, *_, contributors, pubkey = told
        if not pubkey:
            return None
        held = pubkey.to_bytes(32, "big"), b"".join(part.to_bytes(32, "big") for part in key)
        if held != (seed.pubkey, seed.bls_key):
            raise ProviderError(f"has another node as number {seed.contract_id} than its log says")
        return logs.read_contributors(contributors)

    return await provider.ask(understood)
