"""The root of receipts, as a real chain's headers have it, and what a lone provider cannot leave out because of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from allium.appchain.types import Address, L2Height
from allium.errors import NotFinalError
from allium.staking import receipts
from allium.staking.follower import Contracts, EventFollower
from allium.staking.provider_quorum import ProviderQuorum
from tests.support.chain import Chain, raw
from tests.support.rpc_proxy import Provider

#: Of an empty list.
_EMPTY = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")


def _roots(chain: Chain, number: int) -> tuple[bytes, bytes]:
    block: Any = chain.w3.eth.get_block(number)
    given: Any = chain.w3.eth.get_block_receipts(number)
    return receipts.root(given), bytes(block["receiptsRoot"])


def test_headers_name_the_root_of_all_receipts(chain: Chain) -> None:
    assert receipts.root([]) == _EMPTY
    newest = chain.w3.eth.block_number
    for number in range(newest - 8, newest + 1):
        made, named = _roots(chain, number)
        assert made == named, number
    # The key of the 129th is longer than the others', and there are branches below branches.
    call = chain.token.functions.transfer(chain.bob, 1)
    for count in (17, 140):
        with chain.mining_by_hand():
            for _ in range(count):
                call.transact({"from": chain.alice, "gas": 100_000})
            chain.rpc("evm_mine")
        number = chain.w3.eth.block_number
        assert len(chain.w3.eth.get_block(number)["transactions"]) == count
        made, named = _roots(chain, number)
        assert made == named, count


def test_nothing_is_said_of_receipts_of_another_kind(chain: Chain) -> None:
    [given] = [*chain.w3.eth.get_block_receipts(chain.w3.eth.block_number)][:1]
    with pytest.raises(receipts.UnknownReceiptError):
        receipts.root([{**given, "type": 0x7E}])


Twist = Callable[[str, list[Any], Any], Any]


async def _observed(chain: Chain, twist: Twist) -> int:
    """How many events a follower of one provider sees."""
    places = Address(raw(chain.addresses.rewards)), Address(raw(chain.addresses.pool))
    provider = await Provider(chain.url).start()
    provider.twist = twist
    follower = EventFollower(ProviderQuorum([provider.url]), Contracts(chain.addresses.chain_id, *places), depth=0)
    try:
        return len((await follower.observe(L2Height(0))).events)
    finally:
        await follower.close()
        await provider.stop()


async def test_what_is_left_out_of_the_receipts_too_is_found(chain: Chain) -> None:
    chain.join(chain.alice)
    left_out = chain.w3.eth.block_number
    ours = chain.addresses.rewards.lower()

    def dropped(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockReceipts":
            return [
                {**each, "logs": [log for log in each["logs"] if log["address"].lower() != ours]} for each in result
            ]
        return result[:-1] if method == "eth_getLogs" else result

    assert await _observed(chain, lambda method, params, result: result) == 1
    with pytest.raises(NotFinalError, match=f"leaves out logs: the receipts of block {left_out} are not those"):
        await _observed(chain, dropped)


async def test_what_is_told_of_a_block_is_all_of_it(chain: Chain) -> None:
    with chain.mining_by_hand():
        for amount in (5, 6):
            chain.rewards.functions.setStakingRequirement(amount).transact({"from": chain.owner, "gas": 100_000})
        chain.rpc("evm_mine")
    block = chain.w3.eth.block_number
    assert await _observed(chain, lambda method, params, result: result) == 2
    with pytest.raises(NotFinalError, match=f"leaves out logs: block {block} has some"):
        await _observed(chain, lambda method, params, result: result[:-1] if method == "eth_getLogs" else result)
