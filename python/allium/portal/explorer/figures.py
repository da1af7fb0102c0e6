"""What the contracts hold that no event tells: asked of the providers of the EVM chain, now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eth_typing import ChecksumAddress
from web3 import AsyncWeb3

from allium.base import log
from allium.errors import NotFinalError
from allium.staking.addresses import Addresses
from allium.staking.provider import Provider, ProviderError, quantity
from allium.staking.provider_quorum import ProviderQuorum

_SECONDS, _AGAIN_SECONDS = 600.0, 5.0


@dataclass(frozen=True)
class ContractFigures:
    """At one block of the EVM chain; atomic units."""

    block: int
    supply: int
    #: What the contract that splits network fees holds, before it passes it on; `None`: there is none.
    splitter: int | None


class FigureSource:
    """Keeps them."""

    def __init__(self, panel: ProviderQuorum, addresses: Addresses, block: Callable[[], int]) -> None:
        """`block`: the newest that enough providers have; 0 while there is none."""
        self._panel, self._addresses, self._block = panel, addresses, block
        self.figures: ContractFigures | None = None
        self._log = log.get("explorer")

    async def run(self) -> None:
        """Looks every so often, until cancelled."""
        while True:
            known = await self.look()
            await asyncio.sleep(_SECONDS if known else _AGAIN_SECONDS)

    async def look(self) -> bool:
        """Whether there are figures of now."""
        block = self._block()
        if not block:
            return False
        try:
            self.figures = await self._panel.agreed(lambda provider: self._ask(provider, block))
        except (NotFinalError, ProviderError) as error:
            self._log.warning("the supply is not known", reason=str(error))
            return False
        return True

    async def _ask(self, provider: Provider, block: int) -> ContractFigures:
        token = provider.contract("SESH", self._addresses.token).functions
        splitter = self._addresses.splitter

        async def held(address: ChecksumAddress) -> int:
            return quantity(await token.balanceOf(address).call(block_identifier=block))

        async def ask(_: AsyncWeb3[Any]) -> ContractFigures:
            supply = quantity(await token.totalSupply().call(block_identifier=block))
            return ContractFigures(block, supply, None if splitter is None else await held(splitter))

        return await provider.ask(ask)
