"""A provider of the EVM chain for somebody who waits: of several that are named, one that answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from web3 import AsyncWeb3

from allium.staking.provider import Provider, ProviderError, quantity

#: Somebody waits in front of a terminal.
_PERSON_SECONDS = 10.0
#: How long those that are preferred may still answer once another has.
_GRACE_SECONDS = 1.0


@asynccontextmanager
async def connected(*urls: str) -> AsyncIterator[Provider]:
    """The first of the providers that a person named, until the block ends, of several the first that answers.

    Raises `ProviderError`, also for a URL; when none of several answers, with what is wrong with each.
    """
    if not urls:
        raise ProviderError("no provider of the EVM chain is named; use --rpc")
    providers: list[Provider] = []
    try:
        for url in urls:
            providers.append(Provider(url, seconds=_PERSON_SECONDS))
        yield providers[0] if len(providers) == 1 else await _answering(providers)
    finally:
        for provider in providers:
            await provider.close()


async def _answering(providers: Sequence[Provider]) -> Provider:
    asked = [asyncio.create_task(provider.ask(_chain_id)) for provider in providers]
    try:
        waiting: set[asyncio.Task[int]] = set(asked)
        while waiting and not any(map(_has_answered, asked)):
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        preferred = asked[: next((place for place, task in enumerate(asked) if _has_answered(task)), 0)]
        if late := [task for task in preferred if not task.done()]:
            await asyncio.wait(late, timeout=_GRACE_SECONDS)
        for provider, task in zip(providers, asked, strict=True):
            if _has_answered(task):
                return provider
        reasons = [f"{each.name} {task.exception()}" for each, task in zip(providers, asked, strict=True)]
        raise ProviderError(f"none of {len(providers)} providers of the EVM chain answers: {'; '.join(reasons)}")
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _chain_id(w3: AsyncWeb3[Any]) -> int:
    return quantity(await w3.eth.chain_id)


def _has_answered(task: asyncio.Task[int]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
