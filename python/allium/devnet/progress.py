"""How far a devnet's start is, as events: whoever starts one shows them as it likes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class MakingKeys:
    """The nodes' keys and configurations are being made."""


@dataclass(frozen=True)
class ReadingContracts:
    """The addresses and the rules of the staking contracts are being read."""


@dataclass(frozen=True)
class ContractDeployed:
    """One transaction of the contracts' deployment is in the chain."""

    #: What it was, and its gas.
    transaction: str


@dataclass(frozen=True)
class NodesStaked:
    """So many of all nodes have been staked for."""

    done: int
    total: int


@dataclass(frozen=True)
class AwaitingFinality:
    """All nodes are staked for, and the EVM chain is yet to have that as final."""


@dataclass(frozen=True)
class NodeUp:
    """A node serves."""

    index: int


@dataclass(frozen=True)
class SeedUp:
    """The seed serves."""


@dataclass(frozen=True)
class FilesUp:
    """The file server serves."""


@dataclass(frozen=True)
class OpeningContracts:
    """Contracts that collect stakes are being opened, for a portal to show."""


@dataclass(frozen=True)
class PortalUp:
    """The staking portal serves."""


@dataclass(frozen=True)
class AwaitingSwarms:
    """Every process serves, and the network is yet to give every node a swarm."""


Event: TypeAlias = (
    MakingKeys
    | ReadingContracts
    | ContractDeployed
    | NodesStaked
    | AwaitingFinality
    | NodeUp
    | SeedUp
    | FilesUp
    | OpeningContracts
    | PortalUp
    | AwaitingSwarms
)
#: Takes events as they come.
Progress: TypeAlias = Callable[[Event], None]
