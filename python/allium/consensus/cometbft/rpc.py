"""What CometBFT is asked over its own RPC."""

from __future__ import annotations

import base64
import json
from typing import Any

import aiohttp

from allium.base import unreached
from allium.base.text import line
from allium.base.urls import place, redacted

_SECONDS = 10.0
_TEXT = 200
#: What one answer may have: a state as base64, and what is around it.
_MAX_ANSWER = 128 << 20


class RpcError(Exception):
    """No answer, or one that says no."""


async def call(url: str, method: str, *, seconds: float = _SECONDS, **parameters: Any) -> dict[str, Any]:
    """One call; raises `RpcError`."""
    body = {"jsonrpc": "2.0", "id": 0, "method": method, "params": parameters}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session,
            session.post(url, json=body, allow_redirects=False) as answer,
        ):
            told = json.loads(await _whole(answer))
    except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
        raise RpcError(f"{place(url)}: {line(redacted(unreached.words(error)), _TEXT)}") from None
    if not isinstance(told, dict):
        raise RpcError(f"{place(url)} does not answer as CometBFT does")
    result, why = told.get("result"), told.get("error")
    if not isinstance(result, dict):
        said = str(why.get("data") or why.get("message")) if isinstance(why, dict) else "no result"
        raise RpcError(f"{place(url)}: {line(said, _TEXT)}")
    return result


async def standing(url: str) -> str:
    """Height, round and step at which CometBFT is, and who has voted there, for people; why it does not say."""
    try:
        told = (await call(url, "consensus_state"))["round_state"]
        where = str(told["height/round/step"])
        votes = told["height_vote_set"][int(where.split("/")[1])]
        return f"{where}, prevotes {votes['prevotes_bit_array']}, precommits {votes['precommits_bit_array']}"
    except RpcError as error:
        return str(error)
    except (KeyError, IndexError, ValueError, TypeError):
        return "an answer that makes no sense"


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > _MAX_ANSWER:
            raise RpcError(f"an answer of more than {_MAX_ANSWER} bytes")
    return bytes(body)


async def broadcast(url: str, transaction: bytes) -> str | None:
    """Hands a transaction in; why it is refused. Raises `RpcError`."""
    result = await call(url, "broadcast_tx_sync", tx=base64.b64encode(transaction).decode())
    return None if result.get("code") == 0 else str(result.get("log"))
