"""What may still be changed about a node that several stake for, until it is registered (`spec/contracts` §8.3)."""

from __future__ import annotations

from collections.abc import Sequence

from eth_typing import ChecksumAddress

from allium.staking import StakingError
from allium.wallet.contribution import NAME, ContributionStatus, Pot
from allium.wallet.joining import check_unknown
from allium.wallet.registration import SignedRegistration, words
from allium.wallet.steps import Steps, sesh


async def set_fee(steps: Steps, pot: Pot, fee: int) -> None:
    """As the operator, before anybody staked; hundredths of a percent. Raises `StakingError`, as all of these do."""
    _check_operator(steps, pot)
    await steps.take(NAME, pot.address, "updateFee", fee)


async def reserve(steps: Steps, pot: Pot, own: int, places: Sequence[tuple[ChecksumAddress, int]]) -> None:
    """As the operator, before anybody staked: keeps places, the first for the operator's own part, or none."""
    _check_operator(steps, pot)
    given = own + sum(amount for _, amount in places)
    if given > pot.requirement:
        raise StakingError(f"{sesh(given)} SESH would be reserved, and {sesh(pot.requirement)} are needed")
    reserved = [(steps.account, own), *places] if places or own else []
    await steps.take(NAME, pot.address, "updateReservedContributors", reserved)


async def set_keys(steps: Steps, pot: Pot, registration: SignedRegistration) -> None:
    """As the operator, before anybody staked: another node, or the same with new keys."""
    _check_operator(steps, pot)
    if registration.operator != steps.account:
        raise StakingError(f"the registration is for {registration.operator}, and the key is of {steps.account}")
    await check_unknown(steps.view, registration.bls, registration.ed25519)
    keys = (registration.key, registration.proof, *words(registration.ed25519), *words(registration.signature))
    await steps.take(NAME, pot.address, "updatePubkeys", *keys)


async def set_beneficiary(steps: Steps, pot: Pot, beneficiary: ChecksumAddress) -> None:
    """As one who staked: who is paid the rewards."""
    if steps.account not in dict(pot.contributors):
        raise StakingError(f"{steps.account} has nothing in {pot.address}")
    await steps.take(NAME, pot.address, "updateBeneficiary", beneficiary)


async def reset(steps: Steps, pot: Pot) -> None:
    """As the operator: everybody gets the stake back, unless the node is registered, and all begins anew."""
    _check_operator(steps, pot)
    if pot.contributors and pot.status is not ContributionStatus.REGISTERED:
        steps.tell(f"All {len(pot.contributors)} contributors get their stakes back.")
    await steps.take(NAME, pot.address, "reset")


async def rescue(steps: Steps, pot: Pot, token: ChecksumAddress) -> None:
    """As the operator: takes out tokens that were sent to the contract by mistake."""
    _check_operator(steps, pot)
    await steps.take(NAME, pot.address, "rescueERC20", token)


def _check_operator(steps: Steps, pot: Pot) -> None:
    if pot.operator != steps.account:
        raise StakingError(f"only the node's operator {pot.operator} may do this, and the key is of {steps.account}")
