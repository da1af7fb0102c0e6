"""One signature of the whole network: every member is asked, what is bad is left out and named (`spec/appchain` §7.2).

Any node can do this for anybody, because nobody signs what it does not find itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from allium._native import bls_aggregate_keys, bls_aggregate_signatures
from allium.appchain.claims import Code, SignatureRefusedError, absent_allowed, claimable
from allium.appchain.nodes import Departed, Node
from allium.appchain.state import State
from allium.appchain.types import Address, AtomicSesh, BlsKey, ContractId, Height, PublicKey, Seconds
from allium.base import log
from allium.base.text import line
from allium.claims import wire
from allium.claims.signer import ClaimSigner, leaving_message
from allium.claims.turns import Requester, Turns
from allium.consensus import Consensus

if TYPE_CHECKING:
    from allium._native import NodeEntry

#: How long a node may take to sign.
ASK_SECONDS = 5.0
#: How long a signature is given to others who ask for the same. An exit's is good for ten minutes on the contract.
_KEEP_SECONDS = 120.0
_MAX_KEPT = 32
#: Signatures that may be collected at the same time.
AT_ONCE = 4

#: Characters of another node's words in the log.
_TEXT = 200
_MALFORMED = "its answer is malformed"
#: What nodes refuse with.
_CODES = frozenset(map(str, (*Code, wire.UNAVAILABLE, 500)))

#: Puts a command to many nodes: for each, the parts of its answer, or `None` and why there is none.
Ask = Callable[[list["NodeEntry"], str, bytes, float], Awaitable[list[tuple[list[bytes] | None, str]]]]
T = TypeVar("T")


class TooFewError(Exception):
    """The contract would refuse what was signed; the text says who did not sign and why, in our words."""


class Fault(NamedTuple):
    """Why a member did not sign."""

    #: What whoever asks is told: none of it is another node's words.
    reason: str
    #: What the log has beside it.
    detail: str = ""


@dataclass(frozen=True)
class Absent:
    """A member that did not sign."""

    contract_id: ContractId
    pubkey: PublicKey
    fault: Fault

    @property
    def reason(self) -> str:
        """For strangers."""
        return self.fault.reason


@dataclass(frozen=True)
class Collected:
    """What members signed, each apart."""

    message: bytes
    #: Keys and signatures by the contract's numbers.
    signed: Mapping[ContractId, tuple[BlsKey, bytes]]
    absent: tuple[Absent, ...]

    def sum(self, without: Collection[int] = ()) -> dict[str, Any]:
        """One signature of all but those in `without`, as the answer has it."""
        chosen = {number: pair for number, pair in sorted(self.signed.items()) if number not in without}
        if not chosen:
            raise TooFewError("nobody is left who signed")
        keys, signatures = zip(*chosen.values(), strict=True)
        return {
            "status": "OK",
            "msg_to_sign": self.message,
            "aggregate_pubkey": bls_aggregate_keys(list(keys)),
            "signature": bls_aggregate_signatures(list(signatures)),
            "signer_indices": list(chosen),
            "non_signer_indices": sorted(absent.contract_id for absent in self.absent),
            "absent": [[absent.contract_id, absent.pubkey, absent.reason] for absent in self.absent],
        }


@dataclass(frozen=True)
class SignedRewards:
    """All that an address has earned, signed."""

    address: Address
    amount: AtomicSesh
    height: Height
    collected: Collected


@dataclass(frozen=True)
class SignedLeave:
    """A node that may be taken out, signed."""

    bls_key: BlsKey
    timestamp: Seconds
    collected: Collected


class Aggregator:
    """Collects signatures for whoever asks, by turns.

    Methods raise `SignatureRefusedError`, `TooFewError` and `BusyError`.
    """

    def __init__(
        self, consensus: Consensus, signer: ClaimSigner, contacts: Callable[[], Mapping[str, NodeEntry]], ask: Ask
    ) -> None:
        """`contacts` has the nodes' addresses by Ed25519 key, hex."""
        self._consensus, self._signer, self._contacts, self._ask = consensus, signer, contacts, ask
        self._kept: dict[object, asyncio.Task[Any]] = {}
        self._turns = Turns(AT_ONCE)
        self._logger = log.get("claims")

    def close(self) -> None:
        """Gives up what is under way."""
        for task in self._kept.values():
            task.cancel()

    async def rewards(self, asker: Requester, address: Address, height: int) -> SignedRewards:
        """All that an address had earned at a height; 0 and less count from the last."""
        state = self._consensus.state
        at = Height(state.height + height) if height <= 0 else Height(height)
        return await self._once(asker, (address, at), lambda: self._rewards(asker, state, address, at))

    async def leave(self, asker: Requester, bls_key: BlsKey, liquidate: bool) -> SignedLeave:
        """That a node may go, or be liquidated, now."""
        return await self._once(asker, (bls_key, liquidate), lambda: self._leave(asker, bls_key, liquidate))

    def bls_key(self, pubkey: bytes) -> BlsKey:
        """The BLS key of a node of the contract by its other key; raises `SignatureRefusedError`."""
        for member in _members(self._consensus.state):
            if member.pubkey == pubkey:
                return member.bls_key
        raise SignatureRefusedError(Code.FORBIDDEN, "the contract has no such node")

    async def _rewards(self, asker: Requester, state: State, address: Address, height: Height) -> SignedRewards:
        def sign() -> tuple[AtomicSesh, bytes]:
            if not claimable(state, address, height):
                raise SignatureRefusedError(Code.FORBIDDEN, "the address has earned nothing")
            return self._signer.rewards(state, address, height)

        amount, own = await asker.run(sign)
        fields = {"address": address, "amount": amount, "height": height}
        message = self._signer.domain.reward_message(address, amount)
        asked = {"address": address, "height": height}
        collected = await self._collect(asker, state, message, own, wire.GET_REWARDS, asked, fields)
        return SignedRewards(address, amount, height, collected)

    async def _leave(self, asker: Requester, bls_key: BlsKey, liquidate: bool) -> SignedLeave:
        now, state = self._signer.now, self._consensus.state
        own = await asker.run(lambda: self._signer.leaving(state, bls_key, now, liquidate))
        message = leaving_message(self._signer.domain, bls_key, now, liquidate)
        command, name = (wire.GET_LIQUIDATION, "liquidate") if liquidate else (wire.GET_EXIT, "remove")
        asked, fields = {"bls_pubkey": bls_key, "timestamp": now}, {name: bls_key, "timestamp": now}
        collected = await self._collect(asker, state, message, own, command, asked, fields)
        return SignedLeave(bls_key, now, collected)

    async def _collect(
        self,
        asker: Requester,
        state: State,
        message: bytes,
        own: bytes,
        command: str,
        asked: dict[str, Any],
        fields: dict[str, Any],
    ) -> Collected:
        members = await asker.run(lambda: _members(state))
        contacts = self._contacts()
        signed: dict[ContractId, tuple[BlsKey, bytes]] = {}
        absent: list[Absent] = []
        others: list[Node | Departed] = []
        for member in members:
            if member.bls_key == self._signer.key:
                signed[member.contract_id] = member.bls_key, own
            elif member.pubkey.hex() in contacts:
                others.append(member)
            else:
                absent.append(Absent(member.contract_id, member.pubkey, Fault("no address of it is known")))
        entries = [contacts[member.pubkey.hex()] for member in others]
        answers = await self._ask(entries, command, wire.encode(asked), ASK_SECONDS) if entries else []
        for member, (parts, reason) in zip(others, answers, strict=True):
            read = Fault("no answer in time", reason) if parts is None else _signature(parts, fields)
            if isinstance(read, bytes):
                signed[member.contract_id] = member.bls_key, read
            else:
                absent.append(Absent(member.contract_id, member.pubkey, read))
        numbers = list(signed)
        pairs = list(signed.values())
        by_number = {member.contract_id: member for member in members}
        for place in await asker.run(lambda: self._signer.domain.faulty(message, pairs)):
            del signed[numbers[place]]
            culprit = by_number[numbers[place]]
            absent.append(Absent(culprit.contract_id, culprit.pubkey, Fault("its signature is wrong")))
        for one in absent:
            self._logger.warning(
                "a node did not sign", pubkey=one.pubkey.hex(), contract_id=one.contract_id, **one.fault._asdict()
            )
        absent.sort(key=lambda one: one.contract_id)
        if len(absent) > absent_allowed(len(members)):
            raise TooFewError(_complaint(len(members), absent))
        return Collected(message, signed, tuple(absent))

    async def _once(self, asker: Requester, key: object, make: Callable[[], Awaitable[T]]) -> T:
        """What `make` gives in the asker's turn, or gave a short while ago, or is about to give to another."""
        if (kept := self._kept.get(key)) is None:
            kept = self._kept[key] = asyncio.create_task(self._make(asker, make))
            kept.add_done_callback(lambda task: self._keep(key, task))
            while len(self._kept) > _MAX_KEPT and (done := [each for each in self._kept if self._kept[each].done()]):
                del self._kept[done[0]]
        made: T = await asyncio.shield(kept)
        return made

    async def _make(self, asker: Requester, make: Callable[[], Awaitable[T]]) -> T:
        async with self._turns.turn(asker.source):
            return await make()

    def _keep(self, key: object, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._forget(key, task)
        else:
            asyncio.get_running_loop().call_later(_KEEP_SECONDS, self._forget, key, task)

    def _forget(self, key: object, task: asyncio.Task[Any]) -> None:
        if self._kept.get(key) is task:
            del self._kept[key]


def _members(state: State) -> list[Node | Departed]:
    """All that the contract holds: each of them counts, whether it works or not."""
    everybody: list[Node | Departed] = [*state.nodes.values(), *state.departed.values()]
    counted = set(state.by_bls.values())
    return [member for member in everybody if member.contract_id in counted]


def _signature(parts: list[bytes], fields: dict[str, Any]) -> bytes | Fault:
    """The signature in an answer that says what it was to say; else what is wrong with it."""
    if len(parts) != 2:
        return Fault(_MALFORMED, f"{len(parts)} parts")
    code, text = parts[0][:16].decode(errors="replace"), line(parts[1].decode(errors="replace"), _TEXT)
    if parts[0] != wire.OK:
        known = code in _CODES
        return Fault(f"it refused ({code})" if known else "it refused", text if known else f"{code!r} {text}")
    try:
        told = wire.decode(parts[1:])
        signature = wire.raw(told, "signature", 128)
    except SignatureRefusedError as error:
        return Fault(_MALFORMED, str(error))
    for name, value in fields.items():
        if told.get(name.encode()) != value:
            return Fault(f"it signed another {name}", f"{told.get(name.encode())!r:.80}, not {value!r:.80}")
    return signature


def _complaint(members: int, absent: list[Absent]) -> str:
    needed = members - absent_allowed(members)
    reasons = "; ".join(f"{one.pubkey.hex()[:16]}: {one.reason}" for one in absent[:8])
    more = f" and {len(absent) - 8} more" if len(absent) > 8 else ""
    return f"{members - len(absent)} of {members} nodes signed, {needed} have to. Absent: {reasons}{more}"
