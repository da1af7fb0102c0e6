"""What the rewards contract said, as the state machine takes it (`spec/contracts` §6.4).

Which numbers are final is the business of whoever reads the EVM chain.
"""

from __future__ import annotations

from dataclasses import dataclass

from allium.appchain.types import (
    Address,
    AtomicSesh,
    BasisPoints,
    BlsKey,
    ContractId,
    Index,
    L2Height,
    PublicKey,
    Signature,
)


@dataclass(frozen=True)
class Position:
    """Where a log stands on the EVM chain; logs are ordered by it."""

    l2_height: L2Height
    #: Of the log in its block.
    log_index: Index

    def __lt__(self, other: Position) -> bool:
        return (self.l2_height, self.log_index) < (other.l2_height, other.log_index)


@dataclass(frozen=True)
class Contributor:
    """Who owns a part of a stake."""

    #: Who staked, and gets the stake back.
    address: Address
    #: Who is paid the rewards.
    beneficiary: Address
    amount: AtomicSesh


@dataclass(frozen=True)
class Registration:
    """`NewServiceNodeV2`."""

    position: Position
    contract_id: ContractId
    pubkey: PublicKey
    bls_key: BlsKey
    #: By `pubkey`, over `registration_message`. The contract does not look at it.
    signature: Signature
    #: The contract takes any 16 bits.
    fee: BasisPoints
    #: The operator first.
    contributors: tuple[Contributor, ...]


@dataclass(frozen=True)
class Seed:
    """`NewSeededServiceNode`: in the contract from before its start; its owner vouches for what others sign."""

    position: Position
    contract_id: ContractId
    pubkey: PublicKey
    bls_key: BlsKey
    #: The operator first. The log has none: they are what `serviceNodes` says at its block.
    contributors: tuple[Contributor, ...]


@dataclass(frozen=True)
class ExitRequest:
    """`ServiceNodeExitRequest`: a contributor wants the node to leave."""

    position: Position
    contract_id: ContractId


@dataclass(frozen=True)
class Exit:
    """`ServiceNodeExit`: the contract holds the node no longer, and owes the stakes."""

    position: Position
    contract_id: ContractId
    #: The deposit without what a liquidation took.
    returned: AtomicSesh


@dataclass(frozen=True)
class RequirementChange:
    """`StakingRequirementUpdated`: counts for later registrations."""

    position: Position
    requirement: AtomicSesh


Event = Registration | Seed | ExitRequest | Exit | RequirementChange


def registration_message(pubkey: PublicKey, bls_key: BlsKey) -> bytes:
    """What a node signs with its Ed25519 key to be registered (96 bytes)."""
    return pubkey + bls_key
