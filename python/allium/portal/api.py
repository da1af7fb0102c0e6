"""What is asked of a portal, and the answers (`spec/portal` §4).

Strangers ask: whatever is in a path ends in a status.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import lru_cache
from typing import Protocol

import msgspec
from eth_utils.address import to_checksum_address

from allium._native import BlsDomain
from allium.base import log
from allium.portal import registrations
from allium.portal.bodies import whole
from allium.portal.chain_reads import ChainReads
from allium.portal.contract_registry import ContractRegistry
from allium.portal.database import PortalDatabase
from allium.portal.documents import ArbitrumInfo, Token, amount
from allium.portal.epoch import Epoch, members
from allium.portal.limits import Rate, TooOftenError
from allium.portal.openapi import document as openapi
from allium.portal.prepared import Told
from allium.portal.prices import NoPriceError, Prices
from allium.portal.registrations import InvalidRegistrationError
from allium.portal.replies import bare, of_epoch, preflight, refusal
from allium.portal.signing import BusyError, NoSignatureError, Signing
from allium.portal.sql import PortalDatabaseError
from allium.portal.trial import TrialNetwork
from allium.portal.vesting import Vestings
from allium.server.messages import Answer, Request

#: Whose request it is, for the limits.
SOURCE: ContextVar[str] = ContextVar("source")

_LONGEST_PATH = 512
_MOST_EVENTS, _MOST_SKIPPED = 500, 10**9
_ADDRESS, _PUBKEY = re.compile("0x[0-9a-fA-F]{40}"), re.compile("[0-9a-fA-F]{64}")
#: It takes a hash of each, and people ask again.
_checksummed = lru_cache(1 << 14)(to_checksum_address)
_NUMBER = re.compile("[0-9]{1,19}")
#: The path under which the front end reaches its backend on its own origin.
_PREFIX = "/api/ssb"
_SIGN_SECONDS = 60.0


class Limits(Protocol):
    """How often one source may ask."""

    requests: Rate
    registrations: Rate
    signatures: Rate
    prices: Rate


class Now(Protocol):
    """How everything is at the moment."""

    @property
    def epoch(self) -> Epoch:
        """The network."""
        ...

    @property
    def tip(self) -> ArbitrumInfo:
        """The contracts."""
        ...


class PathError(ValueError):
    """A part of a path that is none."""


class PortalApi:
    """Answers requests."""

    def __init__(
        self,
        now: Now,
        database: PortalDatabase,
        signing: Signing,
        domain: BlsDomain,
        registry: ContractRegistry,
        limits: Limits,
        most_registrations: int,
        prices: Prices | None = None,
        vestings: Vestings | None = None,
        reads: ChainReads | None = None,
        test: TrialNetwork | None = None,
    ) -> None:
        self._now, self._database, self._signing = now, database, signing
        self._domain, self._registry, self._limits = domain, registry, limits
        self._most_registrations = most_registrations
        self._prices, self._vestings, self._reads = Prices(None) if prices is None else prices, vestings, reads
        self._test = test
        self._openapi = openapi()
        self._log = log.get("portal")

    async def answer(self, request: Request) -> Answer:
        """The answer. Raises only what reading the body raises."""
        try:
            self._limits.requests.take(SOURCE.get("local"))
            return await self._routed(request)
        except PathError as error:
            return refusal(400, str(error))
        except TooOftenError as error:
            refused = refusal(429, str(error))
            refused.headers["retry-after"] = str(max(1, round(error.seconds)))
            return refused
        except PortalDatabaseError as error:
            self._log.error("the database cannot be used", reason=str(error))
            return refusal(503, "the portal's database cannot be used; try again later")
        except BusyError:
            return refusal(503, "too many signatures are being collected; try again later")
        except NoSignatureError as error:
            return refusal(404 if error.refused else 504, str(error))
        except TimeoutError:
            return refusal(504, "the network does not answer in time; try again")

    async def _routed(self, request: Request) -> Answer:
        if len(request.path) > _LONGEST_PATH:
            return refusal(414, "that path is too long")
        path = request.path.removeprefix(_PREFIX)
        parts = path.strip("/").split("/")
        if parts[0] == "api" and parts[1:2] == ["store"]:
            parts = parts[1:]
        if request.method == "OPTIONS":
            return preflight()
        if request.method not in ("GET", "HEAD", "POST"):
            refused = refusal(405, "GET and POST are answered")
            refused.headers["allow"] = "GET, HEAD, OPTIONS, POST"
            return refused
        match parts:
            case ["store", pubkey]:
                return await self._store(request, pubkey)
            case ["registrations", pubkey] if request.method == "POST":
                return await self._store(request, pubkey)
            case ["rewards", address] if request.method == "POST":
                return await self._signed(lambda: self._signed_rewards(_address(address)))
            case ["faucet"] if request.method == "POST" and self._test is not None:
                return await self._test.grant(request, SOURCE.get("local"), _address)
            case ["rpc"] if request.method == "POST" and self._reads is not None:
                return await self._reads.answer(request)
            case _ if request.method == "POST":
                return refusal(405, "that is only read")
            case ["exit", pubkey]:
                return await self._leaving(_pubkey(pubkey), liquidate=False)
            case ["liquidation", pubkey]:
                return await self._leaving(_pubkey(pubkey), liquidate=True)
            case ["registrations", key]:
                found = await asyncio.to_thread(self._database.registrations, _key(key))
                return self._told(request, Told.of(members(registrations=found)))
            case ["daily-rewards", address]:
                days = await asyncio.to_thread(self._database.days, _address(address))
                return self._told(request, Told.of(members(rewards=days)))
            case ["token"]:
                return bare(members(token=self._token(), t=int(time.time())))
            case ["price"]:
                return await self._price(None)
            case ["price", token]:
                return await self._price(token)
            case ["openapi.json"]:
                return bare(self._openapi)
            case ["faucet-info"] if self._test is not None:
                return self._told(request, self._test.terms())
            case ["leaders"] if self._test is not None:
                return self._told(request, await self._test.leaders(self._now.epoch))
            case ["leaders.csv"] if self._test is not None:
                return await self._test.leaders_csv(self._now.epoch)
        told = self._of_epoch(parts)
        return refusal(404, "there is no such thing") if told is None else self._told(request, told)

    def _of_epoch(self, parts: list[str]) -> Told | None:
        """The members of what follows from the epoch, the tip and the registry."""
        epoch = self._now.epoch
        match parts:
            case ["info" | "network"]:
                return Told()
            case ["nodes"]:
                return epoch.nodes
            case ["nodes", "bls"]:
                return epoch.bls_keys
            case ["stakes" | "nodes", key]:
                key = _key(key)
                return self._stakes_of(epoch, key) if key.startswith("0x") else epoch.stake(key)
            case ["contract", "contribution"]:
                return epoch.contracts
            case ["contract", "contribution", key]:
                key = _key(key)
                return epoch.contracts_of(key) if key.startswith("0x") else epoch.contract(key)
            case ["contract", *rest]:
                return self._registry.told(rest, epoch.index.pots)
            case ["events", count, skip]:
                return epoch.events(_number(count, _MOST_EVENTS), _number(skip, _MOST_SKIPPED))
            case ["stake-events", number]:
                return epoch.events_of(_number(number, 2**63 - 1))
            case ["arbitrum-info"]:
                return Told.of(members(info=self._now.tip))
            case ["rewards", address]:
                return epoch.rewards(_address(address))
            case ["exit_liquidation_list"]:
                return epoch.leaving
        return None

    def _stakes_of(self, epoch: Epoch, address: str) -> Told:
        return epoch.stakes_of(address, b"[]" if self._vestings is None else self._vestings.of(address))

    async def _price(self, token: str | None) -> Answer:
        self._limits.prices.take(SOURCE.get("local"))
        try:
            told = await self._prices.price(token)
        except NoPriceError as error:
            return refusal(503 if error.known else 404, str(error))
        answer = bare(msgspec.json.encode(told))
        answer.headers["cache-control"] = f"public, max-age={max(0, min(60, told.t_stale - int(time.time())))}"
        return answer

    def _token(self) -> Token:
        return Token(
            staking_requirement=amount(self._now.epoch.state.requirement),
            staking_reward_pool=self._now.tip.balance_reward_rate_pool,
            contract_address=self._registry.addresses.token,
        )

    def _told(self, request: Request, told: Told) -> Answer:
        return of_epoch(self._now.epoch, told, request.headers)

    # --- what the network signs

    async def _signed(self, ask: Callable[[], Awaitable[bytes]]) -> Answer:
        self._limits.signatures.take(SOURCE.get("local"))
        async with asyncio.timeout(_SIGN_SECONDS):
            told = await ask()
        return of_epoch(self._now.epoch, Told.of(told), {}, keep=False)

    async def _signed_rewards(self, address: str) -> bytes:
        return members(rewards=await self._signing.rewards(address))

    async def _leaving(self, pubkey: str, liquidate: bool) -> Answer:
        gone = self._now.epoch.view.departed(pubkey)
        if gone is None:
            return refusal(404, "that node cannot be taken out: the network has it, or nobody does")

        async def ask() -> bytes:
            return members(result=await self._signing.leaving(gone, liquidate))

        return await self._signed(ask)

    # --- registrations

    async def _store(self, request: Request, pubkey: str) -> Answer:
        self._limits.registrations.take(SOURCE.get("local"))
        try:
            body = await _body(request)
            given = registrations.fields(request.headers.get("content-type", ""), body, request.query)
            key = _pubkey(pubkey)
            # Pairings take milliseconds.
            made = await asyncio.to_thread(registrations.check, self._domain, key, given, int(time.time()))
        except (InvalidRegistrationError, PathError) as error:
            return bare(members(error=f"Invalid registration: {error}"))
        await asyncio.to_thread(self._database.register, made, self._most_registrations)
        return bare(members(success=True, registration=made))


async def _body(request: Request) -> bytes:
    body = await whole(request, registrations.MOST_BODY)
    if body is None:
        raise InvalidRegistrationError("that is too long")
    return body


def _address(text: str) -> str:
    if _ADDRESS.fullmatch(text) is None:
        raise PathError("an address is 0x and 40 hex digits")
    return _checksummed(text.lower())


def _pubkey(text: str) -> str:
    if _PUBKEY.fullmatch(text) is None:
        raise PathError("a public key is 64 hex digits")
    return text.lower()


def _key(text: str) -> str:
    """An address, checksummed, or a public key."""
    return _address(text) if text.startswith("0x") else _pubkey(text)


def _number(text: str, most: int) -> int:
    if _NUMBER.fullmatch(text) is None or int(text) > most:
        raise PathError(f"a number up to {most} is expected")
    return int(text)
