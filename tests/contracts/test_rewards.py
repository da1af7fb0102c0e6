"""ServiceNodeRewards: every function, what it says, and every reason for which it refuses, in their order."""

from __future__ import annotations

from typing import Any

import pytest

from allium import _native
from allium.appchain.parameters import SESH
from allium.staking import abi, artifacts
from tests.support.chain import DAY, HOUR, NO_SIGNATURE, REQUIREMENT, ZERO, Chain, Node, raw, record_gas, stakes, words

MONTH = 30 * DAY


def node_of(chain: Chain, node: Node) -> Any:
    return chain.rewards.functions.serviceNodes(node.id).call()


# --- setting up


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


def test_initialising_happens_once_and_checks_the_ratios(chain: Chain, unstarted: Any) -> None:
    setting_up = chain.rewards.functions.initialize(ZERO, ZERO, 1, 1, 1, 1, 8)
    assert chain.refused(setting_up, chain.owner) == ("InvalidInitialization",)
    fresh = unstarted(initialised=False)

    def initialize(liquidator: int, pool: int, recipient: int) -> Any:
        return fresh.functions.initialize(ZERO, ZERO, 1, 1, liquidator, pool, recipient)

    assert chain.refused(initialize(0, 0, 0), chain.alice) == ("PositiveNumberRequirement",)
    assert chain.refused(initialize(3, 17, 59), chain.alice) == ("LiquidatorPenaltyTooHigh",)
    receipt = chain.send(initialize(3, 17, 60), chain.alice)
    assert chain.events(receipt, fresh) == [("OwnershipTransferred", ZERO, chain.alice), ("Initialized", 1)]
    assert fresh.functions.owner().call() == chain.alice


@pytest.fixture
def unstarted(chain: Chain) -> Any:
    """Makes a rewards contract that is not started."""

    def make(initialised: bool = True, requirement: int = REQUIREMENT) -> Any:
        artifact = artifacts.load("ServiceNodeRewards")
        made = chain.create(artifact, _with_age(abi.load("ServiceNodeRewards")), 7200, name="ServiceNodeRewards")
        if initialised:
            call = made.functions.initialize(chain.token.address, chain.pool.address, requirement, 10, 3, 17, 9980)
            chain.send(call, chain.owner)
        return made

    return make


def _with_age(entries: list[Any]) -> list[Any]:
    """The ABI with our constructor, which the published one leaves open."""
    age = {"name": "minimumExitAge", "type": "uint256"}
    return [*entries, {"type": "constructor", "stateMutability": "nonpayable", "inputs": [age]}]


def test_nothing_works_before_the_start(chain: Chain, unstarted: Any) -> None:
    idle = unstarted().functions
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


def test_the_order_of_started_and_paused(chain: Chain, unstarted: Any) -> None:
    both = unstarted()
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


def test_only_the_owner_starts(chain: Chain, unstarted: Any) -> None:
    idle = unstarted()
    assert chain.refused(idle.functions.start(), chain.alice) == ("OwnableUnauthorizedAccount", chain.alice)
    assert not chain.send(idle.functions.start(), chain.owner)["logs"]
    assert idle.functions.isStarted().call()


# --- joining


def test_a_solo_node_joins(chain: Chain) -> None:
    node = Node(id=1)
    before = chain.balance(chain.alice)
    receipt = chain.send(chain.adding(node, chain.alice, fee=65_535), chain.alice)
    contributors = (((chain.alice, chain.alice), REQUIREMENT),)
    assert chain.events(receipt, chain.rewards) == [
        ("NewServiceNodeV2", 1, chain.alice, node.key, node.params(65_535), contributors)
    ]
    assert chain.events(receipt, chain.token) == [("Transfer", chain.alice, chain.rewards.address, REQUIREMENT)]
    [log] = [log for log in receipt["logs"] if log["address"] == chain.rewards.address]
    sizes = words(bytes(log["data"]))
    assert sizes == (
        int(chain.alice, 16),
        *node.key,
        *node.params(65_535),
        0x100,
        1,
        int(chain.alice, 16),
        int(chain.alice, 16),
        REQUIREMENT,
    )
    assert chain.balance(chain.alice) == before - REQUIREMENT
    assert chain.balance(chain.rewards.address) == REQUIREMENT
    added = chain.w3.eth.get_block(receipt["blockNumber"])["timestamp"]
    assert node_of(chain, node) == (
        0,
        0,
        chain.alice,
        node.key,
        added,
        0,
        0,
        REQUIREMENT,
        [((chain.alice, chain.alice), REQUIREMENT)],
        node.params()[0],
    )
    rewards = chain.rewards.functions
    assert rewards.serviceNodeIDs(node.secret.public).call() == 1
    assert rewards.serviceNodeIDs(node.secret.public[:32]).call() == 0
    assert rewards.ed25519ToServiceNodeID(node.params()[0]).call() == 1
    assert rewards.aggregatePubkey().call() == node.key
    assert rewards.allServiceNodeIDs().call() == [[1], [node.key]]
    assert rewards.lastHeightPubkeyWasAggregated().call() == receipt["blockNumber"]


