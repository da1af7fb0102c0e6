"""Whether a provider leaves out logs: a block's header has a bloom filter of its logs, and the root of its receipts.

It is the only check where one provider's word is enough. It finds what a broken index or an unsaid limit leaves out, of
the logs and of the receipts too, and not a liar, who would give other headers as well.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from eth_typing import ChecksumAddress
from eth_utils.address import to_canonical_address
from eth_utils.crypto import keccak
from web3 import AsyncWeb3

from allium.appchain.events import Event
from allium.staking import logs, receipts
from allium.staking.provider import Provider, ProviderError, RateLimitError

#: Headers are asked for one by one: of more blocks, so many by chance.
_BLOCKS, _AT_ONCE = 128, 8
#: Of those that it told something of, too: it may not have told all.
_TOLD_BLOCKS = 32
_BLOOM_BYTES = 256
#: With more of its 2048 bits set, a filter says yes to nearly everything.
_DENSE = 1024
#: With fewer, it never says yes by chance: each thing sets three bits, and two things are looked for.
_SPARSE = 64


async def check(provider: Provider, rewards: ChecksumAddress, blocks: Sequence[int], events: Collection[Event]) -> None:
    """Raises `ProviderError` when one of `blocks`, of which the provider told `events`, has others.

    A provider that limits how much it is asked is not checked further.
    """
    told: dict[int, list[int]] = {}
    for event in events:
        told.setdefault(event.position.l2_height, []).append(event.position.log_index)
    unsaid = [block for block in blocks if block not in told]
    chosen = random.sample(unsaid, min(len(unsaid), _BLOCKS)) + random.sample([*told], min(len(told), _TOLD_BLOCKS))
    waiting = iter(chosen)

    async def look() -> None:
        for block in waiting:
            await provider.ask(partial(_look, rewards, block, told.get(block, [])))

    looking = [asyncio.create_task(look()) for _ in range(_AT_ONCE)]
    try:
        await asyncio.gather(*looking)
    except RateLimitError:
        pass
    finally:
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)


async def _look(rewards: ChecksumAddress, number: int, told: Sequence[int], w3: AsyncWeb3[Any]) -> None:
    """Raises `ProviderError` when a block has other logs of the contract than those at the places `told`."""
    block = await w3.eth.get_block(number)
    bloom = bytes(block["logsBloom"])
    if len(bloom) != _BLOOM_BYTES:
        raise ProviderError("gives a block that is none")
    bits = int.from_bytes(bloom, "big")
    if not told and (bits.bit_count() > _DENSE or not _may_hold_ours(bits, rewards)):
        return
    try:
        gives = await w3.eth.get_block_receipts(number)
    except RateLimitError:
        raise
    except Exception:
        # Not every provider gives them: then only what cannot be chance is believed.
        if told or bits.bit_count() > _SPARSE:
            return
        raise ProviderError(_fault(number)) from None
    if [entry["logIndex"] for each in gives for entry in each["logs"] if _is_ours(entry, rewards)] != [*told]:
        raise ProviderError(_fault(number))
    with suppress(receipts.UnknownReceiptError):
        if receipts.root(gives) != bytes(block["receiptsRoot"]):
            raise ProviderError(f"leaves out logs: the receipts of block {number} are not those of its header")


def _may_hold_ours(bits: int, rewards: ChecksumAddress) -> bool:
    ours = _may_hold(bits, to_canonical_address(rewards))
    return ours and any(_may_hold(bits, bytes.fromhex(topic[2:])) for topic in logs.TOPICS)


def _fault(number: int) -> str:
    return f"leaves out logs: block {number} has some by its header"


def _is_ours(entry: Any, rewards: ChecksumAddress) -> bool:
    return entry["address"] == rewards and bool(entry["topics"]) and entry["topics"][0].to_0x_hex() in logs.TOPICS


def _may_hold(bloom: int, thing: bytes) -> bool:
    """Whether the filter knows an address or a topic, or says so by chance."""
    digest = keccak(thing)
    places = (int.from_bytes(digest[at : at + 2], "big") % (8 * _BLOOM_BYTES) for at in (0, 2, 4))
    return all(bloom >> place & 1 for place in places)
