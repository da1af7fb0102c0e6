"""ServiceNodeRewards: who is paid, and every reason not to be, in their order."""

from __future__ import annotations

from typing import Any

from allium import _native
from allium.appchain.parameters import SESH
from tests.support.chain import NO_SIGNATURE, ZERO, Chain, Node, raw, record_gas, seeds, words


def test_a_reward_is_signed_and_claimed(chain: Chain) -> None:
    nodes = [chain.join(chain.alice) for _ in range(4)]
    rewards = chain.rewards.functions
    receipt = chain.send(chain.rewarding(chain.bob, 1000, nodes), chain.dave)
    assert chain.events(receipt, chain.rewards) == [("RewardsBalanceUpdated", chain.bob, 1000, 0)]
    receipt = chain.send(chain.rewarding(chain.bob, 1500, nodes[1:], nodes[:1]), chain.dave)
    assert chain.events(receipt, chain.rewards) == [("RewardsBalanceUpdated", chain.bob, 1500, 1000)]
    before = chain.balance(chain.bob)
    assert chain.refused(rewards.claimRewards(1501), chain.bob) == ("MaxClaimExceeded",)
    receipt = chain.send(rewards.claimRewards(400), chain.bob)
    assert chain.events(receipt, chain.rewards) == [("RewardsClaimed", chain.bob, 400)]
    assert chain.events(receipt, chain.token) == [("Transfer", chain.rewards.address, chain.bob, 400)]
    assert rewards.recipients(chain.bob).call() == [1500, 400]
    assert chain.refused(rewards.claimRewards(1101), chain.bob) == ("MaxClaimExceeded",)
    assert chain.refused(rewards.claimRewards(2**256 - 1), chain.bob) == ("MaxClaimExceeded",)
    chain.send(rewards.claimRewards(), chain.bob)
    assert chain.balance(chain.bob) == before + 1500
    # Nothing is left, and that is no error.
    receipt = chain.send(rewards.claimRewards(), chain.bob)
    assert chain.events(receipt, chain.rewards) == [("RewardsClaimed", chain.bob, 0)]
    assert chain.events(receipt, chain.token) == [("Transfer", chain.rewards.address, chain.bob, 0)]
    chain.send(rewards.claimRewards(0), chain.bob)


def test_the_reasons_not_to_reward_in_their_order(chain: Chain) -> None:
    nodes = [chain.join(chain.alice) for _ in range(4)]
    update = chain.rewards.functions.updateRewardsBalance
    assert chain.refused(update(ZERO, 0, NO_SIGNATURE, [1, 2]), chain.bob) == ("InsufficientBLSSignatures", 2, 3)
    assert chain.refused(update(ZERO, 0, NO_SIGNATURE, [1]), chain.bob) == ("NullAddress",)
    chain.send(chain.rewarding(chain.bob, 10, nodes), chain.bob)
    for amount in (0, 9, 10):
        assert chain.refused(update(chain.bob, amount, NO_SIGNATURE, []), chain.bob) == ("RecipientRewardsTooLow",)
    aggregate = chain.rewards.functions.aggregatePubkey().call()

    def invalid(call: Any) -> None:
        name, _ = chain.refused(call, chain.bob)
        assert name == "InvalidBLSSignature"

    assert chain.refused(update(chain.bob, 11, NO_SIGNATURE, []), chain.bob) == ("InvalidBLSSignature", aggregate)
    invalid(chain.rewarding(chain.bob, 11, nodes[1:]))  # one did not sign, and nobody says so
    invalid(chain.rewarding(chain.bob, 11, nodes, nodes[:1]))  # one signed, who is said not to have
    invalid(chain.rewarding(chain.bob, 11, nodes[:3], [Node(id=99)]))  # a stranger is said not to have signed
    signature = chain.sign(chain.domain.reward_message(bytes.fromhex(chain.bob[2:]), 11), nodes)
    invalid(update(chain.bob, 12, signature, []))
    invalid(update(chain.carol, 11, signature, []))
    assert chain.refused(update(chain.bob, 11, (1, 2, 3, 4), []), chain.bob) == ("Error", "Invalid Signature")
    # An unknown id is nobody's key and takes nothing away.
    chain.send(update(chain.bob, 11, signature, [99]), chain.bob)