def test_a_node_of_several_joins(chain: Chain) -> None:
    contributors = [
        ((chain.alice, chain.dave), 6_250 * SESH),
        ((chain.bob, chain.bob), 10_000 * SESH),
        ((chain.bob, chain.carol), 8_750 * SESH),
    ]
    node = Node(id=1)
    # Whoever sends pays; the proof names the first contributor.
    receipt = chain.send(chain.adding(node, chain.alice, contributors), chain.carol)
    assert chain.events(receipt, chain.rewards) == [
        ("NewServiceNodeV2", 1, chain.carol, node.key, node.params(), tuple(contributors))
    ]
    assert chain.events(receipt, chain.token) == [("Transfer", chain.carol, chain.rewards.address, REQUIREMENT)]
    assert node_of(chain, node)[2] == chain.alice
    assert node_of(chain, node)[8] == contributors


def test_the_reasons_not_to_join_in_their_order(chain: Chain) -> None:
    first = chain.join(chain.alice)
    many = [((chain.bob, chain.bob), REQUIREMENT)] * 11
    add = chain.rewards.functions.addBLSPublicKey
    assert chain.refused(add(first.key, NO_SIGNATURE, first.params(), many), chain.alice) == (
        "MaxContributorsExceeded",
    )
    for amount in (REQUIREMENT - 1, REQUIREMENT + 1):
        refusal = chain.refused(
            add(first.key, NO_SIGNATURE, first.params(), [((chain.bob, chain.bob), amount)]), chain.alice
        )
        assert refusal == ("ContributionTotalMismatch", REQUIREMENT, amount)
    small = [((chain.bob, chain.bob), 6_250 * SESH - 1), ((chain.bob, chain.bob), 18_750 * SESH + 1)]
    assert chain.refused(add(first.key, NO_SIGNATURE, first.params(), small), chain.alice) == (
        "InsufficientOperatorContribution",
        6_250 * SESH - 1,
    )
    assert chain.refused(add(first.key, NO_SIGNATURE, first.params(), []), chain.alice) == (
        "BLSPubkeyAlreadyExists",
        1,
    )
    new = Node()
    assert chain.refused(add(new.key, NO_SIGNATURE, new.params(), []), chain.alice) == ("InvalidBLSProofOfPossession",)
    assert chain.refused(chain.adding(new, chain.alice), chain.bob) == ("InvalidBLSProofOfPossession",)
    assert chain.refused(add((0, 0), NO_SIGNATURE, new.params(), []), chain.alice) == ("NullBLSPubkey",)
    nameless = Node(ed25519=bytes(32))
    assert chain.refused(chain.adding(nameless, chain.alice), chain.alice) == ("NullEd25519Pubkey",)
    same = Node(ed25519=first.ed25519)
    assert chain.refused(chain.adding(same, chain.alice), chain.alice) == ("Ed25519PubkeyAlreadyExists", 1)
    chain.send(chain.token.functions.approve(chain.rewards.address, REQUIREMENT - 1), chain.bob)
    assert chain.refused(chain.adding(new, chain.bob), chain.bob) == (
        "ERC20InsufficientAllowance",
        chain.rewards.address,
        REQUIREMENT - 1,
        REQUIREMENT,
    )


def test_an_operator_of_a_quarter_and_ten_contributors_are_welcome(chain: Chain) -> None:
    others = [((account, account), 2_000 * SESH) for account in chain.w3.eth.accounts[:8]]
    contributors = [*stakes((chain.alice, 6_250)), *others, *stakes((chain.dave, 2_750))]
    node = chain.join(chain.alice, contributors)
    assert len(node_of(chain, node)[8]) == 10


