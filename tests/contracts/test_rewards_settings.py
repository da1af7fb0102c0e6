"""ServiceNodeRewards before anybody joins: its parameters, its start, a pause, its owner."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.chain import NO_SIGNATURE, ZERO, Chain, Node


def test_the_main_networks_parameters(chain: Chain) -> None:
    rewards = chain.rewards.functions
    assert {
        name: rewards[name]().call()
        for name in (
            "VERSION",
            "LIST_SENTINEL",
            "MAX_SERVICE_NODE_EXIT_WAIT_TIME",
            "MAX_PERMITTED_PUBKEY_AGGREGATIONS_LOWER_BOUND",
            "MIN_TIME_BEFORE_REPEATED_LEAVE_REQUEST",
            "SMALL_CONTRIBUTOR_LEAVE_DELAY",
            "SMALL_CONTRIBUTOR_DIVISOR",
            "isStarted",
            "nextServiceNodeID",
            "totalNodes",
            "blsNonSignerThreshold",
            "blsNonSignerThresholdMax",
            "signatureExpiry",
            "stakingRequirement",
            "maxContributors",
            "liquidatorRewardRatio",
            "poolShareOfLiquidationRatio",
            "recipientRatio",
            "claimThreshold",
            "claimCycle",
            "currentClaimTotal",
            "currentClaimCycle",
            "lastHeightPubkeyWasAggregated",
            "numPubkeyAggregationsForHeight",
        )
    } == {
        "VERSION": 1,
        "LIST_SENTINEL": 0,
        "MAX_SERVICE_NODE_EXIT_WAIT_TIME": 2_592_000,
        "MAX_PERMITTED_PUBKEY_AGGREGATIONS_LOWER_BOUND": 20,
        "MIN_TIME_BEFORE_REPEATED_LEAVE_REQUEST": 3600,
        "SMALL_CONTRIBUTOR_LEAVE_DELAY": 2_592_000,
        "SMALL_CONTRIBUTOR_DIVISOR": 4,
        "isStarted": True,
        "nextServiceNodeID": 1,
        "totalNodes": 0,
        "blsNonSignerThreshold": 0,
        "blsNonSignerThresholdMax": 4000,
        "signatureExpiry": 600,
        "stakingRequirement": 25_000_000_000_000,
        "maxContributors": 10,
        "liquidatorRewardRatio": 3,
        "poolShareOfLiquidationRatio": 17,
        "recipientRatio": 9980,
        "claimThreshold": 1_000_000_000_000_000,
        "claimCycle": 43_200,
        "currentClaimTotal": 0,
        "currentClaimCycle": 0,
        "lastHeightPubkeyWasAggregated": 0,
        "numPubkeyAggregationsForHeight": 0,
    }
    assert rewards.designatedToken().call() == chain.token.address
    assert rewards.foundationPool().call() == chain.pool.address


def test_initialising_happens_once_and_checks_the_ratios(chain: Chain) -> None:
    setting_up = chain.rewards.functions.initialize(ZERO, ZERO, 1, 1, 1, 1, 8)
    assert chain.refused(setting_up, chain.owner) == ("InvalidInitialization",)
    fresh = chain.unstarted(initialised=False)

    def initialize(liquidator: int, pool: int, recipient: int) -> Any:
        return fresh.functions.initialize(ZERO, ZERO, 1, 1, liquidator, pool, recipient)

    assert chain.refused(initialize(0, 0, 0), chain.alice) == ("PositiveNumberRequirement",)
    assert chain.refused(initialize(3, 17, 59), chain.alice) == ("LiquidatorPenaltyTooHigh",)
    receipt = chain.send(initialize(3, 17, 60), chain.alice)
    assert chain.events(receipt, fresh) == [("OwnershipTransferred", ZERO, chain.alice), ("Initialized", 1)]
    assert fresh.functions.owner().call() == chain.alice


def test_nothing_works_before_the_start(chain: Chain) -> None:
    idle = chain.unstarted().functions
    node = Node()
    for call in (
        idle.addBLSPublicKey(node.key, NO_SIGNATURE, node.params(), []),
        idle.updateRewardsBalance(chain.alice, 1, NO_SIGNATURE, []),
        idle.initiateExitBLSPublicKey(1),
        idle.exitBLSPublicKeyWithSignature(node.key, 0, NO_SIGNATURE, []),
        idle.exitBLSPublicKeyAfterWaitTime(1),
        idle.liquidateBLSPublicKeyWithSignature(node.key, 0, NO_SIGNATURE, []),
    ):
        assert chain.refused(call, chain.owner) == ("ContractNotStarted",)
    # Who may be paid may be so at any time.
    claim = idle.claimRewards()
    assert [log["address"] for log in chain.send(claim, chain.alice)["logs"]] == [claim.address, chain.token.address]


def test_a_pause_stops_all_but_claims(chain: Chain) -> None:
    rewards = chain.rewards.functions
    node = chain.join(chain.alice)
    reward = chain.rewarding(chain.alice, 5, [node])
    assert chain.refused(rewards.pause(), chain.alice) == ("OwnableUnauthorizedAccount", chain.alice)
    assert chain.refused(rewards.unpause(), chain.owner) == ("ExpectedPause",)
    chain.send(reward, chain.alice)
    assert chain.events(chain.send(rewards.pause(), chain.owner), chain.rewards) == [("Paused", chain.owner)]
    assert rewards.paused().call()
    assert chain.refused(rewards.pause(), chain.owner) == ("EnforcedPause",)
    for call in (
        rewards.addBLSPublicKey(node.key, NO_SIGNATURE, node.params(), []),
        chain.rewarding(chain.alice, 6, [node]),
        rewards.initiateExitBLSPublicKey(node.id),
        chain.exiting(node, [node], chain.now),
        rewards.exitBLSPublicKeyAfterWaitTime(node.id),
        chain.liquidating(node, [node], chain.now),
    ):
        assert chain.refused(call, chain.alice) == ("EnforcedPause",)
    receipt = chain.send(rewards.claimRewards(), chain.alice)
    assert chain.events(receipt, chain.rewards) == [("RewardsClaimed", chain.alice, 5)]
    assert chain.refused(rewards.unpause(), chain.alice) == ("OwnableUnauthorizedAccount", chain.alice)
    assert chain.events(chain.send(rewards.unpause(), chain.owner), chain.rewards) == [("Unpaused", chain.owner)]
    chain.send(chain.rewarding(chain.alice, 6, [node]), chain.alice)


def test_the_order_of_started_and_paused(chain: Chain) -> None:
    both = chain.unstarted()
    chain.send(both.functions.pause(), chain.owner)
    node = Node()
    adding = both.functions.addBLSPublicKey(node.key, NO_SIGNATURE, node.params(), [])
    assert chain.refused(adding, chain.owner) == ("ContractNotStarted",)
    for call in (
        both.functions.updateRewardsBalance(chain.alice, 1, NO_SIGNATURE, []),
        both.functions.exitBLSPublicKeyWithSignature(node.key, 0, NO_SIGNATURE, []),
        both.functions.liquidateBLSPublicKeyWithSignature(node.key, 0, NO_SIGNATURE, []),
        both.functions.initiateExitBLSPublicKey(1),
        both.functions.exitBLSPublicKeyAfterWaitTime(1),
    ):
        assert chain.refused(call, chain.owner) == ("EnforcedPause",)


def test_ownership_is_handed_over_in_two_steps(chain: Chain) -> None:
    rewards = chain.rewards.functions
    handing = rewards.transferOwnership(chain.alice)
    assert chain.refused(handing, chain.bob) == ("OwnableUnauthorizedAccount", chain.bob)
    assert chain.refused(rewards.renounceOwnership(), chain.bob) == ("OwnableUnauthorizedAccount", chain.bob)
    receipt = chain.send(handing, chain.owner)
    assert chain.events(receipt, chain.rewards) == [("OwnershipTransferStarted", chain.owner, chain.alice)]
    assert (rewards.owner().call(), rewards.pendingOwner().call()) == (chain.owner, chain.alice)
    assert chain.refused(rewards.acceptOwnership(), chain.bob) == ("OwnableUnauthorizedAccount", chain.bob)
    receipt = chain.send(rewards.acceptOwnership(), chain.alice)
    assert chain.events(receipt, chain.rewards) == [("OwnershipTransferred", chain.owner, chain.alice)]
    assert (rewards.owner().call(), rewards.pendingOwner().call()) == (chain.alice, ZERO)
    receipt = chain.send(rewards.renounceOwnership(), chain.alice)
    assert chain.events(receipt, chain.rewards) == [("OwnershipTransferred", chain.alice, ZERO)]


@pytest.mark.parametrize(
    ("setter", "getter", "event"),
    [
        ("setStakingRequirement", "stakingRequirement", "StakingRequirementUpdated"),
        ("setSignatureExpiry", "signatureExpiry", "SignatureExpiryUpdated"),
        ("setBLSNonSignerThresholdMax", "blsNonSignerThresholdMax", "BLSNonSignerThresholdMaxUpdated"),
        ("setClaimThreshold", "claimThreshold", "ClaimThresholdUpdated"),
        ("setClaimCycle", "claimCycle", "ClaimCycleUpdated"),
    ],
)
def test_the_owner_sets(chain: Chain, setter: str, getter: str, event: str) -> None:
    call = chain.rewards.functions[setter]
    assert chain.refused(call(0), chain.alice) == ("OwnableUnauthorizedAccount", chain.alice)
    assert chain.refused(call(0), chain.owner) == ("PositiveNumberRequirement",)
    assert chain.events(chain.send(call(7), chain.owner), chain.rewards) == [(event, 7)]
    assert chain.rewards.functions[getter]().call() == 7


def test_the_owner_sets_liquidation_ratios(chain: Chain) -> None:
    call = chain.rewards.functions.setLiquidationRatios
    assert chain.refused(call(1, 1, 0), chain.alice) == ("OwnableUnauthorizedAccount", chain.alice)
    assert chain.refused(call(1, 1, 0), chain.owner) == ("PositiveNumberRequirement",)
    assert chain.refused(call(1, 1, 5), chain.owner) == ("LiquidatorPenaltyTooHigh",)
    receipt = chain.send(call(1, 1, 6), chain.owner)
    assert chain.events(receipt, chain.rewards) == [("LiquidationRatiosUpdated", 1, 1, 6)]
    ratios = ("liquidatorRewardRatio", "poolShareOfLiquidationRatio", "recipientRatio")
    assert [chain.rewards.functions[name]().call() for name in ratios] == [1, 1, 6]


def test_only_the_owner_starts(chain: Chain) -> None:
    idle = chain.unstarted()
    assert chain.refused(idle.functions.start(), chain.alice) == ("OwnableUnauthorizedAccount", chain.alice)
    assert not chain.send(idle.functions.start(), chain.owner)["logs"]
    assert idle.functions.isStarted().call()
