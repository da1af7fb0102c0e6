"""The root of receipts, as a real chain's headers have it."""

from __future__ import annotations

from typing import Any

import pytest

from allium.staking import receipts
from tests.support.chain import Chain

#: Of an empty list.
_EMPTY = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")


def _roots(chain: Chain, number: int) -> tuple[bytes, bytes]:
    block: Any = chain.w3.eth.get_block(number)
    given: Any = chain.w3.eth.get_block_receipts(number)
    return receipts.root(given), bytes(block["receiptsRoot"])


def test_headers_name_the_root_of_all_receipts(chain: Chain) -> None:
    assert receipts.root([]) == _EMPTY
    for number in range(1, chain.w3.eth.block_number + 1):
        made, named = _roots(chain, number)
        assert made == named, number
    # The key of the 129th is longer than the others', and there are branches below branches.
    call = chain.token.functions.transfer(chain.bob, 1)
    for count in (2, 17, 140):
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
