"""Who decides which input comes next. One protocol, several engines; `appchain` knows none of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from allium.appchain.certificates import Certificate
from allium.appchain.input import Observation
from allium.appchain.state import State
from allium.appchain.types import L2Height


class CertificateRefusedError(ValueError):
    """A certificate that the network has no use for; the text says why."""


class Observer(Protocol):
    """A node's own view of the EVM chain, of which only what is final counts."""

    async def observe(self, after: L2Height, upto: L2Height | None = None) -> Observation:
        """What happened after one height up to another, or as far as is final; raises `NotFinalError`.

        Without `upto` an answer may end early, so as to have no more than `MAX_EVENTS` events. Every honest node
        gives the same answer for the same two heights.
        """
        ...


class Consensus(Protocol):
    """An engine of agreement, as the node sees it. Iterating yields the newest state now, and then newer ones.

    An iterator that is slow misses states in between; all that were committed are in `state`, one after the other.
    """

    @property
    def state(self) -> State:
        """The last state that the network agreed on, as computed here."""
        ...

    def __aiter__(self) -> AsyncIterator[State]:
        """Ends only by cancellation."""
        ...

    async def submit(self, certificate: Certificate) -> None:
        """Hands in a verdict to be ordered; raises `CertificateRefusedError`.

        Nothing tells but the state whether it came in.
        """
        ...

    async def run(self) -> None:
        """Takes part until cancelled; raises `ConsensusError`."""
        ...
