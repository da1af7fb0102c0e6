# pragma version ~=0.4.3
"""
@title Collects the stake of one node from several people, and registers the node when it is complete
@license Apache-2.0 OR MIT
"""

from ethereum.ercs import IERC20

from . import panic
from . import types


interface ServiceNodeRewards:
    def designatedToken() -> address: view
    def stakingRequirement() -> uint256: view
    def maxContributors() -> uint256: view
    def validateProofOfPossession(
        blsPubkey: types.G1Point, blsSignature: types.BLSSignatureParams, caller: address, serviceNodePubkey: uint256
    ): nonpayable
    def addBLSPublicKey(
        blsPubkey: types.G1Point,
        blsSignature: types.BLSSignatureParams,
        serviceNodeParams: types.ServiceNodeParams,
        contributors: DynArray[types.Contributor, types.MAX_CONTRIBUTORS],
    ): nonpayable


event Finalized: pass


event NewContribution:
    contributor: indexed(address)
    beneficiary: address
    amount: uint256


event OpenForPublicContribution: pass


event Filled: pass


event WithdrawContribution:
    contributor: indexed(address)
    amount: uint256


event UpdateStakerBeneficiary:
    staker: indexed(address)
    newBeneficiary: address


event UpdateManualFinalize:
    newValue: bool


event UpdateFee:
    newFee: uint16


event UpdatePubkeys:
    newBLSPubkey: types.G1Point
    newEd25519Pubkey: uint256


event UpdateReservedContributors:
    newReservedContributors: DynArray[types.ReservedContributor, types.MAX_NAMED]


event Reset: pass


struct Reservation:
    amount: uint256
    received: bool


# What `status` may be.
WAIT_FOR_OPERATOR_CONTRIB: constant(uint8) = 0
OPEN_FOR_PUBLIC_CONTRIB: constant(uint8) = 1
WAIT_FOR_FINALIZED: constant(uint8) = 2
FINALIZED: constant(uint8) = 3

WITHDRAWAL_DELAY: public(constant(uint64)) = 86_400
MAX_FEE: public(constant(uint16)) = 10_000
# The operator's share of the stake is at least one in so many.
OPERATOR_DIVISOR: constant(uint256) = 4

SESH: public(immutable(address))
stakingRewardsContract: public(immutable(address))
stakingRequirement: public(immutable(uint256))
operator: public(immutable(address))
maxContributors: public(immutable(uint256))

status: public(uint8)
manualFinalize: public(bool)
blsPubkey: public(types.G1Point)
_blsSignature: public(types.BLSSignatureParams)
_serviceNodeParams: public(types.ServiceNodeParams)
contributions: public(HashMap[address, uint256])
contributionTimestamp: public(HashMap[address, uint256])
# In the order of their first contributions; the first is the operator.
_contributorAddresses: public(DynArray[types.Staker, types.MAX_CONTRIBUTORS])
reservedContributions: public(HashMap[address, Reservation])
reservedContributionsAddresses: public(DynArray[address, types.MAX_CONTRIBUTORS])


@deploy
def __init__(
    _stakingRewardsContract: address,
    _maxContributors: uint256,
    key: types.G1Point,
    sig: types.BLSSignatureParams,
    params: types.ServiceNodeParams,
    reserved: DynArray[types.ReservedContributor, types.MAX_NAMED],
    _operator: address,
    _manualFinalize: bool,
):
    stakingRewardsContract = _stakingRewardsContract
    SESH = staticcall ServiceNodeRewards(_stakingRewardsContract).designatedToken()
    stakingRequirement = staticcall ServiceNodeRewards(_stakingRewardsContract).stakingRequirement()
    maxContributors = _maxContributors
    operator = _operator
    self._reset()
    self._update_pubkeys(key, sig, params.serviceNodePubkey, params.serviceNodeSignature1, params.serviceNodeSignature2)
    self._update_fee(params.fee)
    self._update_reserved(reserved)
    self._update_manual_finalize(_manualFinalize)


# --- what the operator sets


@external
def updateManualFinalize(setting: bool):
    self._only_operator()
    self._update_manual_finalize(setting)


@external
def updateFee(fee: uint16):
    self._only_operator()
    self._only_waiting()
    self._update_fee(fee)


