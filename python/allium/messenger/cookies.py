"""What a browser carries that may come in."""

from __future__ import annotations

from starlette.responses import Response

COOKIE = "allium"
#: A browser forgets it after so long, seconds.
SECONDS = 90 * 86_400


def set_cookie(response: Response, secret: str, *, secure: bool) -> None:
    """No script reads it, and no other site has it sent."""
    response.set_cookie(COOKIE, secret, SECONDS, path="/", secure=secure, httponly=True, samesite="strict")
