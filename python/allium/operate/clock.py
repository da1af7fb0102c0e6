"""How far this machine's clock is from other nodes'."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allium._native import NodeEntry

#: Requests are refused when two clocks are further apart (`spec/node-rpc` §2.5), and when it is time to act.
REFUSED, BAD = 10.0, 2.0
REMEDY = "set it by a time service: timedatectl set-ntp true, or chrony"
#: Other nodes that are asked.
_PEERS = 5
_SECONDS = 5.0


async def differences(others: Iterable[NodeEntry]) -> list[float]:
    """How far the clocks of some of `others` are ahead of this machine's, in seconds."""
    reachable = [node for node in others if node["ip"] != "0.0.0.0"]
    asked = random.sample(reachable, min(_PEERS, len(reachable)))
    told = await asyncio.gather(*map(_difference, asked))
    return [difference for difference in told if difference is not None]


async def _difference(node: NodeEntry) -> float | None:
    """`None` without an answer."""
    from allium.client import direct
    from allium.client.errors import NetworkError

    try:
        began = time.time()
        answer = await direct.call(direct.Node.parse(node), "info", {}, timeout=_SECONDS)
        told = json.loads(answer.body)["timestamp"] / 1000
        return float(told) - (began + answer.seconds / 2)
    except (NetworkError, OSError, ValueError, KeyError, TypeError):
        return None
