# pragma version ~=0.4.3
"""
@title Who is a node, and what the network has signed that it may be paid
@license Apache-2.0 OR MIT
@notice Stakes come in, the network's aggregated BLS signatures say who leaves and what anybody has earned in all.
        The contract holds the stakes and the rewards; the network tells its ABI only, so its storage is its own.
"""

from ethereum.ercs import IERC20

from . import bn254
from . import owned
from . import pausable
from . import types

initializes: owned
initializes: pausable[owned := owned]

exports: (
    owned.owner,
    owned.pendingOwner,
    owned.transferOwnership,
    owned.acceptOwnership,
    owned.renounceOwnership,
    pausable.paused,
    pausable.pause,
    pausable.unpause,
)


event NewSeededServiceNode:
    serviceNodeID: indexed(uint64)
    blsPubkey: types.G1Point
    ed25519Pubkey: uint256


event NewServiceNodeV2:
    serviceNodeID: indexed(uint64)
    initiator: address
    pubkey: types.G1Point
    serviceNode: types.ServiceNodeParams
    contributors: DynArray[types.Contributor, types.MAX_CONTRIBUTORS]


event RewardsBalanceUpdated:
    recipientAddress: indexed(address)
    amount: uint256
    previousBalance: uint256


event RewardsClaimed:
    recipientAddress: indexed(address)
    amount: uint256


event BLSNonSignerThresholdMaxUpdated:
    newMax: uint256


event ClaimThresholdUpdated:
    newThreshold: uint256


event ClaimCycleUpdated:
    newValue: uint256


event LiquidationRatiosUpdated:
    liquidatorRatio: uint256
    poolRatio: uint256
    recipientRatio: uint256


event ServiceNodeLiquidated:
    serviceNodeID: indexed(uint64)
    initiator: address
    pubkey: types.G1Point


event ServiceNodeExit:
    serviceNodeID: indexed(uint64)
    initiator: address
    returnedAmount: uint256
    pubkey: types.G1Point


event ServiceNodeExitRequest:
    serviceNodeID: indexed(uint64)
    initiator: address
    pubkey: types.G1Point


event StakingRequirementUpdated:
    newRequirement: uint256


event SignatureExpiryUpdated:
    newExpiry: uint256


# Lifetime totals.
struct Recipient:
    rewards: uint256
    claimed: uint256


VERSION: public(constant(uint64)) = 1
LIST_SENTINEL: public(constant(uint64)) = 0
MAX_SERVICE_NODE_EXIT_WAIT_TIME: public(constant(uint256)) = 30 * 86_400
MAX_PERMITTED_PUBKEY_AGGREGATIONS_LOWER_BOUND: public(constant(uint256)) = 20
MIN_TIME_BEFORE_REPEATED_LEAVE_REQUEST: public(constant(uint256)) = 3600
SMALL_CONTRIBUTOR_LEAVE_DELAY: public(constant(uint256)) = 30 * 86_400
SMALL_CONTRIBUTOR_DIVISOR: public(constant(uint256)) = 4

# How old a node is before the network's signature can remove it, in seconds. Two hours but on networks for tests.
MINIMUM_EXIT_AGE: immutable(uint256)

isStarted: public(bool)
designatedToken: public(IERC20)
foundationPool: public(IERC20)
nextServiceNodeID: public(uint64)
totalNodes: public(uint256)
blsNonSignerThreshold: public(uint256)
blsNonSignerThresholdMax: public(uint256)
signatureExpiry: public(uint256)
proofOfPossessionTag: public(bytes32)
rewardTag: public(bytes32)
exitTag: public(bytes32)
liquidateTag: public(bytes32)
hashToG2Tag: public(bytes32)
stakingRequirement: public(uint256)
maxContributors: public(uint256)
liquidatorRewardRatio: public(uint256)
poolShareOfLiquidationRatio: public(uint256)
recipientRatio: public(uint256)
recipients: public(HashMap[address, Recipient])
lastHeightPubkeyWasAggregated: public(uint256)
numPubkeyAggregationsForHeight: public(uint256)
claimThreshold: public(uint256)
claimCycle: public(uint256)
currentClaimTotal: public(uint256)
currentClaimCycle: public(uint256)
# By X || Y, 32 bytes each.
serviceNodeIDs: public(HashMap[Bytes[64], uint64])
ed25519ToServiceNodeID: public(HashMap[uint256, uint64])
# A ring in the order of joining, closed by LIST_SENTINEL.
_nodes: HashMap[uint64, types.ServiceNode]
_aggregate: types.G1Point


