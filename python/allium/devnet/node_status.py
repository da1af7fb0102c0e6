"""How one node of a devnet is: its process, and what it is to its network."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from allium.appchain.swarms import UNASSIGNED
from allium.devnet.layout import NodeRecord


class RegistrationState(StrEnum):
    """What a node is to its network."""

    ACTIVE = "active"
    DECOMMISSIONED = "decommissioned"
    NONE = "not registered"


@dataclass(frozen=True)
class NodeStatus:
    """What `allium devnet status` shows of one node."""

    index: int
    node: NodeRecord
    running: bool
    #: Resident memory; `None` when it is down.
    resident_bytes: int | None
    registration: RegistrationState = RegistrationState.ACTIVE

    @property
    def is_well(self) -> bool:
        """Whether it runs, or need not."""
        return self.running or self.registration is RegistrationState.NONE


def registration_of(swarm_id: int | None) -> RegistrationState:
    """Of a node that the network has in this swarm; `None`: that it does not have."""
    if swarm_id is None:
        return RegistrationState.NONE
    return RegistrationState.DECOMMISSIONED if swarm_id == UNASSIGNED else RegistrationState.ACTIVE
