"""Nodes with several contributors: a contract collects the stakes and registers the node (`spec/contracts` §8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address

from allium.staking import StakingError
from allium.staking.addresses import Addresses
from allium.wallet.joining import check_unknown
from allium.wallet.registration import SignedRegistration
from allium.wallet.steps import ContractReader, Steps, event, sesh

NAME, _FACTORY = "ServiceNodeContribution", "ServiceNodeContributionFactory"
#: What part of the requirement is the operator's at least.
_OPERATOR_PART = 4
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
    #: 64 and 32 bytes.
    bls: bytes
    ed25519: bytes


async def look(view: ContractReader, addresses: Addresses, address: ChecksumAddress) -> Pot:
    """A contract of the network's own factory; raises `StakingError` for any other, which could keep the stake."""
    if not await view.call(_FACTORY, addresses.factory, "owns", address):
        raise StakingError(f"{address} was not made by the network's factory; do not send it anything")

    async def ask(function: str) -> int:
        return int(await view.call(NAME, address, function))

    requirement, total = await ask("stakingRequirement"), await ask("totalContribution")
    reserved = await ask("totalReservedContribution")
    stakers, _, amounts = await view.call(NAME, address, "getContributions")
    status = await ask("status")
    bls = b"".join(part.to_bytes(32, "big") for part in await view.call(NAME, address, "blsPubkey"))
    ed25519, *_, fee = await view.call(NAME, address, "serviceNodeParams")
    if len(stakers) != len(amounts) or status not in list(ContributionStatus):
        raise StakingError(
            f"{address} does not answer as a contract for stakes does; update allium, or use another provider"
        )
    return Pot(
        address=address,
        operator=await view.call(NAME, address, "operator"),
        status=ContributionStatus(status),
        requirement=requirement,
        total=total,
        reserved=reserved,
        minimum=await ask("minimumContribution") if total + reserved < requirement else 0,
        fee=fee,
        contributors=tuple(zip(stakers, amounts, strict=True)),
        bls=bls,
        ed25519=ed25519.to_bytes(32, "big"),
    )


@dataclass(frozen=True)
class Terms:
    """On what a node is opened to others; amounts in atomic units."""

    #: What the operator stakes.
    own: int
    #: Hundredths of a percent.
    fee: int = 0
    #: Places that are kept for others.
    places: Sequence[tuple[ChecksumAddress, int]] = ()
    #: Whether the operator registers the node by hand.
    manual: bool = False


async def deploy(steps: Steps, registration: SignedRegistration, terms: Terms) -> ChecksumAddress | None:
    """Makes a contract for a node, as its operator; its address, or `None` in a dry run. Raises `StakingError`.

    Nothing is sent unless the operator's own part would be taken, too.
    """
    view = steps.view
    if registration.operator != steps.account:
        raise StakingError(f"the registration is for {registration.operator}, and the key is of {steps.account}")
    await check_unknown(view, registration.bls, registration.ed25519)
    await _check_terms(steps, terms)
    reserved = [(steps.account, terms.own), *terms.places] if terms.places else []
    arguments = (registration.key, registration.proof, registration.params(terms.fee), reserved, terms.manual)
    receipt = await steps.take(_FACTORY, view.addresses.factory, "deploy", *arguments)
    if receipt is None:
        return None
    made = event(receipt, _FACTORY, view.addresses.factory, "NewServiceNodeContributionContract")
    return to_checksum_address(made["contributorContract"])


async def _check_terms(steps: Steps, terms: Terms) -> None:
    requirement = int(await steps.view.rewards("stakingRequirement"))
    least = -(-requirement // _OPERATOR_PART)
    if not least <= terms.own <= requirement:
        raise StakingError(
            f"the operator stakes {sesh(least)} SESH at least and {sesh(requirement)} at most, not {sesh(terms.own)}"
        )
    if (given := terms.own + sum(amount for _, amount in terms.places)) > requirement:
        raise StakingError(f"{sesh(given)} SESH are staked and reserved, and {sesh(requirement)} are needed")
    held = await steps.view.token("balanceOf", steps.account)
    if held < terms.own:
        raise StakingError(f"{steps.account} has {sesh(held)} SESH, and needs {sesh(terms.own)}")
    if await steps.view.rewards("paused") or not await steps.view.rewards("isStarted"):
        raise StakingError("the network takes no nodes now: its contracts are paused, or not started yet")


async def contribute(steps: Steps, pot: Pot, amount: int, beneficiary: ChecksumAddress | None) -> Pot:
    """Stakes a part; how the contract stands afterwards. Raises `StakingError`.

    Who tops up without naming a beneficiary becomes the beneficiary again.
    """
    if amount > (missing := pot.requirement - pot.total):
        raise StakingError(f"{sesh(missing)} SESH are missing, and {sesh(amount)} were offered")
    await check_unknown(steps.view, pot.bls, pot.ed25519)
    await steps.spend(amount, NAME, pot.address, "contributeFunds", amount, beneficiary or _NOBODY)
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
    await steps.take(NAME, pot.address, "withdrawContribution")
    return own


async def finalize(steps: Steps, pot: Pot) -> None:
    """Registers the node of a contract that is complete and waits for its operator's word."""
    await steps.take(NAME, pot.address, "finalize")
