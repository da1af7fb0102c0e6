"""Telephones: let in by a code, over the network."""

from __future__ import annotations

from starlette.responses import Response

from allium.messenger import codes, requests
from allium.messenger.calls import Call, Operations, answer
from allium.messenger.cookies import set_cookie
from allium.messenger.errors import ApiError
from allium.messenger.pairing import SECONDS
from allium.messenger.views import Nothing, PairingView

table = Operations()
#: Characters that a picture holds.
_MOST = 1000


@table.add("POST", "/api/pairing", "A code for a telephone", answer=PairingView, status=201)
async def begin(call: Call) -> PairingView:
    pairing = call.pairing
    if pairing.door is None:
        raise ApiError("refused", "The messenger is not open to the network: start it with --listen.")
    code = pairing.code()
    return PairingView(code=code, url=pairing.link(code), fingerprint=pairing.door.fingerprint, seconds=SECONDS)


@table.add("POST", "/api/pair", "Come in with the code", body=requests.Pairing, public=True)
async def pair(call: Call) -> Response:
    if call.pairing.door is None or call.request.url.scheme != "https":
        raise ApiError("refused", "Telephones come in over the address that the messenger shows for them.")
    match call.pairing.use(call.body.code):
        case None:
            raise ApiError("many", "No code is good now; have the messenger show a new one.")
        case False:
            raise ApiError("forbidden", "This is not the code; after five wrong ones it is good no longer.")
    secret = call.access.admit(call.body.name.strip() or "A telephone", remote=True)
    response = answer(Nothing())
    set_cookie(response, secret, secure=True)
    return response


@table.add("GET", "/api/qr", "A text as a QR code, SVG", answer=Response, query={"text": "at most 1000 characters"})
async def qr(call: Call) -> Response:
    text = call.query("text")
    if not 0 < len(text) <= _MOST:
        raise ApiError("invalid", f"A picture holds 1 to {_MOST} characters.")
    try:
        return codes.drawn(text)
    except ValueError as error:
        raise ApiError("invalid", f"{error}.") from None
