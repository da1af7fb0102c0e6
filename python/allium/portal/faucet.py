"""The faucet of a test network: tokens to stake and ether for gas, from a key that the portal's operator gives.

It is the one key that a portal holds. There is none unless a file is named, and none on a chain whose tokens are worth
something.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address
from web3 import AsyncWeb3

from allium.base import log
from allium.portal.documents import FaucetTerms, Granted, amount
from allium.portal.limits import Rate
from allium.portal.sql import NOTHING_GIVEN, SqliteFile
from allium.settings.declared import ConfigError
from allium.staking.addresses import Addresses
from allium.staking.provider import ProviderError
from allium.staking.provider_quorum import ProviderQuorum
from allium.wallet.sender import PendingError, RevertedError, Sender

#: Ethereum, Arbitrum One and Arbitrum Nova: what is paid there is money.
REAL_CHAINS = frozenset({1, 42161, 42170})
#: In the data directory.
DATABASE = "faucet.sqlite"
_TABLE = "CREATE TABLE granted (address TEXT NOT NULL, code TEXT NOT NULL, at BIGINT NOT NULL)"
_MOST_CODES, _LONGEST_CODE = 1 << 20, 100
#: Wrong codes that one source may name in an hour.
_GUESSES = 10
#: How many may wait for their turn; a grant is two transactions.
_MOST_WAITING = 16


class NotGrantedError(Exception):
    """Why not, for people, with the status that HTTP has for it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class FaucetRules:
    """What is granted, and how often."""

    #: Atomic units, and wei.
    tokens: int
    wei: int
    #: Of an address.
    seconds: int
    #: Grants by one source in that time, and by everybody.
    by_source: int
    by_all: int
    #: A code in each line, and how often it may be used if that is more than once. `None`: nobody needs one.
    codes: Path | None


class Faucet:
    """Grants, one after the other."""

    def __init__(
        self, panel: ProviderQuorum, addresses: Addresses, account: LocalAccount, rules: FaucetRules, directory: Path
    ) -> None:
        """Raises `ConfigError` on a chain whose tokens are worth something, `PortalDatabaseError`."""
        if addresses.chain_id in REAL_CHAINS:
            raise ConfigError(f"chain {addresses.chain_id} has no faucet: what it would give away is worth something")
        self._panel, self._addresses, self._account, self._rules = panel, addresses, account, rules
        self._kept = SqliteFile(directory / DATABASE)
        if not self._kept.has("granted"):
            self._kept.change((_TABLE, NOTHING_GIVEN))
        self._sources, self._guesses = Rate(rules.by_source, rules.seconds), Rate(_GUESSES, 3600)
        self._turn, self._waiting = asyncio.Lock(), 0
        self._log = log.get("portal")

    def close(self) -> None:
        """Lets go of its file."""
        self._kept.close()

    @property
    def terms(self) -> FaucetTerms:
        """What whoever asks gets."""
        rules = self._rules
        coded = rules.codes is not None
        return FaucetTerms(tokens=amount(rules.tokens), wei=amount(rules.wei), seconds=rules.seconds, coded=coded)

    async def grant(self, address: ChecksumAddress, code: str, source: str) -> Granted:
        """Pays; raises `NotGrantedError`, `TooOftenError`, `PortalDatabaseError`."""
        if self._waiting >= _MOST_WAITING:
            raise NotGrantedError(503, "many others wait for the faucet; try again in a minute")
        self._waiting += 1
        try:
            async with self._turn:
                code = await asyncio.to_thread(self._allowed, address, code, source)
                self._sources.take(source)
                # Kept first: who is paid twice takes from others, and who is not may ask again.
                row = (address, code, int(time.time()))
                await asyncio.to_thread(self._kept.change, ("INSERT INTO granted VALUES (?, ?, ?)", [row]))
                try:
                    return await self._pay(address)
                except PendingError as error:
                    raise NotGrantedError(504, f"it was sent, and is not in a block yet: {error}") from None
                except (RevertedError, ProviderError) as error:
                    gone = "DELETE FROM granted WHERE address = ? AND code = ? AND at = ?"
                    await asyncio.to_thread(self._kept.change, (gone, [row]))
                    self._log.warning("the faucet could not pay", reason=str(error))
                    raise NotGrantedError(503, "the faucet cannot pay now: it may be empty") from None
        finally:
            self._waiting -= 1

    def _allowed(self, address: str, code: str, source: str) -> str:
        """The code that is used, or nothing; raises `NotGrantedError`, `TooOftenError`."""
        since = int(time.time()) - self._rules.seconds
        [[own, last]] = self._kept.rows(
            "SELECT count(*), max(at) FROM granted WHERE address = ? AND at > ?", address, since
        )
        if own:
            raise NotGrantedError(429, f"this address has had its part; again in {_hours(last - since)}")
        [[others]] = self._kept.rows("SELECT count(*) FROM granted WHERE at > ?", since)
        if others >= self._rules.by_all:
            raise NotGrantedError(429, "the faucet has given all that it gives in this time; try again later")
        if self._rules.codes is None:
            return ""
        for known, uses in _codes(self._rules.codes):
            if hmac.compare_digest(known.encode(), code.encode(errors="replace")):
                [[used]] = self._kept.rows("SELECT count(*) FROM granted WHERE code = ?", known)
                if used >= uses:
                    raise NotGrantedError(403, "that code is used up")
                return known
        self._guesses.take(source)
        raise NotGrantedError(403, "a code is needed, and that is none")

    async def _pay(self, address: ChecksumAddress) -> Granted:
        sender = Sender(self._panel.sound, self._account)
        token, rules = self._addresses.token, self._rules

        async def held(w3: AsyncWeb3[Any]) -> int:
            return int(await w3.eth.get_balance(self._account.address))

        # Both are there before either is sent.
        giving = sender.transaction("SESH", token, "transfer", address, rules.tokens)
        await sender.simulate("SESH.transfer", giving)
        if await sender.provider.ask(held) <= rules.wei:
            raise ProviderError("has too little ether for the faucet")
        ether = await sender.send("ether", {"to": address, "value": rules.wei, "data": b""})  # type: ignore[typeddict-item]
        tokens = await sender.send("SESH.transfer", giving)
        names = [bytes(each["transactionHash"]).hex() for each in (ether, tokens)]
        self._log.info("the faucet has paid", address=address, tokens=rules.tokens)
        return Granted(
            address=to_checksum_address(address),
            tokens=amount(rules.tokens),
            wei=amount(rules.wei),
            transactions=[f"0x{name}" for name in names],
        )


def _hours(seconds: int) -> str:
    return f"{-(-seconds // 3600)} h"


def _codes(file: Path) -> Sequence[tuple[str, int]]:
    """As they are now: whoever hands them out adds to them."""
    try:
        with file.open("rb") as reader:
            lines = reader.read(_MOST_CODES).decode(errors="replace").splitlines()
    except OSError as error:
        raise NotGrantedError(503, f"the faucet's codes cannot be read: {error.strerror}") from None
    words = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return [(each[0], int(each[1]) if len(each) > 1 and each[1].isdecimal() else 1) for each in words]


def code_of(value: Any) -> str:
    """A code as a request has it, or nothing."""
    return value.strip() if isinstance(value, str) and len(value) <= _LONGEST_CODE else ""