def test_so_many_nodes_may_join_in_a_block(chain: Chain) -> None:
    adding = [chain.adding(Node(), chain.alice) for _ in range(21)]
    block = [
        {"from": chain.alice, "to": call.address, "data": call._encode_transaction_data(), "gas": "0x100000"}
        for call in adding
    ]
    with chain.mining_by_hand():
        hashes = [chain.rpc("eth_sendTransaction", transaction) for transaction in block]
        chain.rpc("evm_mine")
    receipts = [chain.w3.eth.get_transaction_receipt(sent) for sent in hashes]
    assert len({receipt["blockNumber"] for receipt in receipts}) == 1
    assert [receipt["status"] for receipt in receipts] == [1] * 20 + [0]
    trace = chain.rpc("debug_traceTransaction", hashes[-1], {"tracer": "callTracer"})
    assert trace["output"][:10] == "0xd13edcea"  # MaxPubkeyAggregationsExceeded
    rewards = chain.rewards.functions
    assert rewards.numPubkeyAggregationsForHeight().call() == 20
    assert rewards.totalNodes().call() == 20
    assert rewards.blsNonSignerThreshold().call() == 6
    # The next block starts afresh.
    chain.send(adding[-1], chain.alice)
    assert rewards.numPubkeyAggregationsForHeight().call() == 1


def seeds(chain: Chain, count: int) -> tuple[list[Node], list[Any]]:
    nodes = [Node(id=number + 1) for number in range(count)]
    return nodes, [(node.key, node.params()[0], 1000 + node.id, stakes((chain.alice, 25_000))) for node in nodes]


def test_a_list_of_nodes_is_seeded(chain: Chain, unstarted: Any) -> None:
    idle = unstarted()
    nodes, entries = seeds(chain, 7)
    entries[3] = (*entries[3][:3], stakes((chain.bob, 2500), *[(chain.alice, 2500)] * 9))
    receipt = chain.send(idle.functions.seedPublicKeyList(entries), chain.owner)
    assert chain.events(receipt, idle) == [
        ("NewSeededServiceNode", node.id, node.key, node.params()[0]) for node in nodes
    ]
    assert not chain.events(receipt, chain.token)
    assert idle.functions.totalNodes().call() == 7
    assert idle.functions.blsNonSignerThreshold().call() == 2
    fourth = idle.functions.serviceNodes(4).call()
    assert fourth[:5] == (5, 3, chain.bob, nodes[3].key, 1004)
    assert fourth[7] == REQUIREMENT and len(fourth[8]) == 10
    assert idle.functions.allServiceNodeIDs().call() == [[*range(1, 8)], [node.key for node in nodes]]
    assert idle.functions.serviceNodes(0).call()[:2] == (1, 7)


def test_the_reasons_not_to_seed(chain: Chain, unstarted: Any) -> None:
    idle = unstarted()
    seed = idle.functions.seedPublicKeyList
    _, [entry, other] = seeds(chain, 2)
    key, ed25519, timestamp, contributors = entry

    def refused(*nodes: Any) -> tuple[Any, ...]:
        return chain.refused(seed(list(nodes)), chain.owner)

    assert chain.refused(seed([entry]), chain.alice) == ("OwnableUnauthorizedAccount", chain.alice)
    assert chain.refused(chain.rewards.functions.seedPublicKeyList([entry]), chain.owner) == ("ContractAlreadyStarted",)
    assert refused((key, ed25519, timestamp, [])) == ("InsufficientContributors",)
    assert refused((key, ed25519, timestamp, contributors * 11)) == ("MaxContributorsExceeded",)
    for null in ((0, 1), (1, 0), (0, 0)):
        assert refused((null, ed25519, timestamp, contributors)) == ("NullBLSPubkey",)
    assert refused((key, 0, timestamp, contributors)) == ("NullEd25519Pubkey",)
    assert refused(entry, (key, 5, timestamp, contributors)) == ("BLSPubkeyAlreadyExists", 1)
    assert refused(entry, (other[0], ed25519, timestamp, contributors)) == ("Ed25519PubkeyAlreadyExists", 1)
    assert refused((key, ed25519, timestamp, stakes((ZERO, 1)))) == ("NullAddress",)
    assert refused((key, ed25519, timestamp, stakes((chain.bob, 24_999)))) == (
        "ContributionTotalMismatch",
        REQUIREMENT,
        24_999 * SESH,
    )
    assert refused(entry, ((1, 1), 5, timestamp, contributors)) == (
        "Error",
        "Call to precompiled contract for add failed",
    )


