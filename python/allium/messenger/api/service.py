"""The service itself: its state, locking, links and devices."""

from __future__ import annotations

from starlette.responses import Response

from allium.messenger import requests
from allium.messenger.calls import Call, Operations, answer
from allium.messenger.cookies import COOKIE
from allium.messenger.errors import ApiError, unknown
from allium.messenger.views import DeviceView, LinkView, Nothing, StateView

table = Operations()
_CONFIRMED = "forget this device"


@table.add("GET", "/api/state", "What a page asks for first", answer=StateView)
async def state(call: Call) -> StateView:
    return await call.service.state()


@table.add("POST", "/api/lock", "Close all accounts until the password is given")
async def lock(call: Call) -> Nothing:
    await call.service.lock()
    return Nothing()


@table.add("POST", "/api/unlock", "Open what the password opens", body=requests.Unlock)
async def unlock(call: Call) -> Nothing:
    await call.service.unlock(call.body.password)
    return Nothing()


@table.add("PUT", "/api/password", "Set one password for all accounts", body=requests.Password)
async def set_password(call: Call) -> Nothing:
    await call.service.set_password(call.body.new, call.body.old)
    return Nothing()


@table.add("PUT", "/api/keychain", "Have the system's keychain open the messenger at its start", body=requests.Unlock)
async def keep_password(call: Call) -> Nothing:
    await call.service.keep_password(call.body.password)
    return Nothing()


@table.add("DELETE", "/api/keychain", "Have it do so no longer")
async def forget_password(call: Call) -> Nothing:
    await call.service.keychain.remove()
    return Nothing()


@table.add("POST", "/api/forget", "Remove everything of this device", body=requests.Forget)
async def forget(call: Call) -> Response:
    if call.body.confirm != _CONFIRMED:
        raise ApiError("invalid", f'Say "{_CONFIRMED}" to confirm it.')
    await call.service.forget()
    response = answer(Nothing())
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


@table.add("POST", "/api/links", "A link that opens the messenger once", answer=LinkView, status=201)
async def link(call: Call) -> LinkView:
    return LinkView(url=f"{call.request.base_url}open?token={call.access.link()}")


@table.add("GET", "/api/devices", "Browsers and telephones that may come in", answer=list[DeviceView])
async def devices(call: Call) -> list[DeviceView]:
    return [
        DeviceView(
            id=each.id,
            name=each.name,
            created=each.created * 1000,
            seen=each.seen * 1000,
            current=call.device is not None and each.id == call.device.id,
            remote=each.remote,
        )
        for each in call.access.devices()
    ]


@table.add("DELETE", "/api/devices/{device}", "Let a device in no longer")
async def revoke(call: Call) -> Nothing:
    if not call.access.revoke(call.path("device")):
        raise unknown("device")
    return Nothing()
