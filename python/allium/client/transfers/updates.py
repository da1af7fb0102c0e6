"""What the project's servers tell every client: the newest version, and figures of the network for its page.

Both are asked for with a key that is made of the account's and shows nothing of it (`spec/files-and-calls` §1).
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from allium.client import crypto
from allium.client.account import Account
from allium.client.configs.community import Server
from allium.client.exchange import ServerRequest
from allium.client.messages import text
from allium.client.servers import Route, ServerUnreachableError, perform
from allium.client.transfers.transfer import FileServer

#: Where figures of the network are.
NETWORK_SERVER = Server(
    "http://networkv1.getsession.org",
    bytes.fromhex("cbf461a4431dc9174dceef4421680d743a2a0e1a3131fc794240bcb0bc3dd449"),
)
_SEED_KEY = b"VersionCheckKey_sig"
_MAX_NOTES = 20_000

Platform = Literal["desktop", "android", "ios"]


@dataclass(frozen=True, slots=True)
class Release:
    """The newest version for a platform."""

    version: str
    name: str = ""
    notes: str = ""


@dataclass(frozen=True, slots=True)
class NetworkFigures:
    """Figures of the network, 0 where the server does not say. Amounts are in the token, not its smallest part."""

    #: Of one token in US dollars, and when it was (Unix seconds).
    price_usd: float = 0.0
    market_cap_usd: float = 0.0
    priced: float = 0.0
    #: From when on it is to be asked for again, Unix seconds.
    stale: float = 0.0
    #: Nodes.
    size: int = 0
    staked_tokens: float = 0.0
    staked_usd: float = 0.0
    staking_requirement: float = 0.0
    reward_pool: float = 0.0
    contract: str = ""


def signed_headers(account: Account, target: str, now: int, method: str = "GET") -> dict[str, str]:
    """Of a request without a body; `target` is path and query, `now` in Unix seconds."""
    seed = crypto.blake2b(32, account.ed25519_secret[: crypto.SEED_BYTES], key=_SEED_KEY)
    public, secret = crypto.key_pair(seed)
    signature = crypto.sign(secret, f"{now}{method}{target}".encode())
    return {
        "X-FS-Pubkey": f"07{public.hex()}",
        "X-FS-Timestamp": str(now),
        "X-FS-Signature": base64.b64encode(signature).decode(),
    }


async def newest(
    route: Route,
    account: Account,
    platform: Platform,
    now: int,
    *,
    channel: str = "stable",
    server: FileServer | None = None,
) -> Release:
    """The newest version; `RefusedError` where none is known, `NetworkError`. `now` in Unix seconds."""
    where = (server or FileServer()).server
    query = urlencode({"platform": platform, "release_channel": channel})
    said = await _get(route, account, where, f"/session_version?{query}", now)
    version = said.get("result")
    if not isinstance(version, str) or not 0 < len(version) <= 40:
        raise ServerUnreachableError(where, "it names no version")
    return Release(text.plain(version), _text(said.get("name"), 200), _text(said.get("notes"), _MAX_NOTES))


async def network_figures(route: Route, account: Account, now: int, server: Server = NETWORK_SERVER) -> NetworkFigures:
    """Figures for the network's page; `RefusedError`, `NetworkError`. `now` in Unix seconds."""
    said = await _get(route, account, server, "/info", now)
    price, token, network = (each if isinstance(each := said.get(name), dict) else {} for name in _PARTS)
    return NetworkFigures(
        _number(price.get("usd")),
        _number(price.get("usd_market_cap")),
        _number(price.get("t_price")),
        _number(price.get("t_stale")),
        int(_number(network.get("network_size"))),
        _number(network.get("network_staked_tokens")),
        _number(network.get("network_staked_usd")),
        _number(token.get("staking_requirement")),
        _number(token.get("staking_reward_pool")),
        _text(token.get("contract_address"), 42),
    )


_PARTS = ("price", "token", "network")


async def _get(route: Route, account: Account, server: Server, target: str, now: int) -> dict[str, Any]:
    request = ServerRequest("GET", target, signed_headers(account, target, now))
    reply = (await perform(route, server, request)).checked()
    try:
        said = reply.json()
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise ServerUnreachableError(server, "its answer cannot be read")
    return said


def _text(value: Any, longest: int) -> str:
    return text.plain(value[:longest]) if isinstance(value, str) else ""


def _number(value: Any) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e18
    return float(value) if good and math.isfinite(value) else 0.0
