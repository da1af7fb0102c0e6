# pragma version ~=0.4.3
"""
@title Holds tokens for somebody until a day, and lets them be staked before
@license Apache-2.0 OR MIT
@notice Who stakes is this contract: stakes come back to it. Rewards are paid to whom the beneficiary names.
"""

from ethereum.ercs import IERC20

from . import types


interface ServiceNodeRewards:
    def stakingRequirement() -> uint256: view
    def addBLSPublicKey(
        blsPubkey: types.G1Point,
        blsSignature: types.BLSSignatureParams,
        serviceNodeParams: types.ServiceNodeParams,
        contributors: DynArray[types.Contributor, 1],
    ): nonpayable
    def initiateExitBLSPublicKey(serviceNodeID: uint64): nonpayable


interface ServiceNodeContribution:
    def contributeFunds(amount: uint256, beneficiary: address): nonpayable
    def withdrawContribution(): nonpayable
    def updateBeneficiary(newBeneficiary: address): nonpayable


interface ServiceNodeContributionFactory:
    def owns(contractAddress: address) -> bool: view


event TokensReleased:
    token: indexed(address)
    amount: uint256


event TokensRevokedReleased:
    token: indexed(address)
    amount: uint256


event TokenVestingRevoked:
    token: indexed(address)


event BeneficiaryTransferred:
    oldBeneficiary: address
    newBeneficiary: address


event RevokerTransferred:
    oldRevoker: address
    newRevoker: address


beneficiary: public(address)
revoker: public(address)
revoked: public(bool)
transferableBeneficiary: public(immutable(bool))
# Unix seconds.
start: public(immutable(uint256))
end: public(immutable(uint256))
SESH: public(immutable(address))
rewardsContract: public(immutable(address))
snContribFactory: public(immutable(address))


@deploy
def __init__(
    beneficiary_: address,
    revoker_: address,
    start_: uint256,
    end_: uint256,
    transferableBeneficiary_: bool,
    rewardsContract_: address,
    snContribFactory_: address,
    sesh_: address,
):
    for given: address in [beneficiary_, revoker_, rewardsContract_, snContribFactory_, sesh_]:
        assert given != empty(address), "Vesting: an address is the zero address"
    assert start_ <= end_, "Vesting: the start is after the end"
    assert block.timestamp < start_, "Vesting: the start is in the past"
    self.beneficiary = beneficiary_
    self.revoker = revoker_
    start = start_
    end = end_
    transferableBeneficiary = transferableBeneficiary_
    rewardsContract = rewardsContract_
    snContribFactory = snContribFactory_
    SESH = sesh_


# --- what is held


@external
def release(token: address):
    self._only_beneficiary()
    assert not self.revoked, "Vesting: it was revoked"
    amount: uint256 = self._due(token)
    assert amount > 0, "Vesting: no tokens are due"
    log TokensReleased(token=token, amount=amount)
    assert extcall IERC20(token).transfer(self.beneficiary, amount, default_return_value=True)


@external
def revoke(token: address):
    """
    @notice What is staked comes later: the revoker then calls again.
    """
    self._only_revoker()
    if not self.revoked:
        assert block.timestamp <= end, "Vesting: the time is over"
        self.revoked = True
        log TokenVestingRevoked(token=token)
    amount: uint256 = self._due(token)
    if amount > 0:
        log TokensRevokedReleased(token=token, amount=amount)
        assert extcall IERC20(token).transfer(self.revoker, amount, default_return_value=True)


@internal
@view
def _due(token: address) -> uint256:
    return staticcall IERC20(token).balanceOf(self) if block.timestamp >= end else 0


# --- staking


@external
def addBLSPublicKey(
    blsPubkey: types.G1Point,
    blsSignature: types.BLSSignatureParams,
    serviceNodeParams: types.ServiceNodeParams,
    snBeneficiary: address,
):
    self._only_staker()
    assert snBeneficiary != empty(address), "Vesting: the node's beneficiary is the zero address"
    required: uint256 = staticcall ServiceNodeRewards(rewardsContract).stakingRequirement()
    self._approve(rewardsContract, required)
    extcall ServiceNodeRewards(rewardsContract).addBLSPublicKey(
        blsPubkey,
        blsSignature,
        serviceNodeParams,
        [types.Contributor(staker=types.Staker(addr=self, beneficiary=snBeneficiary), stakedAmount=required)],
    )


@external
def initiateExitBLSPublicKey(serviceNodeID: uint64):
    self._only_staker()
    extcall ServiceNodeRewards(rewardsContract).initiateExitBLSPublicKey(serviceNodeID)


@external
def claimRewards(amount: uint256 = 0):
    # Vyper's way of overloading: what tells the two functions apart is passed on as it came.
    self._only_staker()
    raw_call(rewardsContract, slice(msg.data, 0, 36) if len(msg.data) >= 36 else slice(msg.data, 0, 4))


@external
def contributeFunds(snContribAddr: address, amount: uint256, snContribBeneficiary: address):
    self._only_staker()
    self._only_shared(snContribAddr)
    self._approve(snContribAddr, amount)
    extcall ServiceNodeContribution(snContribAddr).contributeFunds(amount, snContribBeneficiary)


@external
def withdrawContribution(snContribAddr: address):
    self._only_staker()
    self._only_shared(snContribAddr)
    extcall ServiceNodeContribution(snContribAddr).withdrawContribution()


@external
def updateBeneficiary(snContribAddr: address, snContribBeneficiary: address):
    self._only_staker()
    self._only_shared(snContribAddr)
    extcall ServiceNodeContribution(snContribAddr).updateBeneficiary(snContribBeneficiary)


@internal
def _approve(spender: address, amount: uint256):
    assert extcall IERC20(SESH).approve(spender, amount, default_return_value=True)


# --- who


@external
def transferBeneficiary(beneficiary_: address):
    self._only_beneficiary()
    assert transferableBeneficiary, "Vesting: the beneficiary cannot be changed"
    assert beneficiary_ != empty(address), "Vesting: an address is the zero address"
    log BeneficiaryTransferred(oldBeneficiary=self.beneficiary, newBeneficiary=beneficiary_)
    self.beneficiary = beneficiary_


@external
def transferRevoker(revoker_: address):
    self._only_revoker()
    assert revoker_ != empty(address), "Vesting: an address is the zero address"
    log RevokerTransferred(oldRevoker=self.revoker, newRevoker=revoker_)
    self.revoker = revoker_


@internal
@view
def _only_beneficiary():
    assert msg.sender == self.beneficiary, "Vesting: the caller is not the beneficiary"


@internal
@view
def _only_revoker():
    assert msg.sender == self.revoker, "Vesting: the caller is not the revoker"


@internal
@view
def _only_staker():
    """
    @notice The beneficiary; once it was revoked, the revoker alone.
    """
    if self.revoked:
        self._only_revoker()
    else:
        self._only_beneficiary()
    assert block.timestamp >= start, "Vesting: it has not started yet"


@internal
@view
def _only_shared(contract: address):
    """
    @notice Any other could keep the tokens.
    """
    assert staticcall ServiceNodeContributionFactory(snContribFactory).owns(contract), (
        "Contract address is not a valid multi-contributor SN contract"
    )