def test_thresholds_follow_the_number_of_nodes(chain: Chain, unstarted: Any) -> None:
    """`spec/economics` §8, as far as seeding reaches in one test."""
    idle = unstarted().functions
    _, entries = seeds(chain, 1050)
    seeded = 0

    def seed(size: int) -> None:
        nonlocal seeded
        while seeded < size:
            batch = entries[seeded : min(size, seeded + 40)]
            chain.send(idle.seedPublicKeyList(batch), chain.owner)
            seeded += len(batch)

    for size, absent, additions in (
        (1, 0, 20),
        (2, 0, 20),
        (3, 1, 20),
        (100, 33, 20),
        (1001, 333, 20),
        (1050, 350, 21),
    ):
        seed(size)
        assert idle.totalNodes().call() == size
        assert idle.blsNonSignerThreshold().call() == absent
        assert idle.maxPermittedPubkeyAggregations().call() == additions
    ids, keys = idle.allServiceNodeIDs().call()
    assert ids == [*range(1, 1051)]
    assert keys == [entry[0] for entry in entries]
    before = idle.aggregatePubkey().call()
    chain.send(idle.rederiveTotalNodesAndAggregatePubkey(), chain.alice)
    assert idle.aggregatePubkey().call() == before
    assert idle.totalNodes().call() == 1050


def test_the_cap_on_non_signers_waits_for_the_next_change_of_members(chain: Chain) -> None:
    for _ in range(6):
        chain.join(chain.alice)
    rewards = chain.rewards.functions
    chain.send(rewards.setBLSNonSignerThresholdMax(1), chain.owner)
    assert rewards.blsNonSignerThreshold().call() == 2
    chain.send(rewards.rederiveTotalNodesAndAggregatePubkey(), chain.owner)
    assert rewards.blsNonSignerThreshold().call() == 2
    chain.join(chain.alice)
    assert rewards.blsNonSignerThreshold().call() == 1


def test_the_sum_of_keys_is_derived_anew(chain: Chain) -> None:
    nodes = [chain.join(chain.alice) for _ in range(3)]
    rewards = chain.rewards.functions
    before = rewards.aggregatePubkey().call()
    assert not chain.send(rewards.rederiveTotalNodesAndAggregatePubkey(), chain.dave)["logs"]
    assert rewards.aggregatePubkey().call() == before
    assert rewards.totalNodes().call() == len(nodes)


# --- being paid


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


# --- leaving


def test_a_contributor_asks_to_leave(chain: Chain) -> None:
    contributors = stakes((chain.alice, 12_500), (chain.bob, 6_250), (chain.carol, 6_250))
    node = chain.join(chain.alice, contributors)
    ask = chain.rewards.functions.initiateExitBLSPublicKey(node.id)
    assert chain.refused(ask, chain.dave) == ("CallerNotContributor", node.id, chain.dave)
    nobodys = chain.rewards.functions.initiateExitBLSPublicKey(77)
    assert chain.refused(nobodys, chain.alice) == ("CallerNotContributor", 77, chain.alice)
    receipt = chain.send(ask, chain.bob)  # a quarter is not small
    asked = chain.w3.eth.get_block(receipt["blockNumber"])["timestamp"]
    assert chain.events(receipt, chain.rewards) == [("ServiceNodeExitRequest", node.id, chain.bob, node.key)]
    assert not chain.events(receipt, chain.token)
    assert node_of(chain, node)[5:7] == (asked, asked)
    chain.at_time(asked + 3599)
    assert chain.refused(ask, chain.alice) == ("LeaveRequestTooEarly", node.id, asked + 3600, chain.now)
    chain.send_at(asked + 3600, ask, chain.alice)
    assert node_of(chain, node)[5:7] == (asked, asked + 3600)


def test_small_contributors_wait_thirty_days(chain: Chain) -> None:
    contributors = [
        ((chain.alice, chain.alice), 18_750 * SESH + 1),
        ((chain.bob, chain.bob), 6_250 * SESH - 1),
    ]
    node = chain.join(chain.alice, contributors)
    added = node_of(chain, node)[4]
    ask = chain.rewards.functions.initiateExitBLSPublicKey(node.id)
    chain.at_time(added + MONTH - 1)
    assert chain.refused(ask, chain.bob) == ("SmallContributorLeaveTooEarly", node.id, chain.bob)
    snapshot = chain.rpc("evm_snapshot")
    chain.send_at(added + MONTH, ask, chain.bob)
    assert node_of(chain, node)[5] == added + MONTH
    chain.rpc("evm_revert", snapshot)