@external
def updatePubkeys(
    newBLSPubkey: types.G1Point,
    newBLSSig: types.BLSSignatureParams,
    ed25519Pubkey: uint256,
    ed25519Sig0: uint256,
    ed25519Sig1: uint256,
):
    self._only_operator()
    self._only_waiting()
    self._update_pubkeys(newBLSPubkey, newBLSSig, ed25519Pubkey, ed25519Sig0, ed25519Sig1)


@external
def updateReservedContributors(reserved: DynArray[types.ReservedContributor, types.MAX_NAMED]):
    self._only_operator()
    self._only_waiting()
    self._update_reserved(reserved)


@external
def finalize():
    self._only_operator()
    self._finalize()


@external
def reset():
    self._only_operator()
    self._reset()


@external
def resetUpdateAndContribute(
    key: types.G1Point,
    sig: types.BLSSignatureParams,
    params: types.ServiceNodeParams,
    reserved: DynArray[types.ReservedContributor, types.MAX_NAMED],
    _manualFinalize: bool,
    beneficiary: address,
    amount: uint256,
):
    self._only_operator()
    self._reset()
    self._update_pubkeys(key, sig, params.serviceNodePubkey, params.serviceNodeSignature1, params.serviceNodeSignature2)
    self._update_fee(params.fee)
    self._update_reserved(reserved)
    self._update_manual_finalize(_manualFinalize)
    if amount > 0:
        self._contribute(amount, beneficiary)


@external
def rescueERC20(tokenAddress: address):
    self._only_operator()
    if self.status != WAIT_FOR_OPERATOR_CONTRIB and self.status != FINALIZED:
        raw_revert(abi_encode(self.status, method_id=method_id("RescueNotPossible(uint8)")))
    balance: uint256 = staticcall IERC20(tokenAddress).balanceOf(self)
    if balance == 0:
        raw_revert(abi_encode(tokenAddress, method_id=method_id("RescueBalanceIsEmpty(address)")))
    assert extcall IERC20(tokenAddress).transfer(operator, balance, default_return_value=True)


@internal
@view
def _only_operator():
    if msg.sender != operator:
        raw_revert(
            abi_encode(msg.sender, operator, method_id=method_id("OnlyOperatorIsAuthorised(address,address)"))
        )


@internal
@view
def _only_waiting():
    if self.status != WAIT_FOR_OPERATOR_CONTRIB:
        raw_revert(abi_encode(self.status, method_id=method_id("RequireWaitForOperatorContribStatus(uint8)")))


@internal
def _update_manual_finalize(setting: bool):
    self.manualFinalize = setting
    log UpdateManualFinalize(newValue=setting)


@internal
def _update_fee(fee: uint16):
    if fee > MAX_FEE:
        raw_revert(abi_encode(fee, MAX_FEE, method_id=method_id("FeeExceedsPossibleValue(uint16,uint16)")))
    self._serviceNodeParams.fee = fee
    log UpdateFee(newFee=fee)


@internal
def _update_pubkeys(
    key: types.G1Point, sig: types.BLSSignatureParams, ed25519: uint256, ed25519_sig0: uint256, ed25519_sig1: uint256
):
    extcall ServiceNodeRewards(stakingRewardsContract).validateProofOfPossession(key, sig, operator, ed25519)
    self.blsPubkey = key
    self._blsSignature = sig
    self._serviceNodeParams.serviceNodePubkey = ed25519
    self._serviceNodeParams.serviceNodeSignature1 = ed25519_sig0
    self._serviceNodeParams.serviceNodeSignature2 = ed25519_sig1
    log UpdatePubkeys(newBLSPubkey=key, newEd25519Pubkey=ed25519)


