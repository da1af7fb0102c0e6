"""Contracts that hold tokens until a day, by who may use them (`spec/portal` §4).

Nothing on the chain lists them: whoever runs the portal does. What may change of them is read again now and then.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address
from web3 import AsyncWeb3

from allium.base import fields, log
from allium.base.fields import RefusedError
from allium.errors import NotFinalError
from allium.portal import documents
from allium.portal.epoch import members
from allium.settings.declared import ConfigError
from allium.staking.addresses import Addresses
from allium.staking.provider import Provider, quantity
from allium.staking.provider_quorum import ProviderQuorum

_REFRESH_SECONDS, _RETRY_SECONDS = 300.0, 10.0
_MOST = 10_000
_ADDRESS = fields.text("^0x[0-9a-fA-F]{40}$")
_ENTRY = fields.record({"address": _ADDRESS}, {"initial_beneficiary": _ADDRESS, "initial_amount": fields.whole(0)})


@dataclass(frozen=True)
class Listed:
    """One contract, and what it was made with where that is known."""

    address: ChecksumAddress
    beneficiary: ChecksumAddress | None
    amount: int | None


@dataclass(frozen=True)
class _Seen:
    beneficiary: str
    revoker: str
    start: int
    end: int
    transferable: bool
    held: int


def read(path: Path) -> list[Listed]:
    """The file; raises `ConfigError` that says what is wrong with it."""
    try:
        entries = fields.each(_ENTRY)(json.loads(path.read_bytes()))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; set vesting_file") from None
    except RefusedError as error:
        raise ConfigError(f"{path}: {error}") from None
    except ValueError:
        raise ConfigError(f"{path} is no JSON; set vesting_file to a list of contracts") from None
    if len(entries) > _MOST:
        raise ConfigError(f"{path} lists more than {_MOST:,} contracts")
    return [
        Listed(
            to_checksum_address(entry["address"]),
            None if (who := entry.get("initial_beneficiary")) is None else to_checksum_address(who),
            entry.get("initial_amount"),
        )
        for entry in entries
    ]


class Vestings:
    """What is known of them."""

    def __init__(self, listed: list[Listed], panel: ProviderQuorum, addresses: Addresses) -> None:
        self._listed, self._panel, self._addresses = listed, panel, addresses
        self._first: dict[ChecksumAddress, _Seen] = {}
        self._of: Mapping[str, list[documents.Vesting]] = {}
        self._logger = log.get("portal")

    def of(self, address: str) -> bytes:
        """JSON: those that a checksummed address may use, and the one that is at this address."""
        found = self._of.get(address)
        return b"[]" if found is None else members(v=found)[len(b'{"v":') : -1]

    async def run(self) -> None:
        """Looks at all of them every so often, until cancelled."""
        while self._listed:
            failed = False
            known: dict[str, list[documents.Vesting]] = {}
            for each in self._listed:
                try:
                    made = self._document(each, await self._panel.agreed(partial(self._see, each)))
                except NotFinalError as error:
                    failed = True
                    self._logger.warning("a vesting contract cannot be read", address=each.address, reason=str(error))
                    for old in self._of.get(each.address, ()):
                        known.setdefault(old.address, []).append(old)
                        known.setdefault(old.beneficiary, []).append(old)
                    continue
                for who in dict.fromkeys((made.address, made.beneficiary)):
                    known.setdefault(who, []).append(made)
            self._of = known
            await asyncio.sleep(_RETRY_SECONDS if failed else _REFRESH_SECONDS)

    def _document(self, listed: Listed, seen: _Seen) -> documents.Vesting:
        first = self._first.setdefault(listed.address, seen)
        return documents.Vesting(
            address=listed.address,
            beneficiary=seen.beneficiary,
            initial_beneficiary=listed.beneficiary or first.beneficiary,
            initial_amount=documents.amount(first.held if listed.amount is None else listed.amount),
            revoker=seen.revoker,
            time_start=seen.start,
            time_end=seen.end,
            transferable_beneficiary=seen.transferable,
        )

    async def _see(self, listed: Listed, provider: Provider) -> _Seen:
        calls = provider.contract("TokenVestingStaking", listed.address).functions
        token = provider.contract("SESH", self._addresses.token).functions

        async def ask(w3: AsyncWeb3[Any]) -> _Seen:
            await provider.check_chain(w3, self._addresses.chain_id)
            return _Seen(
                to_checksum_address(await calls.beneficiary().call()),
                to_checksum_address(await calls.revoker().call()),
                quantity(await calls.start().call()),
                quantity(await calls.end().call()),
                bool(await calls.transferableBeneficiary().call()),
                quantity(await token.balanceOf(listed.address).call()),
            )

        return await provider.ask(ask)