def test_a_small_contributor_may_repeat_what_another_asked(chain: Chain) -> None:
    contributors = [
        ((chain.alice, chain.alice), 18_750 * SESH + 1),
        ((chain.bob, chain.bob), 6_250 * SESH - 1),
    ]
    node = chain.join(chain.alice, contributors)
    ask = chain.rewards.functions.initiateExitBLSPublicKey(node.id)
    chain.send(ask, chain.alice)
    chain.at_time(chain.now + HOUR)
    chain.send(ask, chain.bob)


def test_the_network_lets_a_node_go(chain: Chain) -> None:
    nodes = [chain.join(chain.alice) for _ in range(4)]
    leaver = nodes[1]
    chain.at_time(chain.now + 2 * HOUR)
    held = chain.balance(chain.rewards.address)
    receipt = chain.send(chain.exiting(leaver, nodes[1:], chain.now, nodes[:1]), chain.dave)
    assert chain.events(receipt, chain.rewards) == [("ServiceNodeExit", leaver.id, chain.dave, REQUIREMENT, leaver.key)]
    assert chain.balance(chain.rewards.address) == held  # the stake stays until the network adds it to a reward
    rewards = chain.rewards.functions
    assert rewards.totalNodes().call() == 3
    assert rewards.blsNonSignerThreshold().call() == 1
    assert rewards.serviceNodes(leaver.id).call() == (0, 0, ZERO, (0, 0), 0, 0, 0, 0, [], 0)
    assert rewards.serviceNodeIDs(leaver.secret.public).call() == 0
    assert rewards.ed25519ToServiceNodeID(leaver.params()[0]).call() == 0
    assert rewards.allServiceNodeIDs().call()[0] == [1, 3, 4]
    assert rewards.serviceNodes(3).call()[:2] == (4, 1)
    # Those who are left sign without it, and it may come back under a new id.
    chain.send(chain.rewarding(chain.bob, 5, [nodes[0], nodes[2], nodes[3]]), chain.bob)
    chain.send(chain.adding(leaver, chain.alice), chain.alice)
    assert rewards.serviceNodeIDs(leaver.secret.public).call() == 5


def test_the_last_node_leaves_and_a_first_one_comes(chain: Chain) -> None:
    node = chain.join(chain.alice)
    chain.at_time(chain.now + 2 * HOUR)
    chain.send(chain.exiting(node, [node], chain.now), chain.alice)
    assert chain.rewards.functions.aggregatePubkey().call() == (0, 0)
    second = chain.join(chain.bob)
    assert chain.rewards.functions.aggregatePubkey().call() == second.key


@pytest.mark.parametrize("call_name", ["exiting", "liquidating"])
def test_the_reasons_not_to_leave_in_their_order(chain: Chain, call_name: str) -> None:
    nodes = [chain.join(chain.alice) for _ in range(4)]
    leaving = getattr(chain, call_name)
    leaver, stranger = nodes[0], Node()
    added = node_of(chain, leaver)[4]
    assert chain.refused(leaving(stranger, nodes[2:], 0, nodes[:2]), chain.bob) == ("InsufficientBLSSignatures", 2, 3)
    assert chain.refused(leaving(stranger, nodes, 0), chain.bob) == ("BLSPubkeyDoesNotExist", stranger.key)
    now = chain.now
    assert chain.refused(leaving(leaver, nodes, now - 601), chain.bob) == (
        "SignatureExpired",
        leaver.id,
        now - 601,
        now,
    )
    assert chain.refused(leaving(leaver, nodes, now - 600), chain.bob) == ("ExitTooEarly", leaver.id, added, now)
    chain.at_time(added + 2 * HOUR - 1)
    assert chain.refused(leaving(leaver, nodes, chain.now), chain.bob) == (
        "ExitTooEarly",
        leaver.id,
        added,
        added + 2 * HOUR - 1,
    )
    chain.at_time(added + 2 * HOUR)
    now = chain.now
    name, signers = chain.refused(leaving(leaver, nodes[1:], now), chain.bob)
    assert (name, signers) == ("InvalidBLSSignature", chain.rewards.functions.aggregatePubkey().call())
    other = "liquidating" if call_name == "exiting" else "exiting"
    wrong = getattr(chain, other)(leaver, nodes, now).arguments  # the other message's signature
    function = leaving(leaver, nodes, now)
    swapped = chain.rewards.functions[function.fn_name](*wrong)
    assert chain.refused(swapped, chain.bob)[0] == "InvalidBLSSignature"
    chain.send(leaving(leaver, nodes[1:], now + 10 * DAY, nodes[:1]), chain.bob)  # a time to come is accepted