@internal
def _update_reserved(reserved: DynArray[types.ReservedContributor, types.MAX_NAMED]):
    for i: uint256 in range(len(self.reservedContributionsAddresses), bound=types.MAX_CONTRIBUTORS):
        self.reservedContributions[self.reservedContributionsAddresses[i]] = empty(Reservation)
    self.reservedContributionsAddresses = []
    if len(reserved) > maxContributors:
        raw_revert(
            abi_encode(
                len(reserved), maxContributors, method_id=method_id("TooManyReservedContributors(uint256,uint256)")
            )
        )
    remaining: uint256 = stakingRequirement
    for i: uint256 in range(len(reserved), bound=types.MAX_NAMED):
        addr: address = reserved[i].addr
        amount: uint256 = reserved[i].amount
        if i == 0 and addr != operator:
            raw_revert(
                abi_encode(
                    i, operator, method_id=method_id("FirstReservedContributorMustBeOperator(uint256,address)")
                )
            )
        if addr == empty(address):
            raw_revert(abi_encode(i, method_id=method_id("ReservedContributorHasZeroAddress(uint256)")))
        if self.reservedContributions[addr].amount != 0:
            raw_revert(abi_encode(i, method_id=method_id("DuplicateAddressInReservedContributor(uint256)")))
        least: uint256 = self._minimum(remaining, i, maxContributors)
        if amount < least:
            raw_revert(
                abi_encode(
                    i,
                    amount,
                    least,
                    method_id=method_id("ReservedContributionBelowMinAmount(uint256,uint256,uint256)"),
                )
            )
        if amount > remaining:
            raw_revert(
                abi_encode(
                    i,
                    amount,
                    remaining,
                    method_id=method_id("ReservedContributionExceedsStakingRequirement(uint256,uint256,uint256)"),
                )
            )
        remaining -= amount
        self.reservedContributions[addr] = Reservation(amount=amount, received=False)
        self.reservedContributionsAddresses.append(addr)
    log UpdateReservedContributors(newReservedContributors=reserved)


# --- contributing


@external
def contributeFunds(amount: uint256, beneficiary: address):
    self._contribute(amount, beneficiary)


@external
def updateBeneficiary(newBeneficiary: address):
    self._update_beneficiary(self._or_caller(newBeneficiary))


@internal
@view
def _or_caller(beneficiary: address) -> address:
    return msg.sender if beneficiary == empty(address) else beneficiary


@internal
def _update_beneficiary(beneficiary: address):
    if self.status != OPEN_FOR_PUBLIC_CONTRIB and self.status != WAIT_FOR_FINALIZED:
        raw_revert(
            abi_encode(
                self._serviceNodeParams.serviceNodePubkey,
                method_id=method_id("BeneficiaryUpdatingDisabledNodeIsNotOpen(uint256)"),
            )
        )
    for i: uint256 in range(len(self._contributorAddresses), bound=types.MAX_CONTRIBUTORS):
        if self._contributorAddresses[i].addr == msg.sender:
            if self._contributorAddresses[i].beneficiary != beneficiary:
                self._contributorAddresses[i].beneficiary = beneficiary
                log UpdateStakerBeneficiary(staker=msg.sender, newBeneficiary=beneficiary)
            return
    raw_revert(abi_encode(msg.sender, method_id=method_id("NonContributorUpdatedBeneficiary(address)")))


@internal
def _contribute(amount: uint256, beneficiary: address):
    if self.status != WAIT_FOR_OPERATOR_CONTRIB and self.status != OPEN_FOR_PUBLIC_CONTRIB:
        raw_revert(abi_encode(self.status, method_id=method_id("ContributeFundsNotPossible(uint8)")))
    self._check_unchanged(maxContributors, staticcall ServiceNodeRewards(stakingRewardsContract).maxContributors())
    # The deployed contract reports a changed requirement by the same error.
    self._check_unchanged(
        stakingRequirement, staticcall ServiceNodeRewards(stakingRewardsContract).stakingRequirement()
    )
    if self.status == WAIT_FOR_OPERATOR_CONTRIB:
        if msg.sender != operator:
            raw_revert(
                abi_encode(
                    msg.sender, operator, method_id=method_id("FirstContributionMustBeOperator(address,address)")
                )
            )
        self.status = OPEN_FOR_PUBLIC_CONTRIB
        log OpenForPublicContribution()

    reservation: Reservation = self.reservedContributions[msg.sender]
    first: bool = self.contributions[msg.sender] == 0
    if reservation.amount > 0 and not reservation.received:
        if amount < reservation.amount:
            raw_revert(
                abi_encode(
                    amount, reservation.amount, method_id=method_id("ContributionBelowReservedAmount(uint256,uint256)")
                )
            )
        self.reservedContributions[msg.sender].received = True
    elif first:
        least: uint256 = self._minimum_contribution()
        if amount < least:
            raw_revert(
                abi_encode(amount, least, method_id=method_id("ContributionBelowMinAmount(uint256,uint256)"))
            )

    receiver: address = self._or_caller(beneficiary)
    if first:
        self._contributorAddresses.append(types.Staker(addr=msg.sender, beneficiary=receiver))
    else:
        self._update_beneficiary(receiver)
    self.contributions[msg.sender] = panic._plus(self.contributions[msg.sender], amount)
    self.contributionTimestamp[msg.sender] = block.timestamp

    total: uint256 = self._total()
    reserved: uint256 = self._total_reserved()
    if panic._plus(total, reserved) > stakingRequirement:
        raw_revert(
            abi_encode(
                total,
                reserved,
                stakingRequirement,
                method_id=method_id("ContributionExceedsStakingRequirement(uint256,uint256,uint256)"),
            )
        )
    if total == stakingRequirement:
        self.status = WAIT_FOR_FINALIZED
        log Filled()
    log NewContribution(contributor=msg.sender, beneficiary=receiver, amount=amount)
    assert extcall IERC20(SESH).transferFrom(msg.sender, self, amount, default_return_value=True)
    if self.status == WAIT_FOR_FINALIZED and not self.manualFinalize:
        self._finalize()


