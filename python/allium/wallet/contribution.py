"""Nodes with several contributors: a contract collects the stakes and registers the node (`spec/contracts` §8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address

from allium.staking import StakingError
from allium.staking.addresses import Addresses
from allium.wallet.registration import SignedRegistration
from allium.wallet.steps import ContractReader, Steps, event, sesh

_NAME = "ServiceNodeContribution"
_NOBODY = to_checksum_address("0x" + "00" * 20)


class ContributionStatus(IntEnum):
    """How far a contract is."""

    WAITS_FOR_OPERATOR = 0
    OPEN = 1
    COMPLETE = 2
    REGISTERED = 3

    @property
    def text(self) -> str:
        """In words."""
        return ("waits for the operator's stake", "open", "complete, to be finalized", "registered")[self]


@dataclass(frozen=True)
class Pot:
    """A contract that collects stakes; amounts in atomic units."""

    address: ChecksumAddress
    operator: ChecksumAddress
    status: ContributionStatus
    requirement: int
    total: int
    reserved: int
    #: What the next new contributor must stake at least; 0 when nothing more is needed.
    minimum: int
    fee: int
    contributors: tuple[tuple[ChecksumAddress, int], ...]


async def look(view: ContractReader, addresses: Addresses, address: ChecksumAddress) -> Pot:
    """A contract of the network's own factory; raises `StakingError` for any other, which could keep the stake."""
    if not await view.call("ServiceNodeContributionFactory", addresses.factory, "owns", address):
        raise StakingError(f"{address} was not made by the network's factory; do not send it anything")

    async def ask(function: str) -> int:
        return int(await view.call(_NAME, address, function))

    requirement, total = await ask("stakingRequirement"), await ask("totalContribution")
    reserved = await ask("totalReservedContribution")
    stakers, _, amounts = await view.call(_NAME, address, "getContributions")
    status = await ask("status")
    if len(stakers) != len(amounts) or status not in list(ContributionStatus):
        raise StakingError(
            f"{address} does not answer as a contract for stakes does; update allium, or use another provider"
        )
    return Pot(
        address=address,
        operator=await view.call(_NAME, address, "operator"),
        status=ContributionStatus(status),
        requirement=requirement,
        total=total,
        reserved=reserved,
        minimum=await ask("minimumContribution") if total + reserved < requirement else 0,
        fee=(await view.call(_NAME, address, "serviceNodeParams"))[3],
        contributors=tuple(zip(stakers, amounts, strict=True)),
    )


async def deploy(
    steps: Steps,
    registration: SignedRegistration,
    fee: int,
    reserved: Sequence[tuple[ChecksumAddress, int]],
    manual: bool,
) -> ChecksumAddress | None:
    """Makes a contract for a node, as its operator; its address, or `None` in a dry run. Raises `StakingError`.

    `fee` is in hundredths of a percent; the first of `reserved`, if there are any, is the operator's own part.
    """
    if registration.operator != steps.account:
        raise StakingError(f"the registration is for {registration.operator}, and the key is of {steps.account}")
    factory = steps.view.addresses.factory
    arguments = (registration.key, registration.proof, registration.params(fee), list(reserved), manual)
    receipt = await steps.take("ServiceNodeContributionFactory", factory, "deploy", *arguments)
    if receipt is None:
        return None
    made = event(receipt, "ServiceNodeContributionFactory", factory, "NewServiceNodeContributionContract")
    return to_checksum_address(made["contributorContract"])


async def contribute(steps: Steps, pot: Pot, amount: int, beneficiary: ChecksumAddress | None) -> Pot:
    """Stakes a part; how the contract stands afterwards. Raises `StakingError`.

    Who tops up without naming a beneficiary becomes the beneficiary again.
    """
    if amount > (missing := pot.requirement - pot.total):
        raise StakingError(f"{sesh(missing)} SESH are missing, and {sesh(amount)} were offered")
    approved = await steps.approve(pot.address, amount)
    given = beneficiary or _NOBODY
    await steps.take(_NAME, pot.address, "contributeFunds", amount, given, follows=approved)
    return await look(steps.view, steps.view.addresses, pot.address)


async def withdraw(steps: Steps, pot: Pot) -> int:
    """Takes the account's part back; the operator everybody's, to begin anew. What the account got."""
    own = dict(pot.contributors).get(steps.account, 0)
    if not own:
        raise StakingError(f"{steps.account} has nothing in {pot.address}")
    if pot.status is ContributionStatus.REGISTERED:
        raise StakingError("the node is registered; its stakes come back when it leaves: allium node exit")
    if pot.operator == steps.account and len(pot.contributors) > 1:
        steps.tell(f"As the operator withdraws, all {len(pot.contributors)} contributors get their stakes back.")
    await steps.take(_NAME, pot.address, "withdrawContribution")
    return own


async def finalize(steps: Steps, pot: Pot) -> None:
    """Registers the node of a contract that is complete and waits for its operator's word."""
    await steps.take(_NAME, pot.address, "finalize")
