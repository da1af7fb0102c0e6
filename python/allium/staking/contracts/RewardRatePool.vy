# pragma version ~=0.4.3
"""
@title The reserve of rewards, paid out to one beneficiary at 15.1 % of what is left per year
@license Apache-2.0 OR MIT
"""

from ethereum.ercs import IERC20

from . import owned
from . import panic

initializes: owned

exports: (
    owned.owner,
    owned.pendingOwner,
    owned.transferOwnership,
    owned.acceptOwnership,
    owned.renounceOwnership,
)


event FundsReleased:
    amount: uint256


event BeneficiaryUpdated:
    newBeneficiary: address


VERSION: public(constant(uint64)) = 1
# Tenths of a percent.
ANNUAL_SIMPLE_PAYOUT_RATE: public(constant(uint64)) = 151
BASIS_POINTS: public(constant(uint64)) = 1000
YEAR: constant(uint256) = 365 * 86_400
# The network's target time between blocks.
BLOCK: constant(uint256) = 120

SESH: public(IERC20)
beneficiary: public(address)
totalPaidOut: public(uint256)
lastPaidOutTime: public(uint256)


@external
def initialize(_beneficiary: address, _sesh: address):
    owned._initialize()
    self.lastPaidOutTime = block.timestamp
    self.beneficiary = _beneficiary
    self.SESH = IERC20(_sesh)


@external
def payoutReleased():
    total: uint256 = self._released()
    amount: uint256 = total - self.totalPaidOut
    self.totalPaidOut = total
    self.lastPaidOutTime = block.timestamp
    log FundsReleased(amount=amount)
    assert extcall self.SESH.transfer(self.beneficiary, amount, default_return_value=True)


@external
def setBeneficiary(newBeneficiary: address):
    owned._only_owner()
    self.beneficiary = newBeneficiary
    log BeneficiaryUpdated(newBeneficiary=newBeneficiary)


@external
@view
def rewardRate() -> uint256:
    return self._payout(self._deposited() - self._released(), BLOCK)


@external
@view
def calculateTotalDeposited() -> uint256:
    return self._deposited()


@external
@view
def calculateReleasedAmount() -> uint256:
    return self._released()


@external
@pure
def calculatePayoutAmount(balance: uint256, timeElapsed: uint256) -> uint256:
    return self._payout(balance, timeElapsed)


@internal
@view
def _deposited() -> uint256:
    return staticcall self.SESH.balanceOf(self) + self.totalPaidOut


@internal
@view
def _released() -> uint256:
    return self.totalPaidOut + self._payout(
        staticcall self.SESH.balanceOf(self), block.timestamp - self.lastPaidOutTime
    )


@internal
@pure
def _payout(balance: uint256, elapsed: uint256) -> uint256:
    return (
        panic._times(panic._times(balance, convert(ANNUAL_SIMPLE_PAYOUT_RATE, uint256)), elapsed)
        // (convert(BASIS_POINTS, uint256) * YEAR)
    )
