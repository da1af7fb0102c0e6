"""How a node joins: its two keys sign for each other and for the operator, and somebody stakes for it.

Formats: `spec/contracts` §4, §5.3. The contract checks the BLS signature, the network the Ed25519 one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eth_typing import ChecksumAddress
from eth_utils.address import to_canonical_address
from nacl import bindings
from web3.types import TxReceipt

from allium._native import BlsDomain, BlsSecretKey
from allium.appchain.events import registration_message
from allium.appchain.types import BlsKey, PublicKey
from allium.settings.keys import NodeKeys
from allium.staking import StakingError, abi
from allium.staking.addresses import Addresses
from allium.wallet.sender import Sender

_JOINED = abi.topic(next(entry for entry in abi.load("ServiceNodeRewards") if entry.get("name") == "NewServiceNodeV2"))


@dataclass(frozen=True)
class SignedRegistration:
    """What a node's operator has to show. None of it is secret; it is good for this operator and these contracts."""

    operator: ChecksumAddress
    #: 32 bytes.
    ed25519: bytes
    #: 64 bytes.
    bls: bytes
    #: By `ed25519`, over both keys; 64 bytes.
    signature: bytes
    #: By `bls`: the proof of possession; 128 bytes.
    possession: bytes

    @property
    def key(self) -> tuple[int, ...]:
        """`G1Point` of the ABI."""
        return words(self.bls)

    @property
    def proof(self) -> tuple[int, ...]:
        """`BLSSignatureParams`."""
        return words(self.possession)

    def params(self, fee: int) -> tuple[int, ...]:
        """`ServiceNodeParams`; the fee in hundredths of a percent."""
        return (*words(self.ed25519), *words(self.signature), fee)


@dataclass(frozen=True)
class ContributorStake:
    """A contributor's part, atomic units. `beneficiary` is paid the rewards, `address` gets the stake back."""

    address: ChecksumAddress
    amount: int
    beneficiary: ChecksumAddress | None = None


def build(keys: NodeKeys, secret: BlsSecretKey, addresses: Addresses, operator: ChecksumAddress) -> SignedRegistration:
    """Signs for a node that `operator` will register with these contracts. Needs no chain."""
    domain = BlsDomain(addresses.chain_id, to_canonical_address(addresses.rewards))
    message = domain.possession_message(secret.public, to_canonical_address(operator), keys.ed25519_public)
    both = registration_message(PublicKey(keys.ed25519_public), BlsKey(secret.public))
    signature = bindings.crypto_sign(both, keys.ed25519_secret)[: bindings.crypto_sign_BYTES]
    return SignedRegistration(operator, keys.ed25519_public, secret.public, signature, domain.sign(secret, message))


async def register(
    sender: Sender,
    addresses: Addresses,
    registration: SignedRegistration,
    fee: int = 0,
    stakes: Sequence[ContributorStake] = (),
) -> int:
    """Registers a node at once, with all of its stake from the sender's account; the contract's number of it.

    Without `stakes` the sender, who must then be the operator, is the only contributor; with them the first is the
    operator. The token must have been approved for the rewards contract. Raises `StakingError`.
    """
    contributors = [((stake.address, stake.beneficiary or stake.address), stake.amount) for stake in stakes]
    arguments = (registration.key, registration.proof, registration.params(fee), contributors)
    transaction = sender.transaction("ServiceNodeRewards", addresses.rewards, "addBLSPublicKey", *arguments)
    return joined(await sender.send("ServiceNodeRewards.addBLSPublicKey", transaction), addresses)


def joined(receipt: TxReceipt, addresses: Addresses) -> int:
    """The contract's number of the node that a transaction brought in; `StakingError` when it brought none."""
    for log in receipt["logs"]:
        if log["address"] == addresses.rewards and len(log["topics"]) == 2 and bytes(log["topics"][0]) == _JOINED:
            return int.from_bytes(log["topics"][1], "big")
    raise StakingError(
        f"{addresses.rewards} says nothing of a new node in transaction {receipt['transactionHash'].to_0x_hex()}"
    )


def words(data: bytes) -> tuple[int, ...]:
    """Bytes as the ABI has them: big-endian numbers of 32 bytes each."""
    return tuple(int.from_bytes(data[start : start + 32], "big") for start in range(0, len(data), 32))
