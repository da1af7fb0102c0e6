"""Whether a provider leaves out logs: the bloom filter in a block's header tells of each log in that block.

It is the only check where one provider's word is enough. It finds what a broken index or an unsaid limit leaves out,
not a liar, who would give other headers too.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from eth_typing import ChecksumAddress
from eth_utils.address import to_canonical_address
from eth_utils.crypto import keccak
from web3 import AsyncWeb3

from allium.appchain.events import Event
from allium.staking import logs
from allium.staking.provider import Provider, ProviderError, RateLimitError

#: Headers are asked for one by one: of more blocks, so many by chance.
_BLOCKS, _AT_ONCE = 128, 8
_BLOOM_BYTES = 256
#: With more of its 2048 bits set, a filter says yes to nearly everything.
_DENSE = 1024
#: With fewer, it never says yes by chance: each thing sets three bits, and two things are looked for.
_SPARSE = 64


async def check(provider: Provider, rewards: ChecksumAddress, blocks: Sequence[int], events: Collection[Event]) -> None:
    """Raises `ProviderError` when one of `blocks`, of which the provider told `events`, has others.

    A provider that limits how much it is asked is not checked further.
    """
    told = {event.position.l2_height for event in events}
    unsaid = [block for block in blocks if block not in told]
    waiting = iter(random.sample(unsaid, min(len(unsaid), _BLOCKS)))

    async def look() -> None:
        for block in waiting:
            await provider.ask(partial(_look, rewards, block))

    looking = [asyncio.create_task(look()) for _ in range(_AT_ONCE)]
    try:
        await asyncio.gather(*looking)
    except RateLimitError:
        pass
    finally:
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)


async def _look(rewards: ChecksumAddress, number: int, w3: AsyncWeb3[Any]) -> None:
    bloom = bytes((await w3.eth.get_block(number))["logsBloom"])
    if len(bloom) != _BLOOM_BYTES:
        raise ProviderError("gives a block that is none")
    bits = int.from_bytes(bloom, "big")
    if bits.bit_count() > _DENSE or not _may_hold(bits, to_canonical_address(rewards)):
        return
    if not any(_may_hold(bits, bytes.fromhex(topic[2:])) for topic in logs.TOPICS):
        return
    try:
        receipts = await w3.eth.get_block_receipts(number)
    except RateLimitError:
        raise
    except Exception:
        # Not every provider gives them: then only what cannot be chance is believed.
        if bits.bit_count() > _SPARSE:
            return
        raise ProviderError(_fault(number)) from None
    if any(_is_ours(entry, rewards) for receipt in receipts for entry in receipt["logs"]):
        raise ProviderError(_fault(number))


def _fault(number: int) -> str:
    return f"leaves out logs: block {number} has some by its header"


def _is_ours(entry: Any, rewards: ChecksumAddress) -> bool:
    return entry["address"] == rewards and bool(entry["topics"]) and entry["topics"][0].to_0x_hex() in logs.TOPICS


def _may_hold(bloom: int, thing: bytes) -> bool:
    """Whether the filter knows an address or a topic, or says so by chance."""
    digest = keccak(thing)
    places = (int.from_bytes(digest[at : at + 2], "big") % (8 * _BLOOM_BYTES) for at in (0, 2, 4))
    return all(bloom >> place & 1 for place in places)