@internal
@pure
def _check_unchanged(old: uint256, new: uint256):
    if old != new:
        raw_revert(
            abi_encode(old, new, method_id=method_id("RewardsContractMaxContributorsChanged(uint256,uint256)"))
        )


@internal
def _finalize():
    if self.status != WAIT_FOR_FINALIZED:
        raw_revert(abi_encode(self.status, method_id=method_id("FinalizeNotPossible(uint8)")))
    self.status = FINALIZED
    log Finalized()
    stakes: DynArray[types.Contributor, types.MAX_CONTRIBUTORS] = []
    for i: uint256 in range(len(self._contributorAddresses), bound=types.MAX_CONTRIBUTORS):
        staker: types.Staker = self._contributorAddresses[i]
        stakes.append(types.Contributor(staker=staker, stakedAmount=self.contributions[staker.addr]))
    assert extcall IERC20(SESH).approve(stakingRewardsContract, stakingRequirement, default_return_value=True)
    extcall ServiceNodeRewards(stakingRewardsContract).addBLSPublicKey(
        self.blsPubkey, self._blsSignature, self._serviceNodeParams, stakes
    )


# --- leaving


@external
def withdrawContribution():
    if msg.sender == operator:
        self._reset()
        return
    since: uint256 = self.contributionTimestamp[msg.sender]
    delay: uint256 = convert(WITHDRAWAL_DELAY, uint256)
    if block.timestamp - since < delay:
        raw_revert(
            abi_encode(
                since, block.timestamp, delay, method_id=method_id("WithdrawTooEarly(uint256,uint256,uint256)")
            )
        )
    for i: uint256 in range(len(self._contributorAddresses), bound=types.MAX_CONTRIBUTORS):
        if self._contributorAddresses[i].addr == msg.sender:
            self._contributorAddresses[i] = self._contributorAddresses[len(self._contributorAddresses) - 1]
            self._contributorAddresses.pop()
            if self.status == WAIT_FOR_FINALIZED:
                self.status = OPEN_FOR_PUBLIC_CONTRIB
            amount: uint256 = self._refund(msg.sender)
            if amount > 0:
                log WithdrawContribution(contributor=msg.sender, amount=amount)
            return


@internal
def _reset():
    for i: uint256 in range(types.MAX_CONTRIBUTORS):
        if len(self._contributorAddresses) == 0:
            break
        self._refund(self._contributorAddresses.pop().addr)
    self.status = WAIT_FOR_OPERATOR_CONTRIB
    self._update_reserved([])
    log Reset()


@internal
def _refund(contributor: address) -> uint256:
    """
    @notice Forgets a contribution and pays it back, if the stake is still here.
    @return What was paid
    """
    amount: uint256 = self.contributions[contributor]
    self.contributions[contributor] = 0
    self.contributionTimestamp[contributor] = 0
    self.reservedContributions[contributor].received = False
    if amount == 0 or self.status == FINALIZED:
        return 0
    assert extcall IERC20(SESH).transfer(contributor, amount, default_return_value=True)
    return amount


# --- views


@external
@view
def minimumContribution() -> uint256:
    return self._minimum_contribution()