def test_a_repeated_non_signer_does_not_verify(chain: Chain) -> None:
    nodes = [chain.join(chain.alice) for _ in range(6)]
    name, _ = chain.refused(chain.rewarding(chain.bob, 11, nodes[1:], [nodes[0], nodes[0]]), chain.bob)
    assert name == "InvalidBLSSignature"


def test_a_network_without_nodes_signs_nothing(chain: Chain) -> None:
    """The neutral key and the neutral signature satisfy the pairing."""
    call = chain.rewards.functions.updateRewardsBalance(chain.bob, 10**15, NO_SIGNATURE, [])
    assert chain.refused(call, chain.bob) == ("InvalidBLSSignature", (0, 0))


def test_claims_of_all_are_limited_per_cycle(chain: Chain) -> None:
    node = chain.join(chain.alice)
    rewards = chain.rewards.functions
    limit = 1_000_000 * SESH
    chain.send(chain.token.functions.transfer(chain.rewards.address, 3 * limit), chain.owner)
    for account in (chain.bob, chain.carol):
        chain.send(chain.rewarding(account, limit + 1, [node]), account)
    cycle = chain.now // 43_200 + 1
    chain.at_time(cycle * 43_200)
    assert chain.refused(rewards.claimRewards(), chain.bob) == ("ClaimThresholdExceeded",)
    chain.send(rewards.claimRewards(limit - 5), chain.bob)
    assert rewards.currentClaimCycle().call() == cycle
    assert rewards.currentClaimTotal().call() == limit - 5
    assert chain.refused(rewards.claimRewards(6), chain.carol) == ("ClaimThresholdExceeded",)
    chain.send(rewards.claimRewards(5), chain.carol)
    chain.at_time((cycle + 1) * 43_200 - 1)
    assert chain.refused(rewards.claimRewards(1), chain.carol) == ("ClaimThresholdExceeded",)
    chain.send_at((cycle + 1) * 43_200, rewards.claimRewards(), chain.carol)
    assert rewards.currentClaimTotal().call() == limit - 4
    assert rewards.recipients(chain.carol).call() == [limit + 1, limit + 1]


def test_what_cycle_a_time_is_in(chain: Chain) -> None:
    """`spec/economics` §5, with cycles counted from the epoch; the chain's clock runs on to a day of the same phase."""
    rewards = chain.rewards.functions
    for timestamp in (1750000000, 1750031999, 1750032000):
        later = timestamp + 43_200 * 100_000
        chain.send_at(later, rewards.claimRewards(0), chain.bob)
        assert rewards.currentClaimCycle().call() == later // 43_200
    assert [t // 43_200 for t in (1750000000, 1750031999, 1750032000)] == [40509, 40509, 40510]


def test_a_third_of_a_large_network_does_not_sign(chain: Chain) -> None:
    """What each non-signer costs."""
    large = chain.unstarted()
    nodes, entries = seeds(chain, 120)
    for start in range(0, 120, 40):
        chain.send(large.functions.seedPublicKeyList(entries[start : start + 40]), chain.owner)
    chain.send(large.functions.start(), chain.owner)
    domain = _native.BlsDomain(chain.addresses.chain_id, raw(large.address))
    message = domain.reward_message(raw(chain.bob), 7)

    def used(absent: int) -> int:
        signatures = [domain.sign(node.secret, message) for node in nodes[absent:]]
        call = large.functions.updateRewardsBalance(
            chain.bob, 7, words(_native.bls_aggregate_signatures(signatures)), [node.id for node in nodes[:absent]]
        )
        return int(call.estimate_gas({"from": chain.bob}))

    few, many = used(0), used(40)
    assert (many - few) / 40 < 6500
    record_gas("updateRewardsBalance, each non-signer", (many - few) // 40)
    ids = [node.id for node in nodes[:41]]
    refusal = chain.refused(large.functions.updateRewardsBalance(chain.bob, 7, NO_SIGNATURE, ids), chain.bob)
    assert refusal == ("InsufficientBLSSignatures", 79, 80)
