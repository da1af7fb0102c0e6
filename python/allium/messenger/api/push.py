"""Web Push: browsers that are to be woken when their page is closed."""

from __future__ import annotations

from allium.client.errors import NetworkError, RefusedError
from allium.messenger import requests
from allium.messenger.calls import Call, Operations
from allium.messenger.errors import ApiError
from allium.messenger.views import Nothing, PushView
from allium.messenger.web_push import PushServer

table = Operations()
_ONE = "/api/accounts/{account}/push"


@table.add("GET", _ONE, "Whether browsers can be woken, and the key that they are to know", answer=PushView)
async def show(call: Call) -> PushView:
    server = call.service.push_server
    if server is None:
        return PushView(key=None)
    try:
        return PushView(key=await server.key(call.account.session))
    except (NetworkError, RefusedError):
        return PushView(key=None)


@table.add("PUT", _ONE, "Have a browser be woken; it is good for two weeks", body=requests.PushWanted)
async def subscribe(call: Call) -> Nothing:
    await _server(call).subscribe(call.account.session, call.body)
    return Nothing()


@table.add("DELETE", _ONE, "Wake a browser no longer", body=requests.PushOver)
async def unsubscribe(call: Call) -> Nothing:
    await _server(call).unsubscribe(call.account.session, call.body)
    return Nothing()


def _server(call: Call) -> PushServer:
    if (found := call.service.push_server) is None:
        raise ApiError("refused", "No push server is set: start the messenger with --push-server.")
    return found
