"""What a node may sign for others, and who has to (`spec/appchain` §7, `spec/contracts` §6.3)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum

from allium.appchain.ledger.ledger import TooOldError
from allium.appchain.nodes import Departed
from allium.appchain.state import State
from allium.appchain.types import MILLI, Address, AtomicSesh, BlsKey, ContractId, Height, Seconds

#: How far the clocks of two nodes may be apart when one asks the other for a signature.
CLOCK_TOLERANCE = 180
_NOTHING = AtomicSesh(0)
#: The contract's initial limit of members that need not sign.
MAX_ABSENT = 4000


@dataclass(frozen=True)
class Stakes:
    """What an address has staked and does not have back yet."""

    #: In nodes that the contract holds.
    locked: AtomicSesh
    #: On its way back, with a date.
    returning: AtomicSesh


class Code(IntEnum):
    """What a refused request is answered with."""

    BAD_REQUEST = 400
    FORBIDDEN = 403
    GONE = 410


class SignatureRefusedError(ValueError):
    """A signature that is not given; `code` is the answer's first part, the text its second."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


def claimable(state: State, address: Address, height: Height | None = None) -> AtomicSesh:
    """The lifetime amount to sign for an address, now or at a recent height; `SignatureRefusedError`."""
    try:
        return AtomicSesh(state.ledger.balance(address, height) // MILLI)
    except TooOldError as error:
        raise SignatureRefusedError(Code.GONE, str(error)) from None


def stakes(state: State, address: Address) -> Stakes:
    """The stakes of an address."""
    return Stakes(state.locked.get(address, _NOTHING), state.returning.get(address, _NOTHING))


def leaving(state: State, bls_key: BlsKey) -> Departed | None:
    """The node with this key, if the contract holds it and the network does not: it may be taken out."""
    contract_id = state.by_bls.get(bls_key)
    return None if contract_id is None else state.departed.get(contract_id)


def may_exit(state: State, bls_key: BlsKey, asked: Seconds, now: Seconds) -> Departed:
    """The node whose exit may be signed at `asked`; `SignatureRefusedError`."""
    if abs(now - asked) > CLOCK_TOLERANCE:
        raise SignatureRefusedError(
            Code.BAD_REQUEST, f"the timestamp is {abs(now - asked)} s away from this node's clock"
        )
    gone = leaving(state, bls_key)
    if gone is None:
        known = bls_key in state.by_bls
        raise SignatureRefusedError(
            Code.FORBIDDEN, "the node is registered" if known else "the contract has no such node"
        )
    return gone


def may_liquidate(state: State, bls_key: BlsKey, asked: Seconds, now: Seconds) -> Departed:
    """The node whose liquidation may be signed at `asked`; `SignatureRefusedError`."""
    gone = may_exit(state, bls_key, asked, now)
    if state.height < gone.liquidation_height:
        text = f"the node may be liquidated from height {gone.liquidation_height} on, it is {state.height}"
        raise SignatureRefusedError(Code.FORBIDDEN, text)
    return gone


def signers(state: State) -> dict[BlsKey, ContractId]:
    """Everybody whose signature counts: all that the contract holds, whether they work or not."""
    return dict(state.by_bls)


def non_signers(state: State, signed: Collection[BlsKey]) -> list[ContractId]:
    """The contract's numbers of those who did not sign, ascending, as its functions want them."""
    return sorted(contract_id for key, contract_id in state.by_bls.items() if key not in signed)


def absent_allowed(members: int, most: int = MAX_ABSENT) -> int:
    """How many of the contract's members need not sign."""
    return min(members // 3, most)
