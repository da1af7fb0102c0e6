"""How proofs and votes get to all nodes: each passes on what is new to it to a few others, who do the same.

A message is `p`, the signature (64 bytes) and the proof, or `v` and an encoded `Ballot`. Many travel at once. Whoever
passes one on has verified it, so one that does not verify is the fault of who sent it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from allium.appchain.encoding import EncodingError, decode, encode
from allium.appchain.types import PublicKey, Signature
from allium.base import log
from allium.liveness.ballots import Ballot
from allium.liveness.proof import MAX_BYTES, ProofError, SignedProof

if TYPE_CHECKING:
    from allium._native import NodeEntry

_PROOF, _BALLOT = b"p", b"v"
_MAX_MESSAGE = 1 + 64 + MAX_BYTES
#: How many messages travel at once, and their bytes. The engine takes no more than some sixty parts of anything.
MAX_MESSAGES = 48
_MAX_TOGETHER = 48 << 10
#: How many wait for one neighbour; the oldest go first, and come on other ways.
_MAX_WAITING = 4096
#: How many are remembered, so as to pass each on once.
_MAX_REMEMBERED = 1 << 16
#: In a network of more others than this, a node passes on to some of them.
_FEW = 8
#: What one node may send: so many at once, and so many a second in the long run.
_BURST, _RATE = 4096.0, 64.0
#: What a message that does not verify counts for.
FINE = 256.0

#: Sends messages to a node; whether it took them.
Send = Callable[["NodeEntry", Sequence[bytes]], Awaitable[bool]]


def pack(told: SignedProof | Ballot) -> bytes:
    """A message."""
    if isinstance(told, SignedProof):
        return _PROOF + told.signature + told.said
    return _BALLOT + encode(told)


def unpack(message: bytes) -> SignedProof | Ballot:
    """What a message tells; raises `ValueError`. Nothing of it is verified."""
    kind, body = message[:1], message[1:]
    if len(message) > _MAX_MESSAGE:
        raise ValueError("longer than any message")
    if kind == _PROOF and len(body) > 64:
        proof = SignedProof(body[64:], Signature(body[:64]))
        try:
            _ = proof.uptime
        except ProofError as error:
            raise ValueError(f"no proof: {error}") from None
        return proof
    if kind == _BALLOT:
        try:
            return decode(Ballot, body)
        except EncodingError as error:
            raise ValueError(f"no vote: {error}") from None
    raise ValueError("neither a proof nor a vote")


class Memory:
    """Which messages were verified or refused already, the last of them."""

    def __init__(self, most: int = _MAX_REMEMBERED) -> None:
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._most = most

    def __contains__(self, message: bytes) -> bool:
        return _digest(message) in self._known

    def add(self, message: bytes) -> None:
        """Remembers one, and forgets the oldest."""
        self._known[_digest(message)] = None
        if len(self._known) > self._most:
            self._known.popitem(last=False)


class Allowances:
    """How much each node may yet send. Times are seconds of one clock."""

    def __init__(self) -> None:
        self._left: dict[PublicKey, tuple[float, float]] = {}

    def spend(self, sender: PublicKey, now: float, count: float) -> bool:
        """Takes so much from what a sender has; whether it had anything."""
        left, since = self._left.get(sender, (_BURST, now))
        left = min(_BURST, left + (now - since) * _RATE)
        self._left[sender] = (left - count if left >= 1 else left), now
        return left >= 1

    def keep(self, senders: Iterable[PublicKey]) -> None:
        """Forgets all others."""
        known = set(senders)
        self._left = {sender: left for sender, left in self._left.items() if sender in known}


def neighbours(own: PublicKey, others: Iterable[PublicKey]) -> list[PublicKey]:
    """To whom a node passes on: to all if they are few, else so that everybody is a few steps from everybody."""
    ordered = sorted(key for key in others if key != own)
    if len(ordered) <= _FEW:
        return ordered
    first = sum(key < own for key in ordered)
    steps = [1 << power for power in range(len(ordered).bit_length())]
    places = [first + step - 1 for step in steps] + [first - step for step in steps]
    return sorted({ordered[place % len(ordered)] for place in places})


@dataclass
class _Outbox:
    """What waits for one neighbour."""

    entry: NodeEntry
    waiting: deque[bytes]
    news: asyncio.Event
    task: asyncio.Task[None]


class Gossip:
    """Passes messages on. Nothing waits for it."""

    def __init__(self, own: PublicKey, send: Send) -> None:
        self._own, self._send = own, send
        self._outboxes: dict[PublicKey, _Outbox] = {}
        self._logger = log.get("liveness")

    def set_nodes(self, nodes: Mapping[PublicKey, NodeEntry]) -> None:
        """Who is there, with addresses. To be called on the event loop."""
        chosen = neighbours(self._own, nodes)
        for key in self._outboxes.keys() - set(chosen):
            self._outboxes.pop(key).task.cancel()
        for key in chosen:
            if (outbox := self._outboxes.get(key)) is not None:
                outbox.entry = nodes[key]
                continue
            task = asyncio.create_task(self._deliver(key), name="gossip")
            self._outboxes[key] = _Outbox(nodes[key], deque(maxlen=_MAX_WAITING), asyncio.Event(), task)

    def spread(self, messages: Iterable[bytes], but: PublicKey | None = None) -> None:
        """Passes verified messages on to all neighbours except who sent them."""
        messages = list(messages)
        for key, outbox in self._outboxes.items():
            if key != but and messages:
                outbox.waiting.extend(messages)
                outbox.news.set()

    async def close(self) -> None:
        """Gives up what is under way."""
        tasks = [outbox.task for outbox in self._outboxes.values()]
        self._outboxes.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, key: PublicKey) -> None:
        outbox = self._outboxes[key]
        while True:
            await outbox.news.wait()
            outbox.news.clear()
            while outbox.waiting:
                together = _together(outbox.waiting)
                if not await self._send(outbox.entry, together):
                    self._logger.debug("a neighbour does not hear", node=key.hex(), lost=len(together))


def _together(waiting: deque[bytes]) -> list[bytes]:
    """Takes as many as may travel at once."""
    together = [waiting.popleft()]
    size = len(together[0])
    while waiting and len(together) < MAX_MESSAGES and size + len(waiting[0]) <= _MAX_TOGETHER:
        together.append(waiting.popleft())
        size += len(together[-1])
    return together


def _digest(message: bytes) -> bytes:
    return blake2b(message, digest_size=16).digest()
