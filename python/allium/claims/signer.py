"""What one node signs for the network: only what follows from the state that it has computed itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from allium._native import BlsDomain, BlsSecretKey
from allium.appchain.claims import Code, SignatureRefusedError, claimable, may_exit, may_liquidate
from allium.appchain.state import State
from allium.appchain.types import Address, AtomicSesh, BlsKey, Height, Seconds
from allium.consensus import Consensus

#: A node may be this far behind the one that asks, and for this long.
_AHEAD = 3
_WAIT_SECONDS = 3.0
#: A state older than so many blocks and seconds says nothing of who is in the network now.
_STALE_BLOCKS, _STALE_SECONDS = 10, 60


class ClaimSigner:
    """A node's BLS key, and the rules of what it is used for. Every method raises `SignatureRefusedError`."""

    def __init__(
        self, consensus: Consensus, secret: BlsSecretKey, domain: BlsDomain, clock: Callable[[], float] = time.time
    ) -> None:
        self._consensus, self._secret, self._clock = consensus, secret, clock
        self.domain = domain
        self.key = BlsKey(secret.public)

    def rewards(self, state: State, address: Address, height: Height) -> tuple[AtomicSesh, bytes]:
        """All that an address had earned at a height, and the signature that says so."""
        amount = claimable(state, address, height)
        return amount, self._sign(self.domain.reward_message(address, amount))

    def leaving(self, state: State, bls_key: BlsKey, asked: Seconds, liquidate: bool) -> bytes:
        """The signature that lets a node go, or lets it be liquidated, at a time."""
        allowed = may_liquidate if liquidate else may_exit
        age = self.now - state.time
        if age > _STALE_BLOCKS * state.parameters.block_seconds + _STALE_SECONDS:
            raise SignatureRefusedError(Code.GONE, f"this node's state is {age} s old")
        allowed(state, bls_key, asked, self.now)
        return self._sign(leaving_message(self.domain, bls_key, asked, liquidate))

    @property
    def now(self) -> Seconds:
        """The node's clock."""
        return Seconds(int(self._clock()))

    def _sign(self, message: bytes) -> bytes:
        return self.domain.sign(self._secret, message)

    async def reached(self, height: Height) -> State:
        """The last state, at `height` if it can be: whoever asks may have heard of that a moment earlier."""
        state = self._consensus.state
        if state.height < height <= state.height + _AHEAD:
            try:
                async with asyncio.timeout(_WAIT_SECONDS):
                    async for state in self._consensus:
                        if state.height >= height:
                            break
            except TimeoutError:
                raise SignatureRefusedError(
                    Code.GONE, f"this node is at height {self._consensus.state.height} yet"
                ) from None
        return state


def leaving_message(domain: BlsDomain, bls_key: BlsKey, asked: Seconds, liquidate: bool) -> bytes:
    """What the network signs to take a node out."""
    return domain.liquidation_message(bls_key, asked) if liquidate else domain.exit_message(bls_key, asked)
