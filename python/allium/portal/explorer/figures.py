"""What the contracts hold that no event tells: asked of the providers of the EVM chain, now and then."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from eth_typing import ChecksumAddress
from web3 import AsyncWeb3

from allium.base import log
from allium.errors import NotFinalError
from allium.portal.explorer.fees import Payment, Payments
from allium.staking.addresses import Addresses
from allium.staking.provider import Provider, ProviderError, quantity
from allium.staking.provider_quorum import ProviderQuorum

_SECONDS, _AGAIN_SECONDS = 60.0, 5.0


@dataclass(frozen=True)
class ContractFigures:
    """At one block of the EVM chain; atomic units."""

    block: int
    supply: int
    #: What the contract that splits network fees holds, before it passes it on; `None`: there is none.
    splitter: int | None
    #: The part of fees that goes to the reward pool, in percent; the rest is liquidity.
    pool_percent: int = 0
    #: All fees that it has split, the oldest first, and up to which block they are known.
    payments: tuple[Payment, ...] = ()
    payments_block: int = 0


class FigureSource:
    """Keeps them."""

    def __init__(
        self, panel: ProviderQuorum, addresses: Addresses, block: Callable[[], int], payments: Payments | None
    ) -> None:
        """`block`: the newest that enough providers have; 0 while there is none."""
        self._panel, self._addresses, self._block, self._payments = panel, addresses, block, payments
        self.figures: ContractFigures | None = None
        self._log = log.get("explorer")

    async def run(self) -> None:
        """Looks every so often, until cancelled. Raises `sqlite3.Error` when what was kept cannot be read."""
        if self._payments is not None:
            await asyncio.to_thread(self._payments.open)
        while True:
            known = await self.look()
            await asyncio.sleep(_SECONDS if known else _AGAIN_SECONDS)

    async def look(self) -> bool:
        """Whether there are figures of now."""
        block = self._block()
        if not block:
            return False
        try:
            self.figures = self._with_payments(await self._panel.agreed(lambda provider: self._ask(provider, block)))
        except (NotFinalError, ProviderError) as error:
            self._log.warning("the supply is not known", reason=str(error))
            return False
        if self._payments is None:
            return True
        try:
            await self._payments.follow(block)
        except (NotFinalError, ProviderError, sqlite3.Error) as error:
            self._log.warning("what was paid in fees is not known", reason=str(error))
            return False
        finally:
            # As far as it came.
            self.figures = self._with_payments(self.figures)
        return True

    def _with_payments(self, figures: ContractFigures) -> ContractFigures:
        if self._payments is None:
            return figures
        return replace(figures, payments=self._payments.every, payments_block=self._payments.block)

    async def _ask(self, provider: Provider, block: int) -> ContractFigures:
        token = provider.contract("SESH", self._addresses.token).functions
        splitter = self._addresses.splitter

        async def held(address: ChecksumAddress) -> int:
            return quantity(await token.balanceOf(address).call(block_identifier=block))

        async def ask(_: AsyncWeb3[Any]) -> ContractFigures:
            supply = quantity(await token.totalSupply().call(block_identifier=block))
            if splitter is None:
                return ContractFigures(block, supply, None)
            part = provider.contract("FeeSplitter", splitter).functions.POOL_PERCENT()
            percent = quantity(await part.call(block_identifier=block))
            if percent > 100:
                raise ProviderError(f"gives {percent} percent of fees to the pool")
            return ContractFigures(block, supply, await held(splitter), percent)

        return await provider.ask(ask)