@deploy
def __init__(minimumExitAge: uint256):
    MINIMUM_EXIT_AGE = minimumExitAge


@external
def initialize(
    token_: address,
    foundationPool_: address,
    stakingRequirement_: uint256,
    maxContributors_: uint256,
    liquidatorRewardRatio_: uint256,
    poolShareOfLiquidationRatio_: uint256,
    recipientRatio_: uint256,
):
    owned._initialize()
    if recipientRatio_ < 1:
        raw_revert(method_id("PositiveNumberRequirement()"))
    self._check_penalty(liquidatorRewardRatio_, poolShareOfLiquidationRatio_, recipientRatio_)
    self.nextServiceNodeID = 1
    self.blsNonSignerThresholdMax = 4000
    self.signatureExpiry = 600
    self.claimThreshold = 1_000_000 * 10**9
    self.claimCycle = 43_200
    self.proofOfPossessionTag = self._tag(b"BLS_SIG_TRYANDINCREMENT_POP")
    self.rewardTag = self._tag(b"BLS_SIG_TRYANDINCREMENT_REWARD")
    self.exitTag = self._tag(b"BLS_SIG_TRYANDINCREMENT_EXIT")
    self.liquidateTag = self._tag(b"BLS_SIG_TRYANDINCREMENT_LIQUIDATE")
    self.hashToG2Tag = self._tag(b"BLS_SIG_HASH_TO_FIELD_TAG")
    self.designatedToken = IERC20(token_)
    self.foundationPool = IERC20(foundationPool_)
    self.stakingRequirement = stakingRequirement_
    self.maxContributors = maxContributors_
    self.liquidatorRewardRatio = liquidatorRewardRatio_
    self.poolShareOfLiquidationRatio = poolShareOfLiquidationRatio_
    self.recipientRatio = recipientRatio_


@internal
@view
def _tag(base: Bytes[33]) -> bytes32:
    return keccak256(concat(base, convert(chain.id, bytes32), convert(self, bytes20)))


# --- who may call, and when


@internal
@view
def _when_started():
    if not self.isStarted:
        raw_revert(method_id("ContractNotStarted()"))


@internal
@view
def _check_signers_may(absent: uint256):
    pausable._when_not_paused()
    self._when_started()
    if absent > self.blsNonSignerThreshold:
        raw_revert(
            abi_encode(
                self.totalNodes - absent,
                self.totalNodes - self.blsNonSignerThreshold,
                method_id=method_id("InsufficientBLSSignatures(uint256,uint256)"),
            )
        )


# --- joining


