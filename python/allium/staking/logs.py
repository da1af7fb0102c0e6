"""What the rewards contract logs, as events of the state machine (`spec/contracts` §6.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from eth_abi.abi import decode

from allium.appchain.events import (
    Contributor,
    Event,
    Exit,
    ExitRequest,
    Position,
    Registration,
    RequirementChange,
    Seed,
)
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
from allium.staking import abi
from allium.staking.provider import ProviderError

_OF_INTEREST = (
    "NewServiceNodeV2",
    "NewSeededServiceNode",
    "ServiceNodeExitRequest",
    "ServiceNodeExit",
    "StakingRequirementUpdated",
)
_ENTRIES = {
    abi.topic(entry): entry
    for entry in abi.load("ServiceNodeRewards")
    if entry["type"] == "event" and entry["name"] in _OF_INTEREST
}
#: What to ask for. The contract says other things too, of which the state is no function.
TOPICS = [f"0x{topic.hex()}" for topic in _ENTRIES]
#: As much as any amount can be in the state machine.
_MAX_AMOUNT = 2**63 - 1


def read(entry: Mapping[str, Any]) -> Event:
    """The event of one log, as `web3` has it; raises `ProviderError` for one that the contract cannot have made.

    A seed's contributors are not in its log: `seeds` asks for them.
    """
    position = Position(L2Height(entry["blockNumber"]), Index(entry["logIndex"]))
    topics, data = [bytes(topic) for topic in entry["topics"]], bytes(entry["data"])
    known = _ENTRIES.get(topics[0]) if topics else None
    if known is None:
        raise ProviderError("gives logs that it was not asked for")
    plain = [parameter for parameter in known["inputs"] if not parameter["indexed"]]
    values = decode(abi.types(plain), data)
    if known["name"] == "StakingRequirementUpdated":
        return RequirementChange(position, _amount(values[0]))
    number = ContractId(int.from_bytes(topics[1], "big"))
    if number >= 2**64:
        raise ProviderError(f"gives a log with node {number}, which is no number of the contract's")
    match known["name"]:
        case "NewServiceNodeV2":
            _, key, (pubkey, *signature, fee), contributors = values
            return Registration(
                position,
                number,
                PublicKey(_bytes(pubkey)),
                BlsKey(_bytes(*key)),
                Signature(_bytes(*signature)),
                BasisPoints(fee),
                read_contributors(contributors),
            )
        case "NewSeededServiceNode":
            key, pubkey = values
            return Seed(position, number, PublicKey(_bytes(pubkey)), BlsKey(_bytes(*key)), ())
        case "ServiceNodeExit":
            return Exit(position, number, _amount(values[1]))
        case _:
            return ExitRequest(position, number)


def read_contributors(listed: Iterable[tuple[tuple[str, str], int]]) -> tuple[Contributor, ...]:
    """`Contributor[]` of the ABI; raises `ProviderError` for an amount that cannot be."""
    return tuple(
        Contributor(_address(addr), _address(beneficiary), _amount(amount)) for (addr, beneficiary), amount in listed
    )


def _bytes(*words: int) -> bytes:
    return b"".join(word.to_bytes(32, "big") for word in words)


def _address(text: str) -> Address:
    return Address(bytes.fromhex(text[2:]))


def _amount(value: int) -> AtomicSesh:
    if value > _MAX_AMOUNT:
        raise ProviderError(f"gives a log with an amount of {value}, more than there can be")
    return AtomicSesh(value)
