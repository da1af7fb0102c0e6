"""Parts that are compressed before, and what a stranger's daemon may say."""

from __future__ import annotations

import gzip
from typing import Any

from eth_utils.address import to_checksum_address
from hypothesis import given, settings
from hypothesis import strategies as st

from allium.portal import contract_index
from allium.portal.epoch import Epoch, no_pause
from allium.portal.oxend_rpc import OxendError
from allium.portal.oxend_state import Answers, read
from allium.portal.prepared import Prepared
from allium.staking.addresses import Addresses

ADDRESSES = Addresses(42161, 1, *[to_checksum_address("0x" + "11" * 20)] * 4)

#: What is there in the daemon's answers, with any value at all.
_NAMES = (
    "service_node_states",
    "pubkey_ed25519",
    "service_node_pubkey",
    "pubkey_bls",
    "contributors",
    "address",
    "amount",
    "operator_address",
    "operator_fee",
    "info",
    "bls_public_key",
    "balances",
    "addresses",
    "amounts",
    "timelocked_stakes",
    "height",
    "block_hash",
    "swarm",
    "swarm_id",
    "nettype",
    "version",
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(["ab" * 32, "0x" + "ab" * 20, "ab" * 64, "ff", "12", "9" * 30, "é"]),
)
_ANYTHING = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=6)
)
_NODE = st.fixed_dictionaries(
    {"pubkey_ed25519": st.just("ab" * 32), "operator_address": st.just("0x" + "cd" * 20)},
    optional=dict.fromkeys(("pubkey_bls", "contributors", "operator_fee", "swarm", "swarm_id", "amount"), _ANYTHING),
)


@settings(deadline=None)
@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_a_compressed_answer_is_its_parts(head: bytes, tail: bytes) -> None:
    assert gzip.decompress(Prepared(tail).after(head)) == head + tail


@settings(deadline=None)
@given(_ANYTHING, _ANYTHING, _ANYTHING, _ANYTHING, st.lists(_NODE, max_size=3))
def test_whatever_a_daemon_says_there_are_answers_or_a_reason(
    nodes: Any, leaving: Any, rewards: Any, info: Any, entries: list[Any]
) -> None:
    try:
        read(Answers(nodes, leaving, rewards, info, 5), ADDRESSES, {}, 7)
    except OxendError as error:
        assert "nodes" in str(error)
    # Beside what makes no sense, what does is told.
    good = {"pubkey_ed25519": "12" * 32, "operator_address": "0x" + "34" * 20}
    listed = {"service_node_states": [*entries, nodes, good], "height": 9, "block_hash": "56" * 32}
    state = read(Answers(listed, leaving, rewards, info, 5), ADDRESSES, {}, 7)
    assert bytes.fromhex("12" * 32) in state.nodes and state.root.hex() == "56" * 32
    epoch = Epoch(state, contract_index.index(()), state.proofs, 5)
    assert b"12" * 32 in epoch.nodes.tail.raw
    for account, _ in epoch.view.earned(no_pause):
        assert epoch.rewards(account).head
