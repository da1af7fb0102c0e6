"""One provider of the EVM chain. It is a stranger: what it says is bounded, checked, and believed when others agree."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import aiohttp
from eth_typing import ChecksumAddress
from pydantic_core import from_json
from web3 import AsyncWeb3
from web3.contract import AsyncContract
from web3.exceptions import BadFunctionCallOutput, ContractLogicError, Web3RPCError
from web3.providers.async_base import AsyncJSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from allium.base import log, unreached, urls
from allium.base.text import line
from allium.staking import StakingError, abi

T = TypeVar("T")

#: What one answer may have. A range of logs that is larger is asked for in parts.
_MAX_ANSWER = 16 << 20
_SECONDS, _CONNECT_SECONDS = 20.0, 5.0
#: How long one that limits how much it is asked is let alone, before each further try.
_PAUSES = (0.5, 1.5)
_TEXT = 200
#: No height, time, price or amount of gas is more.
_MOST = 2**64
_LOGS = "eth_getLogs"
#: What is not there is null.
_NULLABLE = ("eth_getBlockByNumber", "eth_getTransactionByHash", "eth_getTransactionReceipt")

#: EIP-1474's "limit exceeded": of requests in a time, or of blocks and results in an answer.
_LIMIT_EXCEEDED = -32005
_RATE = re.compile(r"\brate\b|\brate.?limit|too many requests|per (second|minute|day)|throughput|quota|credits", re.I)
_RANGE = re.compile(r"block|range|result|logs?\b|size|large|wide", re.I)


class ProviderError(StakingError):
    """What is wrong with a provider, or with what it said: the text goes on after its name."""


class RateLimitError(ProviderError):
    """It answers later, or somebody else: it is asked too much."""


class TooMuchError(ProviderError):
    """It refuses a question for logs, or its answer would be too large: a smaller question may do."""


class CallRevertedError(ProviderError):
    """A contract refuses a call; `data` is what it says."""

    def __init__(self, data: bytes) -> None:
        #: In words, which may be the contract's own.
        self.reason = _line(abi.describe_revert(data))
        super().__init__(f"says that a contract refuses a call: {self.reason}")
        self.data = data


class _Http(AsyncJSONBaseProvider):
    """JSON-RPC over HTTP as `web3` speaks it, with an end to what may come back."""

    #: A contract, or whoever speaks for it, could name URLs that we were to fetch for it (EIP-3668).
    global_ccip_read_enabled = False

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__()
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=seconds, connect=min(seconds, _CONNECT_SECONDS))
        self._session: aiohttp.ClientSession | None = None

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        for pause in _PAUSES:
            try:
                return await self._request(method, params)
            except RateLimitError:
                await asyncio.sleep(pause)
        return await self._request(method, params)

    async def _request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar())
        body, headers = self.encode_rpc_request(method, params), {"Content-Type": "application/json"}
        async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
            whole = await _whole(answer)
            return _understood(method, answer.status, whole)

    async def disconnect(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


class Provider:
    """One provider, and what is known against it."""

    def __init__(self, url: str, number: int | None = None, seconds: float = _SECONDS) -> None:
        """`seconds` is how long one question may take; raises `ProviderError` for a URL that cannot be used."""
        try:
            urls.check(url)
        except ValueError as error:
            raise ProviderError(str(error)) from None
        self._http = _Http(url, seconds)
        #: Without middleware, which would ask more than it is asked.
        self._w3: AsyncWeb3[Any] = AsyncWeb3(self._http, middleware=[])
        self._seconds = seconds
        #: For people.
        self.name = urls.place(url) if number is None else f"{number}: {urls.place(url)}"
        self._secrets = urls.secrets(url)
        self.chain_id: int | None = None
        #: Its last final block, as far as it said.
        self.final = -1
        #: What is wrong with it; `None` when nothing is known.
        self.trouble: str | None = None
        #: Whether its last answer was not that of the others.
        self.outvoted = False
        #: By the event loop's clock, when it may be among the first to be asked again.
        self.shunned_until = 0.0
        self._logger = log.get("staking")

    async def check_chain(self, w3: AsyncWeb3[Any], wanted: int) -> None:
        """For a question to begin with: raises `ProviderError` unless it has the chain with the id `wanted`.

        It is asked once, and again after it had another.
        """
        if self.chain_id is None:
            self.chain_id = quantity(await w3.eth.chain_id)
        if self.chain_id != wanted:
            wrong, self.chain_id = self.chain_id, None
            raise ProviderError(f"has chain {wrong}, not {wanted}")

    async def ask(self, question: Callable[[AsyncWeb3[Any]], Awaitable[T]]) -> T:
        """What `question` makes of the provider's answers; raises `ProviderError` whatever they were."""
        try:
            return await question(self._w3)
        except ProviderError as error:
            error.args = (self._shown(str(error)),)
            raise
        except ContractLogicError as error:
            raise CallRevertedError(_data(error)) from None
        except BadFunctionCallOutput:
            raise ProviderError("has no such contract at that address, or is not in step with the chain") from None
        except Web3RPCError as error:
            raise ProviderError(self._shown(f"refuses: {_message(error)}")) from None
        except TimeoutError:
            raise ProviderError(f"does not answer within {self._seconds:.0f} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ProviderError(f"cannot be reached: {self._shown(unreached.words(error))}") from None
        except Exception as error:
            # There is no part of the library that a stranger's answer could not break.
            raise ProviderError(f"gives no usable answer: {self._shown(str(error) or 'nothing')}") from None

    async def raw(self, method: str, params: list[Any]) -> dict[str, Any]:
        """`result` or `error` of one question as it was answered; raises `ProviderError` where none of them was."""

        async def question(_: AsyncWeb3[Any]) -> RPCResponse:
            return await self._http.make_request(RPCEndpoint(method), params)

        told: dict[str, Any] = dict(await self.ask(question))
        error = told.get("error")
        if not isinstance(error, dict):
            return {"result": told.get("result")}
        shown = {"code": error.get("code"), "message": self._shown(str(error.get("message")))}
        return {"error": shown if error.get("data") is None else {**shown, "data": error["data"]}}

    def contract(self, name: str, address: ChecksumAddress) -> AsyncContract:
        """A contract of the published ABI. What is called of it is a question."""
        made: AsyncContract = self._w3.eth.contract(address, abi=abi.load(name))
        return made

    def blame(self, trouble: str | None) -> None:
        """Notes what is wrong with it, or that nothing is any more, and tells when that is new."""
        if trouble is not None and trouble != self.trouble:
            self._logger.warning("a provider of the EVM chain is not relied on", provider=self.name, reason=trouble)
        elif trouble is None and self.trouble is not None:
            self._logger.info("a provider of the EVM chain is as it should be again", provider=self.name)
        self.trouble = trouble

    async def close(self) -> None:
        """Ends its connections."""
        await self._http.disconnect()

    def _shown(self, text: str) -> str:
        """What a stranger may have written, for people: short, in one line, and without what we told it."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return _line(text)


def quantity(value: object) -> int:
    """A height, time, price or amount of gas as a provider says it; raises `ProviderError` for what cannot be one."""
    if type(value) is not int or not 0 <= value < _MOST:
        raise ProviderError("gives no usable answer: something else than a number, or one that cannot be")
    return value


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in answer.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > _MAX_ANSWER:
            raise TooMuchError(f"answers with more than {_MAX_ANSWER >> 20} MiB")
    return b"".join(parts)


def _understood(method: str, status: int, body: bytes) -> RPCResponse:
    """An answer of JSON-RPC; raises `ProviderError` for any other, and for those that tell of a limit."""
    if 300 <= status < 400:
        raise ProviderError(f"sends us elsewhere (HTTP status {status}), where we do not go; use the URL of that place")
    told = None
    with suppress(ValueError):
        # Not Python's own reader, whose depth is only limited by what other libraries set for the whole process.
        told = from_json(body)
    error = told.get("error") if isinstance(told, dict) else None
    if isinstance(error, dict):
        limited = _limited(method, status, error.get("code"), str(error.get("message")))
        if limited is not None:
            raise limited
    elif status == 429:
        raise RateLimitError("limits how much it is asked (HTTP status 429)")
    elif status == 413:
        raise TooMuchError("refuses so much (HTTP status 413)")
    elif status in (401, 403):
        raise ProviderError(f"does not let us in (HTTP status {status}): the key in its URL is wrong or used up")
    elif status >= 400:
        raise ProviderError(f"answers with HTTP status {status}")
    if not isinstance(told, dict) or told.keys().isdisjoint(("result", "error")):
        kind = "nothing" if not body.strip() else "a web page" if b"<html" in body[:1024].lower() else "something else"
        # Some cut off what is too long.
        fault = TooMuchError if method == _LOGS and body.strip() else ProviderError
        raise fault(f"does not answer as JSON-RPC does, but with {kind}")
    if error is None:
        told.pop("error", None)  # some say that there is none
        if told.get("result") is None and method.startswith("eth_") and method not in _NULLABLE:
            raise ProviderError(f"gives no usable answer: nothing, to {method}")
    answer: RPCResponse = told  # type: ignore[assignment] # the library checks it further
    return answer


def _limited(method: str, status: int, code: object, message: str) -> ProviderError | None:
    """What an error tells of a limit, if it does: of requests in a time, or of what one question may ask for."""
    rate = status == 429 or code == 429 or _RATE.search(message) is not None
    if rate or (code == _LIMIT_EXCEEDED and not (method == _LOGS and _RANGE.search(message))):
        return RateLimitError(f"limits how much it is asked: {message}")
    # Each has its own words and numbers for a range that is too long.
    return TooMuchError(f"refuses so many blocks: {message}") if method == _LOGS or status == 413 else None


def _line(text: str) -> str:
    """Text of a stranger's, for people."""
    return line(urls.redacted(text), _TEXT)


def _message(error: Web3RPCError) -> str:
    told: Any = error.rpc_response
    try:
        return str(told["error"]["message"])
    except (KeyError, TypeError):
        return str(error)


def _data(error: ContractLogicError) -> bytes:
    text = error.data if isinstance(error.data, str) else ""
    try:
        return bytes.fromhex(text.removeprefix("Reverted ").removeprefix("0x"))
    except ValueError:
        return b""