@external
def addBLSPublicKey(
    blsPubkey: types.G1Point,
    blsSignature: types.BLSSignatureParams,
    serviceNodeParams: types.ServiceNodeParams,
    contributors: DynArray[types.Contributor, types.MAX_CONTRIBUTORS],
):
    self._when_started()
    pausable._when_not_paused()
    if len(contributors) > self.maxContributors:
        raw_revert(method_id("MaxContributorsExceeded()"))
    required: uint256 = self.stakingRequirement
    staked: DynArray[types.Contributor, types.MAX_CONTRIBUTORS] = contributors
    if len(staked) == 0:
        staked = [
            types.Contributor(staker=types.Staker(addr=msg.sender, beneficiary=msg.sender), stakedAmount=required)
        ]
    else:
        self._check_total(staked, required)
        if staked[0].stakedAmount * SMALL_CONTRIBUTOR_DIVISOR < required:
            raw_revert(
                abi_encode(staked[0].stakedAmount, method_id=method_id("InsufficientOperatorContribution(uint256)"))
            )
    self._check_new_key(blsPubkey)
    operator: address = staked[0].staker.addr
    self._check_possession(blsPubkey, blsSignature, operator, serviceNodeParams.serviceNodePubkey)
    id: uint64 = self._add(blsPubkey, serviceNodeParams.serviceNodePubkey, operator, required)
    self._nodes[id].contributors = staked
    self._update_threshold()
    log NewServiceNodeV2(
        serviceNodeID=id,
        initiator=msg.sender,
        pubkey=blsPubkey,
        serviceNode=serviceNodeParams,
        contributors=staked,
    )
    assert extcall self.designatedToken.transferFrom(msg.sender, self, required, default_return_value=True)


@external
def validateProofOfPossession(
    blsPubkey: types.G1Point, blsSignature: types.BLSSignatureParams, caller: address, serviceNodePubkey: uint256
):
    self._check_possession(blsPubkey, blsSignature, caller, serviceNodePubkey)


@internal
@view
def _check_possession(
    key: types.G1Point, signature: types.BLSSignatureParams, operator: address, ed25519: uint256
):
    message: Bytes[148] = concat(
        self.proofOfPossessionTag,
        convert(key.X, bytes32),
        convert(key.Y, bytes32),
        convert(operator, bytes20),
        convert(ed25519, bytes32),
    )
    if not bn254._verify(key, message, self.hashToG2Tag, signature):
        raw_revert(method_id("InvalidBLSProofOfPossession()"))


@internal
@pure
def _check_total(contributors: DynArray[types.Contributor, types.MAX_CONTRIBUTORS], required: uint256):
    total: uint256 = 0
    for contributor: types.Contributor in contributors:
        total += contributor.stakedAmount
    if total != required:
        raw_revert(
            abi_encode(required, total, method_id=method_id("ContributionTotalMismatch(uint256,uint256)"))
        )


@internal
@view
def _check_new_key(key: types.G1Point):
    id: uint64 = self.serviceNodeIDs[abi_encode(key)]
    if id != 0:
        raw_revert(abi_encode(id, method_id=method_id("BLSPubkeyAlreadyExists(uint64)")))


@internal
def _add(key: types.G1Point, ed25519: uint256, operator: address, deposit: uint256) -> uint64:
    if key.X == 0 or key.Y == 0:
        raw_revert(method_id("NullBLSPubkey()"))
    if ed25519 == 0:
        raw_revert(method_id("NullEd25519Pubkey()"))
    self._check_new_key(key)
    known: uint64 = self.ed25519ToServiceNodeID[ed25519]
    if known != 0:
        raw_revert(abi_encode(known, method_id=method_id("Ed25519PubkeyAlreadyExists(uint64)")))
    if self.isStarted:
        if block.number > self.lastHeightPubkeyWasAggregated:
            self.lastHeightPubkeyWasAggregated = block.number
            self.numPubkeyAggregationsForHeight = 0
        self.numPubkeyAggregationsForHeight += 1
        if self.numPubkeyAggregationsForHeight > self._permitted_aggregations():
            raw_revert(method_id("MaxPubkeyAggregationsExceeded()"))

    id: uint64 = self.nextServiceNodeID
    self.nextServiceNodeID = id + 1
    last: uint64 = self._nodes[LIST_SENTINEL].prev
    self._nodes[last].next = id
    self._nodes[LIST_SENTINEL].prev = id
    # A new node's `next` is LIST_SENTINEL already.
    self._nodes[id].prev = last
    self._nodes[id].operator = operator
    self._nodes[id].blsPubkey = key
    self._nodes[id].addedTimestamp = block.timestamp
    self._nodes[id].deposit = deposit
    self._nodes[id].ed25519Pubkey = ed25519
    self.serviceNodeIDs[abi_encode(key)] = id
    self.ed25519ToServiceNodeID[ed25519] = id
    self.totalNodes += 1
    if self.totalNodes == 1:
        self._aggregate = key
    else:
        self._aggregate = bn254._add(self._aggregate, key)
    return id


