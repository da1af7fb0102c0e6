"""A node's registration, handed to a portal, where its operator goes on in a browser (`spec/portal` §4.1)."""

from __future__ import annotations

import aiohttp
from pydantic_core import from_json

from allium.base import unreached, urls
from allium.base.text import line
from allium.staking import StakingError
from allium.wallet.registration import SignedRegistration

_SECONDS, _MOST_ANSWER, _TEXT = 20.0, 64 << 10, 200


async def post(url: str, registration: SignedRegistration) -> str:
    """Posts it; the address at which to go on. Raises `StakingError` with what the portal says against it."""
    try:
        urls.check(url)
    except ValueError as error:
        raise StakingError(str(error)) from None
    base, node = url.rstrip("/"), registration.ed25519.hex()
    form = {
        "pubkey_bls": registration.bls.hex(),
        "sig_ed25519": registration.signature.hex(),
        "sig_bls": registration.possession.hex(),
        "operator": registration.operator,
    }
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(f"{base}/api/store/{node}", data=form, allow_redirects=False) as answer,
        ):
            body = await answer.content.read(_MOST_ANSWER)
            status = answer.status
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise StakingError(f"{urls.place(url)} cannot be reached: {line(unreached.words(error), _TEXT)}") from None
    try:
        told = from_json(body)
        if status == 200 and told.get("success") is True:
            return f"{base}/register/{node}"
        reason = str(told["error"])
    except (ValueError, KeyError, AttributeError):
        reason = f"it answers with HTTP status {status}"
    raise StakingError(f"{urls.place(url)} did not take the registration: {line(reason, _TEXT)}")
