"""A node of one account: its operator stakes all of it."""

from __future__ import annotations

from eth_typing import ChecksumAddress

from allium.staking import StakingError
from allium.wallet.registration import SignedRegistration, joined
from allium.wallet.steps import ContractReader, Steps, sesh


async def join(steps: Steps, registration: SignedRegistration, beneficiary: ChecksumAddress | None) -> int | None:
    """Stakes for a node; the contract's number of it, or `None` in a dry run. Raises `StakingError`."""
    view, rewards = steps.view, steps.view.addresses.rewards
    if registration.operator != steps.account:
        raise StakingError(f"the registration is for {registration.operator}, and the key is of {steps.account}")
    await check_unknown(view, registration.bls, registration.ed25519)
    requirement = int(await view.rewards("stakingRequirement"))
    steps.tell(f"The stake is {sesh(requirement)} SESH.")
    contributors = [((steps.account, beneficiary or steps.account), requirement)]
    arguments = (registration.key, registration.proof, registration.params(0), contributors)
    receipt = await steps.spend(requirement, "ServiceNodeRewards", rewards, "addBLSPublicKey", *arguments)
    return None if receipt is None else joined(receipt, view.addresses)


async def check_unknown(view: ContractReader, bls: bytes, ed25519: bytes) -> None:
    """Raises `StakingError` when the contract holds a node with one of these keys: another can never join with it."""
    if number := await view.rewards("serviceNodeIDs", bls):
        raise StakingError(f"the contract has this node as number {number} already")
    if number := await view.rewards("ed25519ToServiceNodeID", int.from_bytes(ed25519, "big")):
        raise StakingError(f"the contract has a node with this Ed25519 key as number {number} already")