@external
@pure
def calcMinimumContribution(
    contributionRemaining: uint256, numContributors: uint256, maxNumContributors: uint256
) -> uint256:
    return self._minimum(contributionRemaining, numContributors, maxNumContributors)


@external
@pure
def minimumOperatorContribution(_stakingRequirement: uint256) -> uint256:
    return self._divide_up(_stakingRequirement, OPERATOR_DIVISOR)


@internal
@view
def _minimum_contribution() -> uint256:
    awaited: uint256 = 0
    for addr: address in self.reservedContributionsAddresses:
        if not self.reservedContributions[addr].received:
            awaited += 1
    return self._minimum(
        panic._minus(panic._minus(stakingRequirement, self._total()), self._total_reserved()),
        len(self._contributorAddresses) + awaited,
        maxContributors,
    )


@internal
@pure
def _minimum(remaining: uint256, contributors: uint256, most: uint256) -> uint256:
    if most <= contributors:
        raw_revert(
            abi_encode(
                contributors, most, method_id=method_id("CalcMinContributionGivenBadContribArgs(uint256,uint256)")
            )
        )
    if contributors == 0:
        return self._divide_up(remaining, OPERATOR_DIVISOR)
    return self._divide_up(remaining, most - contributors)


@internal
@pure
def _divide_up(amount: uint256, parts: uint256) -> uint256:
    if amount == 0:
        panic._panic(panic.OVERFLOW)  # Solidity's `amount - 1`
    return (amount - 1) // parts + 1


@external
@view
def serviceNodeParams() -> types.ServiceNodeParams:
    return self._serviceNodeParams


@external
@view
def blsSignature() -> types.BLSSignatureParams:
    return self._blsSignature


@external
@view
def contributorAddresses(index: uint256) -> types.Staker:
    if index >= len(self._contributorAddresses):
        panic._panic(panic.NO_SUCH_PLACE)
    return self._contributorAddresses[index]


@external
@view
def contributorAddressesLength() -> uint256:
    return len(self._contributorAddresses)


@external
@view
def operatorContribution() -> uint256:
    return self.contributions[operator]


@external
@view
def totalContribution() -> uint256:
    return self._total()


@external
@view
def totalReservedContribution() -> uint256:
    return self._total_reserved()


@internal
@view
def _total() -> uint256:
    total: uint256 = 0
    for i: uint256 in range(len(self._contributorAddresses), bound=types.MAX_CONTRIBUTORS):
        total = panic._plus(total, self.contributions[self._contributorAddresses[i].addr])
    return total


@internal
@view
def _total_reserved() -> uint256:
    total: uint256 = 0
    for addr: address in self.reservedContributionsAddresses:
        if not self.reservedContributions[addr].received:
            total += self.reservedContributions[addr].amount
    return total


@external
@view
def getContributions() -> (
    DynArray[address, types.MAX_CONTRIBUTORS],
    DynArray[address, types.MAX_CONTRIBUTORS],
    DynArray[uint256, types.MAX_CONTRIBUTORS],
):
    addrs: DynArray[address, types.MAX_CONTRIBUTORS] = []
    beneficiaries: DynArray[address, types.MAX_CONTRIBUTORS] = []
    contribs: DynArray[uint256, types.MAX_CONTRIBUTORS] = []
    for i: uint256 in range(len(self._contributorAddresses), bound=types.MAX_CONTRIBUTORS):
        staker: types.Staker = self._contributorAddresses[i]
        addrs.append(staker.addr)
        beneficiaries.append(staker.beneficiary)
        contribs.append(self.contributions[staker.addr])
    return addrs, beneficiaries, contribs


@external
@view
def getReserved() -> (
    DynArray[address, types.MAX_CONTRIBUTORS],
    DynArray[uint256, types.MAX_CONTRIBUTORS],
    DynArray[bool, types.MAX_CONTRIBUTORS],
):
    addrs: DynArray[address, types.MAX_CONTRIBUTORS] = []
    contribs: DynArray[uint256, types.MAX_CONTRIBUTORS] = []
    received: DynArray[bool, types.MAX_CONTRIBUTORS] = []
    for addr: address in self.reservedContributionsAddresses:
        reservation: Reservation = self.reservedContributions[addr]
        addrs.append(addr)
        contribs.append(reservation.amount)
        received.append(reservation.received)
    return addrs, contribs, received