@external
def seedPublicKeyList(nodes: DynArray[types.SeedServiceNode, types.MAX_SEEDED]):
    owned._only_owner()
    if self.isStarted:
        raw_revert(method_id("ContractAlreadyStarted()"))
    required: uint256 = self.stakingRequirement
    for node: types.SeedServiceNode in nodes:
        if len(node.contributors) == 0:
            raw_revert(method_id("InsufficientContributors()"))
        if len(node.contributors) > self.maxContributors:
            raw_revert(method_id("MaxContributorsExceeded()"))
        id: uint64 = self._add(node.blsPubkey, node.ed25519Pubkey, node.contributors[0].staker.addr, required)
        self._nodes[id].addedTimestamp = node.addedTimestamp
        for contributor: types.Contributor in node.contributors:
            if contributor.staker.addr == empty(address):
                raw_revert(method_id("NullAddress()"))
        self._check_total(node.contributors, required)
        self._nodes[id].contributors = node.contributors
        log NewSeededServiceNode(serviceNodeID=id, blsPubkey=node.blsPubkey, ed25519Pubkey=node.ed25519Pubkey)
    self._update_threshold()


# --- being paid


@external
def updateRewardsBalance(
    recipientAddress: address,
    recipientRewards: uint256,
    blsSignature: types.BLSSignatureParams,
    ids: DynArray[uint64, types.MAX_NON_SIGNERS],
):
    self._check_signers_may(len(ids))
    self._update_rewards(recipientAddress, recipientRewards, blsSignature)


@internal
def _update_rewards(recipientAddress: address, recipientRewards: uint256, blsSignature: types.BLSSignatureParams):
    if recipientAddress == empty(address):
        raw_revert(method_id("NullAddress()"))
    previous: uint256 = self.recipients[recipientAddress].rewards
    if previous >= recipientRewards:
        raw_revert(method_id("RecipientRewardsTooLow()"))
    self._check_signature(
        6,
        concat(self.rewardTag, convert(recipientAddress, bytes20), convert(recipientRewards, bytes32)),
        blsSignature,
    )
    self.recipients[recipientAddress].rewards = recipientRewards
    log RewardsBalanceUpdated(
        recipientAddress=recipientAddress, amount=recipientRewards, previousBalance=previous
    )


@internal
@view
def _check_signature(index: uint256, message: Bytes[148], signature: types.BLSSignatureParams):
    """
    @notice Whether the network has signed, but for the nodes that the call's argument at word `index` names.
            Vyper lays what a function needs behind its longest possible arguments, and memory that far out is dear. So
            nothing else may be in functions with `ids`, and those, decoded and in bounds there, are read again here.
    """
    absent: types.G1Point = empty(types.G1Point)
    start: uint256 = 4 + self._word(4 + 32 * index)
    for i: uint256 in range(self._word(start), bound=types.MAX_NON_SIGNERS):
        id: uint64 = convert(self._word(start + 32 + 32 * i), uint64)
        absent = bn254._add(absent, self._nodes[id].blsPubkey)
    signers: types.G1Point = bn254._add(self._aggregate, bn254._negate(absent))
    # The neutral key, which is left when there are no nodes, would be content with the neutral signature.
    if signers.Y == 0 or not bn254._verify(signers, message, self.hashToG2Tag, signature):
        raw_revert(abi_encode(signers, method_id=method_id("InvalidBLSSignature((uint256,uint256))")))


