"""How a node leaves: a contributor asks, the network lets it go after the unlock, the contract forgets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from web3.types import TxReceipt

from allium.claims import wire
from allium.staking import StakingError
from allium.wallet.claim import NetworkRefusedError, SignatureClient, collect
from allium.wallet.registration import words
from allium.wallet.steps import ContractReader, Steps, event


@dataclass(frozen=True)
class Member:
    """A node that the contract holds."""

    contract_id: int
    #: 64 bytes.
    bls: bytes
    #: Unix seconds; 0 when nobody has asked for it to leave.
    leave_requested: int
    deposit: int
    contributors: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Left:
    """What the contract said when it forgot a node."""

    contract_id: int
    #: What the network will give back to the contributors, atomic units.
    returned: int


async def member(view: ContractReader, node: str) -> Member:
    """A node by its Ed25519 key (64 hex digits) or by the contract's number; raises `StakingError`."""
    if node.isdigit() and len(node) < 20:
        number = int(node)
    else:
        try:
            key = bytes.fromhex(node)
            if len(key) != 32:
                raise ValueError
        except ValueError:
            raise StakingError(f"{node} is neither a node's Ed25519 key, 64 hex digits, nor a number") from None
        number = await view.rewards("ed25519ToServiceNodeID", int.from_bytes(key, "big"))
    told: Any = await view.rewards("serviceNodes", number)
    _, _, _, bls_key, added, requested, _, deposit, contributors, _ = told
    if number == 0 or added == 0:
        raise StakingError(f"the contract holds no node {node}")
    bls = b"".join(part.to_bytes(32, "big") for part in bls_key)
    stakes = tuple((staker[0], amount) for staker, amount in contributors)
    return Member(number, bls, requested, deposit, stakes)


async def exit_node(asker: SignatureClient, steps: Steps, node: Member) -> Left | None:
    """The next step of a voluntary exit: asks for it, or takes the node out once the network lets it go.

    `None` when more has to happen first, which is told. Raises `StakingError`.
    """
    rewards = steps.view.addresses.rewards
    try:
        return await _take_out(asker, steps, node, liquidate=False)
    except NetworkRefusedError as error:
        if error.code != 403:
            raise
        if node.leave_requested:
            steps.tell(f"It was asked for already ({error}). Take it out with the same command once the network has.")
            return None
    await steps.take("ServiceNodeRewards", rewards, "initiateExitBLSPublicKey", node.contract_id)
    steps.tell("The node works and earns until the unlock is over. Take it out then with the same command.")
    return None


async def exit_unsigned(steps: Steps, node: Member) -> Left | None:
    """Takes out a node 30 days after somebody asked for it, if the network cannot sign; `None` in a dry run."""
    rewards = steps.view.addresses.rewards
    receipt = await steps.take("ServiceNodeRewards", rewards, "exitBLSPublicKeyAfterWaitTime", node.contract_id)
    return None if receipt is None else _left(steps, node, receipt)


async def liquidate(asker: SignatureClient, steps: Steps, node: Member) -> Left | None:
    """Takes out a node that stayed too long, for the liquidator's share; `None` in a dry run."""
    return await _take_out(asker, steps, node, liquidate=True)


async def _take_out(asker: SignatureClient, steps: Steps, node: Member, *, liquidate: bool) -> Left | None:
    fields = {"bls_pubkey": node.bls, "liquidate": int(liquidate)}
    signed = await collect(asker, steps.view, wire.LEAVING_REQUEST, fields)
    function = "liquidateBLSPublicKeyWithSignature" if liquidate else "exitBLSPublicKeyWithSignature"
    rewards = steps.view.addresses.rewards
    arguments = (words(node.bls), signed.number("timestamp"), signed.signature, signed.absent)
    receipt = await steps.take("ServiceNodeRewards", rewards, function, *arguments)
    return None if receipt is None else _left(steps, node, receipt)


def _left(steps: Steps, node: Member, receipt: TxReceipt) -> Left:
    said = event(receipt, "ServiceNodeRewards", steps.view.addresses.rewards, "ServiceNodeExit")
    return Left(node.contract_id, int(said["returnedAmount"]))
