"""What the page asks of the chain where its wallet answers no such questions: one on another device only signs.

JSON-RPC, one question each, of methods that only read.
"""

from __future__ import annotations

import json
from typing import Any

from allium.portal.bodies import whole
from allium.portal.replies import bare, refusal
from allium.server.messages import Answer, Request
from allium.staking.provider import ProviderError
from allium.staking.provider_quorum import ProviderQuorum

_METHODS = frozenset(
    {
        "eth_blockNumber",
        "eth_call",
        "eth_chainId",
        "eth_estimateGas",
        "eth_gasPrice",
        "eth_getBalance",
        "eth_getBlockByNumber",
        "eth_getTransactionByHash",
        "eth_getTransactionCount",
        "eth_getTransactionReceipt",
    }
)
#: A registration with ten contributors has 3 KiB.
_MOST_BODY, _MOST_PARAMETERS = 32 << 10, 3


class ChainReads:
    """Passes questions on to a provider that nothing is known against."""

    def __init__(self, panel: ProviderQuorum) -> None:
        self._panel = panel

    async def answer(self, request: Request) -> Answer:
        """What the provider says, its errors too. Raises only what reading the body raises."""
        body = await whole(request, _MOST_BODY)
        asked = None if body is None else _asked(body)
        if asked is None:
            return refusal(400, "one question of JSON-RPC is expected, that only reads")
        number, method, params = asked
        try:
            told = await self._panel.sound.raw(method, params)
        except ProviderError:
            return refusal(502, "no provider of the chain answers; try again")
        answer = bare(json.dumps({"jsonrpc": "2.0", "id": number, **told}).encode())
        answer.headers["cache-control"] = "no-store"
        return answer


def _asked(body: bytes) -> tuple[int, str, list[Any]] | None:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    number, method, params = told.get("id"), told.get("method"), told.get("params", [])
    known = isinstance(method, str) and method in _METHODS
    if not known or type(number) is not int or not isinstance(params, list) or len(params) > _MOST_PARAMETERS:
        return None
    return number, str(method), params