@internal
@view
def _word(position: uint256) -> uint256:
    return convert(slice(msg.data, position, 32), uint256)


@external
def claimRewards(amount: uint256 = 0):
    # Vyper's way of overloading: without an argument everything is claimed.
    claimed: uint256 = amount
    if slice(msg.data, 0, 4) == method_id("claimRewards()"):
        claimed = self.recipients[msg.sender].rewards - self.recipients[msg.sender].claimed
    elif amount > self.recipients[msg.sender].rewards - self.recipients[msg.sender].claimed:
        raw_revert(method_id("MaxClaimExceeded()"))
    cycle: uint256 = block.timestamp // self.claimCycle
    if cycle > self.currentClaimCycle:
        self.currentClaimCycle = cycle
        self.currentClaimTotal = 0
    self.currentClaimTotal += claimed
    if self.currentClaimTotal > self.claimThreshold:
        raw_revert(method_id("ClaimThresholdExceeded()"))
    self.recipients[msg.sender].claimed += claimed
    log RewardsClaimed(recipientAddress=msg.sender, amount=claimed)
    self._pay(msg.sender, claimed)


@internal
def _pay(to: address, amount: uint256):
    assert extcall self.designatedToken.transfer(to, amount, default_return_value=True)


# --- leaving


@external
def initiateExitBLSPublicKey(serviceNodeID: uint64):
    pausable._when_not_paused()
    self._when_started()
    stake: uint256 = self._stake_of(serviceNodeID, msg.sender)
    if self._nodes[serviceNodeID].leaveRequestTimestamp == 0:
        if (
            SMALL_CONTRIBUTOR_DIVISOR * stake < self._nodes[serviceNodeID].deposit
            and block.timestamp < self._nodes[serviceNodeID].addedTimestamp + SMALL_CONTRIBUTOR_LEAVE_DELAY
        ):
            raw_revert(
                abi_encode(
                    serviceNodeID, msg.sender, method_id=method_id("SmallContributorLeaveTooEarly(uint64,address)")
                )
            )
        self._nodes[serviceNodeID].leaveRequestTimestamp = block.timestamp
    else:
        self._check_leave_time(
            serviceNodeID,
            self._nodes[serviceNodeID].latestLeaveRequestTimestamp + MIN_TIME_BEFORE_REPEATED_LEAVE_REQUEST,
        )
    self._nodes[serviceNodeID].latestLeaveRequestTimestamp = block.timestamp
    log ServiceNodeExitRequest(
        serviceNodeID=serviceNodeID, initiator=msg.sender, pubkey=self._nodes[serviceNodeID].blsPubkey
    )


@internal
@view
def _stake_of(id: uint64, staker: address) -> uint256:
    for i: uint256 in range(len(self._nodes[id].contributors), bound=types.MAX_CONTRIBUTORS):
        if self._nodes[id].contributors[i].staker.addr == staker:
            return self._nodes[id].contributors[i].stakedAmount
    raw_revert(abi_encode(id, staker, method_id=method_id("CallerNotContributor(uint64,address)")))


@internal
@view
def _check_leave_time(id: uint64, end: uint256):
    if block.timestamp < end:
        raw_revert(
            abi_encode(
                id, end, block.timestamp, method_id=method_id("LeaveRequestTooEarly(uint64,uint256,uint256)")
            )
        )


@external
def exitBLSPublicKeyWithSignature(
    blsPubkey: types.G1Point,
    timestamp: uint256,
    blsSignature: types.BLSSignatureParams,
    ids: DynArray[uint64, types.MAX_NON_SIGNERS],
):
    self._check_signers_may(len(ids))
    self._exit_signed(blsPubkey, timestamp, blsSignature)


@internal
def _exit_signed(key: types.G1Point, timestamp: uint256, signature: types.BLSSignatureParams):
    id: uint64 = self._check_leaver(self.exitTag, key, timestamp, signature)
    self._exit(id, self._nodes[id].deposit)


