"""What a portal has on a network whose tokens are worth nothing: a faucet, and who leads."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from allium.portal.bodies import whole
from allium.portal.epoch import Epoch, members
from allium.portal.faucet import REAL_CHAINS, Faucet, FaucetRules, NotGrantedError, code_of
from allium.portal.leaders import Leaders
from allium.portal.prepared import Told
from allium.portal.replies import bare, refusal
from allium.portal.settings import PortalConfig
from allium.server.messages import Answer, Request
from allium.settings.declared import ConfigError
from allium.staking import StakingError
from allium.staking.addresses import Addresses
from allium.staking.provider_quorum import ProviderQuorum
from allium.wallet import payer

_MOST_BODY = 1 << 10
_SESH, _ETHER = 10**9, 10**18


class TrialNetwork:
    """Answers of its own. There is none on a chain whose tokens are worth something."""

    def __init__(self, faucet: Faucet | None) -> None:
        self._faucet, self._leaders = faucet, Leaders()

    async def leaders(self, epoch: Epoch) -> Told:
        """Who leads."""
        return await self._leaders.json(epoch)

    async def leaders_csv(self, epoch: Epoch) -> Answer:
        """The same as a table."""
        return await self._leaders.csv(epoch)

    def terms(self) -> Told:
        """What the faucet gives, or null."""
        return Told.of(members(faucet=None if self._faucet is None else self._faucet.terms))

    async def grant(self, request: Request, source: str, checked: Any) -> Answer:
        """Pays who is named in a request; `checked` makes a checksummed address of a text. Raises what that raises."""
        if self._faucet is None:
            return refusal(404, "this portal has no faucet")
        try:
            told = msgspec.json.decode(await whole(request, _MOST_BODY) or b"", type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            return refusal(400, "an object with address and code is expected")
        address = checked(str(told.get("address")))
        try:
            paid = await self._faucet.grant(address, code_of(told.get("code")), source)
        except NotGrantedError as error:
            return refusal(error.status, str(error))
        answer = bare(members(granted=paid))
        answer.headers["cache-control"] = "no-store"
        return answer


def opened(
    stack: contextlib.AsyncExitStack, config: PortalConfig, panel: ProviderQuorum, addresses: Addresses
) -> TrialNetwork | None:
    """Of a portal that starts; `None` on a real chain. Raises `ConfigError`, `PortalDatabaseError`."""
    faucet = None
    if config.faucet_key_file is not None:
        rules = FaucetRules(
            tokens=config.faucet_tokens * _SESH,
            wei=round(config.faucet_ether * _ETHER),
            seconds=config.faucet_hours * 3600,
            by_source=config.faucet_source,
            by_all=config.faucet_all,
            codes=config.faucet_codes,
        )
        try:
            account = payer.load(config.faucet_key_file)
        except StakingError as error:
            raise ConfigError(str(error)) from None
        faucet = Faucet(panel, addresses, account, rules, config.data_dir)
        stack.callback(faucet.close)
    return None if addresses.chain_id in REAL_CHAINS else TrialNetwork(faucet)