def test_anybody_lets_a_node_go_that_asked_thirty_days_ago(chain: Chain) -> None:
    nodes = [chain.join(chain.alice) for _ in range(2)]
    leave = chain.rewards.functions.exitBLSPublicKeyAfterWaitTime
    assert chain.refused(leave(1), chain.dave) == ("LeaveRequestNotInitiatedYet", 1)
    assert chain.refused(leave(0), chain.dave) == ("LeaveRequestNotInitiatedYet", 0)
    assert chain.refused(leave(55), chain.dave) == ("LeaveRequestNotInitiatedYet", 55)
    chain.send(chain.rewards.functions.initiateExitBLSPublicKey(1), chain.alice)
    asked = chain.now
    chain.at_time(asked + MONTH - 1)
    assert chain.refused(leave(1), chain.dave) == ("LeaveRequestTooEarly", 1, asked + MONTH, chain.now)
    receipt = chain.send_at(asked + MONTH, leave(1), chain.dave)
    assert chain.events(receipt, chain.rewards) == [("ServiceNodeExit", 1, chain.dave, REQUIREMENT, nodes[0].key)]
    assert chain.rewards.functions.totalNodes().call() == 1


@pytest.mark.parametrize(
    ("deposit", "ratios", "liquidator", "pool", "returned"),
    [
        (25_000 * SESH, (3, 17, 9980), 7_500_000_000, 42_500_000_000, 24_950_000_000_000),
        (20_000 * SESH, (3, 17, 9980), 6_000_000_000, 34_000_000_000, 19_960_000_000_000),
        (120 * SESH, (1, 1, 8), 12_000_000_000, 12_000_000_000, 96_000_000_000),
        (25_000 * SESH + 1, (3, 17, 9980), 7_500_000_000, 42_500_000_001, 24_950_000_000_000),
        (100, (0, 0, 1), 0, 0, 100),
        (100, (0, 1, 4), 0, 20, 80),
        (101, (1, 0, 9), 10, 0, 91),
    ],
)
def test_a_liquidation_is_split(
    chain: Chain, deposit: int, ratios: tuple[int, int, int], liquidator: int, pool: int, returned: int
) -> None:
    """`spec/economics` §6."""
    rewards = chain.rewards.functions
    chain.send(rewards.setStakingRequirement(deposit), chain.owner)
    chain.send(rewards.setLiquidationRatios(*ratios), chain.owner)
    node = chain.join(chain.alice)
    chain.at_time(chain.now + 2 * HOUR)
    receipt = chain.send(chain.liquidating(node, [node], chain.now), chain.dave)
    assert chain.events(receipt, chain.rewards) == [
        ("ServiceNodeLiquidated", node.id, chain.dave, node.key),
        ("ServiceNodeExit", node.id, chain.dave, returned, node.key),
    ]
    paid = [("Transfer", chain.rewards.address, chain.dave, liquidator)] if ratios[0] else []
    paid += [("Transfer", chain.rewards.address, chain.pool.address, pool)] if ratios[1] else []
    assert chain.events(receipt, chain.token) == paid
    assert liquidator + pool + returned == deposit


def test_a_liquidation_with_none_and_one_and_too_many_absent(chain: Chain) -> None:
    nodes = [chain.join(chain.alice) for _ in range(5)]
    chain.at_time(chain.now + 2 * HOUR)
    now = chain.now
    assert chain.refused(chain.liquidating(nodes[0], nodes[2:], now, nodes[:2]), chain.dave) == (
        "InsufficientBLSSignatures",
        3,
        4,
    )
    chain.send(chain.liquidating(nodes[0], nodes, now), chain.dave)
    chain.send(chain.liquidating(nodes[1], nodes[1:4], now, nodes[4:]), chain.dave)
    assert chain.rewards.functions.totalNodes().call() == 3


def test_a_third_of_a_large_network_does_not_sign(chain: Chain, unstarted: Any) -> None:
    """What each non-signer costs."""
    large = unstarted()
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