@external
def exitBLSPublicKeyAfterWaitTime(serviceNodeID: uint64):
    pausable._when_not_paused()
    self._when_started()
    requested: uint256 = self._nodes[serviceNodeID].leaveRequestTimestamp
    if requested == 0:
        raw_revert(abi_encode(serviceNodeID, method_id=method_id("LeaveRequestNotInitiatedYet(uint64)")))
    self._check_leave_time(serviceNodeID, requested + MAX_SERVICE_NODE_EXIT_WAIT_TIME)
    self._exit(serviceNodeID, self._nodes[serviceNodeID].deposit)


@external
def liquidateBLSPublicKeyWithSignature(
    blsPubkey: types.G1Point,
    timestamp: uint256,
    blsSignature: types.BLSSignatureParams,
    ids: DynArray[uint64, types.MAX_NON_SIGNERS],
):
    self._check_signers_may(len(ids))
    self._liquidate(blsPubkey, timestamp, blsSignature)


@internal
def _liquidate(key: types.G1Point, timestamp: uint256, signature: types.BLSSignatureParams):
    id: uint64 = self._check_leaver(self.liquidateTag, key, timestamp, signature)
    log ServiceNodeLiquidated(serviceNodeID=id, initiator=msg.sender, pubkey=key)
    deposit: uint256 = self._nodes[id].deposit
    liquidator: uint256 = self.liquidatorRewardRatio
    pool: uint256 = self.poolShareOfLiquidationRatio
    sum: uint256 = liquidator + pool + self.recipientRatio
    liquidator_amount: uint256 = deposit * liquidator // sum
    pool_amount: uint256 = (deposit * pool + sum - 1) // sum
    self._exit(id, deposit - liquidator_amount - pool_amount)
    if liquidator > 0:
        self._pay(msg.sender, liquidator_amount)
    if pool > 0:
        self._pay(self.foundationPool.address, pool_amount)


@internal
@view
def _check_leaver(
    tag: bytes32, key: types.G1Point, timestamp: uint256, signature: types.BLSSignatureParams
) -> uint64:
    id: uint64 = self.serviceNodeIDs[abi_encode(key)]
    if id == 0:
        raw_revert(abi_encode(key, method_id=method_id("BLSPubkeyDoesNotExist((uint256,uint256))")))
    if block.timestamp > timestamp + self.signatureExpiry:
        raw_revert(
            abi_encode(
                id, timestamp, block.timestamp, method_id=method_id("SignatureExpired(uint64,uint256,uint256)")
            )
        )
    added: uint256 = self._nodes[id].addedTimestamp
    if block.timestamp < added + MINIMUM_EXIT_AGE:
        raw_revert(
            abi_encode(id, added, block.timestamp, method_id=method_id("ExitTooEarly(uint64,uint256,uint256)"))
        )
    self._check_signature(
        7, concat(tag, convert(key.X, bytes32), convert(key.Y, bytes32), convert(timestamp, bytes32)), signature
    )
    return id


@internal
def _exit(id: uint64, returned: uint256):
    """
    @notice The stake stays here: it is paid when the network has added it to the lifetime total of who staked it.
    """
    key: types.G1Point = self._nodes[id].blsPubkey
    prev: uint64 = self._nodes[id].prev
    next: uint64 = self._nodes[id].next
    self._nodes[prev].next = next
    self._nodes[next].prev = prev
    self._aggregate = bn254._add(self._aggregate, bn254._negate(key))
    self.serviceNodeIDs[abi_encode(key)] = 0
    self.ed25519ToServiceNodeID[self._nodes[id].ed25519Pubkey] = 0
    self._nodes[id] = empty(types.ServiceNode)
    self.totalNodes -= 1
    self._update_threshold()
    log ServiceNodeExit(serviceNodeID=id, initiator=msg.sender, returnedAmount=returned, pubkey=key)


