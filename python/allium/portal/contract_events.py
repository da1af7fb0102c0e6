"""What the contracts log, as the portal's documents have it (`spec/contracts` §6.4, §7, §8.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from eth_abi.abi import decode
from eth_utils.address import to_checksum_address

from allium.appchain.events import Event, Position, Seed
from allium.appchain.types import BlsKey, ContractId, Index, L2Height, PublicKey
from allium.portal import documents
from allium.staking import abi
from allium.staking.provider import ProviderError

_CORE = ("ServiceNodeRewards", "ServiceNodeContributionFactory")
_POT = "ServiceNodeContribution"
#: Of which nobody asks.
_SILENT = ("Initialized", "OwnershipTransferStarted", "OwnershipTransferred", "Paused", "Unpaused")
_NODE = "serviceNodeID"
_CREATED = "NewServiceNodeContributionContract"
#: A node that the contract was started with.
SEEDED = "NewSeededServiceNode"
#: Numbers that are bytes to everybody: 32 of them.
_KEYS = ("ed25519Pubkey", "serviceNodePubkey", "newEd25519Pubkey")


@dataclass(frozen=True, order=True, slots=True)
class Log:
    """One log, as a provider has it; equal where providers agree."""

    block: int
    index: int
    tx: str
    address: str
    topics: tuple[bytes, ...]
    data: bytes

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Log:
        """Of `web3`'s; whatever is wrong with it raises."""
        return cls(
            int(entry["blockNumber"]),
            int(entry["logIndex"]),
            bytes(entry["transactionHash"]).hex(),
            to_checksum_address(entry["address"]),
            tuple(bytes(topic) for topic in entry["topics"]),
            bytes(entry["data"]),
        )


@dataclass(frozen=True, slots=True)
class ContractEvent:
    """One log that was understood."""

    address: str
    #: The contract's number of the node that it is about.
    node: int | None
    told: documents.Event

    @property
    def place(self) -> tuple[int, int]:
        """Where it is on the chain."""
        return self.told.block, self.told.log_index

    def seed(self) -> Seed:
        """One of `SEEDED`, as the state machine has it, without who staked."""
        key = self.told.args["blsPubkey"]
        return Seed(
            Position(L2Height(self.told.block), Index(self.told.log_index)),
            ContractId(self.node or 0),
            PublicKey(bytes.fromhex(self.told.args["ed25519Pubkey"])),
            BlsKey(b"".join(int(key[name]).to_bytes(32, "big") for name in ("X", "Y"))),
            (),
        )

    def staked_by(self, seed: Event) -> ContractEvent:
        """The same, with who staked, as other nodes' events have it."""
        contributors = [
            {
                "staker": {
                    "addr": to_checksum_address(part.address),
                    "beneficiary": to_checksum_address(part.beneficiary),
                },
                "stakedAmount": documents.amount(part.amount),
            }
            for part in (seed.contributors if isinstance(seed, Seed) else ())
        ]
        args = {**self.told.args, "contributors": contributors}
        return replace(self, told=msgspec.structs.replace(self.told, args=args))


def _entries(*contracts: str) -> dict[bytes, abi.Entry]:
    return {
        abi.topic(entry): entry
        for contract in contracts
        for entry in abi.load(contract)
        if entry["type"] == "event" and entry["name"] not in _SILENT
    }


_OF_CORE, _OF_POT = _entries(*_CORE), _entries(_POT)
#: What to ask the singletons for, and the contracts that collect stakes.
CORE_TOPICS = [f"0x{topic.hex()}" for topic in _OF_CORE]
POT_TOPICS = [f"0x{topic.hex()}" for topic in _OF_POT]


def read(log: Log, pot: bool) -> ContractEvent:
    """The event of a log of a singleton, or of a pot; raises `ProviderError` for one that it cannot have made."""
    entry = (_OF_POT if pot else _OF_CORE).get(log.topics[0] if log.topics else b"")
    if entry is None:
        raise ProviderError("gives logs that it was not asked for")
    indexed = [parameter for parameter in entry["inputs"] if parameter["indexed"]]
    plain = [parameter for parameter in entry["inputs"] if not parameter["indexed"]]
    if len(indexed) != len(log.topics) - 1:
        raise ProviderError("gives logs that the contract cannot have made")
    values = dict(zip([each["name"] for each in plain], decode(abi.types(plain), log.data), strict=True))
    for parameter, topic in zip(indexed, log.topics[1:], strict=True):
        [values[parameter["name"]]] = decode([parameter["type"]], topic)
    args = {each["name"]: _shown(each, values[each["name"]]) for each in entry["inputs"]}
    node = values.get(_NODE)
    main = log.address if pot else _main(entry["name"], args)
    told = documents.Event(
        name=entry["name"], block=log.block, log_index=log.index, tx=f"0x{log.tx}", main_arg=main, args=args
    )
    return ContractEvent(log.address, node, told)


def _main(name: str, args: Mapping[str, Any]) -> str | None:
    """The argument by which one looks for such an event."""
    for key in (_NODE, "recipientAddress"):
        if key in args:
            return str(args[key])
    return str(args["contributorContract"]) if name == _CREATED else None


def _shown(parameter: abi.Entry, value: Any) -> Any:
    kind, name = parameter["type"], parameter["name"]
    if kind.endswith("[]"):
        return [_shown({**parameter, "type": kind[:-2]}, each) for each in value]
    if kind == "tuple":
        members = parameter["components"]
        return {each["name"]: _shown(each, part) for each, part in zip(members, value, strict=True)}
    if kind == "address":
        return to_checksum_address(value)
    if kind.startswith("uint"):
        return value.to_bytes(32, "big").hex() if name in _KEYS else documents.amount(value)
    return value.hex() if isinstance(value, bytes) else value
