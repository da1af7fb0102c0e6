"""A node of one account: its operator stakes all of it."""

from __future__ import annotations

from eth_typing import ChecksumAddress

from allium.staking import StakingError
from allium.wallet.registration import SignedRegistration, joined
from allium.wallet.steps import Steps, sesh


async def join(steps: Steps, registration: SignedRegistration, beneficiary: ChecksumAddress | None) -> int | None:
    """Stakes for a node; the contract's number of it, or `None` in a dry run. Raises `StakingError`."""
    view, rewards = steps.view, steps.view.addresses.rewards
    if registration.operator != steps.account:
        raise StakingError(f"the registration is for {registration.operator}, and the key is of {steps.account}")
    if number := await view.rewards("serviceNodeIDs", registration.bls):
        raise StakingError(f"the contract has this node as number {number} already")
    ed25519 = int.from_bytes(registration.ed25519, "big")
    if number := await view.rewards("ed25519ToServiceNodeID", ed25519):
        raise StakingError(f"the contract has a node with this Ed25519 key as number {number} already")
    # Said before anything is approved for it.
    proof = (registration.key, registration.proof, registration.operator, ed25519)
    await view.rewards("validateProofOfPossession", *proof)
    requirement = int(await view.rewards("stakingRequirement"))
    steps.tell(f"The stake is {sesh(requirement)} SESH.")
    approved = await steps.approve(rewards, requirement)
    contributors = [((steps.account, beneficiary or steps.account), requirement)]
    receipt = await steps.take(
        "ServiceNodeRewards",
        rewards,
        "addBLSPublicKey",
        registration.key,
        registration.proof,
        registration.params(0),
        contributors,
        follows=approved,
    )
    return None if receipt is None else joined(receipt, view.addresses)