@internal
def _update_threshold():
    self.blsNonSignerThreshold = min(self.totalNodes // 3, self.blsNonSignerThresholdMax)


@internal
@view
def _permitted_aggregations() -> uint256:
    return max(MAX_PERMITTED_PUBKEY_AGGREGATIONS_LOWER_BOUND, self.totalNodes * 2 // 100)


@external
def rederiveTotalNodesAndAggregatePubkey():
    total: uint256 = 0
    aggregate: types.G1Point = empty(types.G1Point)
    id: uint64 = self._nodes[LIST_SENTINEL].next
    for _: uint64 in range(max_value(uint64)):
        if id == LIST_SENTINEL:
            break
        total += 1
        aggregate = bn254._add(aggregate, self._nodes[id].blsPubkey)
        id = self._nodes[id].next
    self.totalNodes = total
    self._aggregate = aggregate


# --- the owner


@external
def start():
    owned._only_owner()
    self.isStarted = True


@external
def setStakingRequirement(newRequirement: uint256):
    self._only_owner_positive(newRequirement)
    self.stakingRequirement = newRequirement
    log StakingRequirementUpdated(newRequirement=newRequirement)


@external
def setSignatureExpiry(newExpiry: uint256):
    self._only_owner_positive(newExpiry)
    self.signatureExpiry = newExpiry
    log SignatureExpiryUpdated(newExpiry=newExpiry)


@external
def setBLSNonSignerThresholdMax(newMax: uint256):
    self._only_owner_positive(newMax)
    self.blsNonSignerThresholdMax = newMax
    log BLSNonSignerThresholdMaxUpdated(newMax=newMax)


@external
def setClaimThreshold(newMax: uint256):
    self._only_owner_positive(newMax)
    self.claimThreshold = newMax
    log ClaimThresholdUpdated(newThreshold=newMax)


@external
def setClaimCycle(newCycle: uint256):
    self._only_owner_positive(newCycle)
    self.claimCycle = newCycle
    log ClaimCycleUpdated(newValue=newCycle)


@external
def setLiquidationRatios(liquidator: uint256, pool: uint256, recipient: uint256):
    self._only_owner_positive(recipient)
    self._check_penalty(liquidator, pool, recipient)
    self.liquidatorRewardRatio = liquidator
    self.poolShareOfLiquidationRatio = pool
    self.recipientRatio = recipient
    log LiquidationRatiosUpdated(liquidatorRatio=liquidator, poolRatio=pool, recipientRatio=recipient)


@internal
@view
def _only_owner_positive(setting: uint256):
    owned._only_owner()
    if setting == 0:
        raw_revert(method_id("PositiveNumberRequirement()"))


@internal
@pure
def _check_penalty(liquidator: uint256, pool: uint256, recipient: uint256):
    """
    @notice A penalty never exceeds the operator's quarter of the stake.
    """
    if (liquidator + pool) * 3 > recipient:
        raw_revert(method_id("LiquidatorPenaltyTooHigh()"))


# --- views


@external
@view
def serviceNodes(serviceNodeID: uint64) -> types.ServiceNode:
    return self._nodes[serviceNodeID]


@external
@view
def aggregatePubkey() -> types.G1Point:
    return self._aggregate


@external
@view
def maxPermittedPubkeyAggregations() -> uint256:
    return self._permitted_aggregations()


@external
@view
def allServiceNodeIDs() -> (DynArray[uint64, types.MAX_LISTED], DynArray[types.G1Point, types.MAX_LISTED]):
    ids: DynArray[uint64, types.MAX_LISTED] = []
    pubkeys: DynArray[types.G1Point, types.MAX_LISTED] = []
    id: uint64 = self._nodes[LIST_SENTINEL].next
    for _: uint256 in range(types.MAX_LISTED):
        if id == LIST_SENTINEL:
            break
        ids.append(id)
        pubkeys.append(self._nodes[id].blsPubkey)
        id = self._nodes[id].next
    return ids, pubkeys
