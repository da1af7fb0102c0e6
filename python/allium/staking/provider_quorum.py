"""Several providers of the EVM chain, asked so that one that lies, lags or fails decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TypeVar

from allium.errors import NotFinalError
from allium.staking.provider import Provider, ProviderError

#: How long a provider that failed or was outvoted is asked only if the others are not enough.
_SHUNNED_SECONDS = 60.0

T = TypeVar("T", bound=Hashable)


class ProviderQuorum:
    """Providers in the order in which they are preferred."""

    def __init__(
        self, urls: Sequence[str], quorum: int | None = None, shunned_seconds: float = _SHUNNED_SECONDS
    ) -> None:
        """`quorum` is how many have to say the same for it to be true: more than half of them unless it is given."""
        self.providers = [Provider(url, number) for number, url in enumerate(urls)]
        self.quorum = len(urls) // 2 + 1 if quorum is None else quorum
        self._shunned_seconds = shunned_seconds
        if not 1 <= self.quorum <= len(urls):
            raise ValueError(f"{self.quorum} of {len(urls)} providers cannot agree")

    async def agreed(
        self, question: Callable[[Provider], Awaitable[T]], among: Callable[[Provider], bool] = lambda _: True
    ) -> T:
        """What enough providers answer alike; raises `NotFinalError` that names what is wrong with the others.

        No more are asked than it takes. Whoever answers otherwise than the quorum is blamed for it.
        """
        votes: dict[T, list[Provider]] = {}
        waiting = [provider for provider in self._by_preference() if among(provider)]
        while True:
            best = max(votes, key=lambda each: len(votes[each]), default=None)
            missing = self.quorum - (0 if best is None else len(votes[best]))
            if best is not None and missing <= 0:
                self._judge(votes, best)
                return best
            now, waiting = waiting[:missing], waiting[missing:]
            if len(now) < missing:
                raise NotFinalError(self._complaint(len(votes)))
            for provider, answer in zip(now, await self._ask(now, question), strict=True):
                if not isinstance(answer, _Nothing):
                    votes.setdefault(answer, []).append(provider)

    async def everybody(self, question: Callable[[Provider], Awaitable[T]]) -> list[tuple[Provider, T]]:
        """What each of them answers; those that fail are left out."""
        answers = await self._ask(self.providers, question)
        pairs = zip(self.providers, answers, strict=True)
        return [(provider, answer) for provider, answer in pairs if not isinstance(answer, _Nothing)]

    def shun(self, provider: Provider, trouble: str) -> None:
        """Notes what is wrong with a provider, which is asked last for a while."""
        provider.blame(trouble)
        provider.shunned_until = asyncio.get_running_loop().time() + self._shunned_seconds

    def acquit(self, provider: Provider) -> None:
        """Takes back what was noted of a provider that answered now. Who was outvoted has to be right first."""
        if not provider.outvoted:
            provider.blame(None)

    @property
    def sound(self) -> Provider:
        """The first that nothing is known against, for what only one is asked."""
        return next((each for each in self.providers if each.trouble is None), self.providers[0])

    @property
    def troubles(self) -> dict[str, str]:
        """What is wrong, by provider."""
        return {each.name: each.trouble for each in self.providers if each.trouble is not None}

    async def close(self) -> None:
        """Ends all connections."""
        for provider in self.providers:
            await provider.close()

    async def _ask(
        self, providers: Sequence[Provider], question: Callable[[Provider], Awaitable[T]]
    ) -> list[T | _Nothing]:
        async def one(provider: Provider) -> T | _Nothing:
            try:
                return await question(provider)
            except ProviderError as error:
                self.shun(provider, str(error))
                return _Nothing()

        return await asyncio.gather(*map(one, providers))

    def _judge(self, votes: dict[T, list[Provider]], truth: T) -> None:
        for answer, providers in votes.items():
            for provider in providers:
                provider.outvoted = answer != truth
                if provider.outvoted:
                    self.shun(provider, f"was outvoted by {len(votes[truth])} others, who agree")
                else:
                    provider.blame(None)

    def _by_preference(self) -> list[Provider]:
        now = asyncio.get_running_loop().time()
        return sorted(self.providers, key=lambda provider: provider.shunned_until > now)

    def _complaint(self, versions: int) -> str:
        said = f"; {versions} contradict each other" if versions > 1 else ""
        wrong = "".join(f"; {name}: {trouble}" for name, trouble in self.troubles.items())
        return (
            f"{self.quorum} of {len(self.providers)} providers of the EVM chain have to agree, and do not{said}{wrong}"
        )


class _Nothing:
    """What one that failed answered."""
