"""Calls: begun, taken, ended, and what the two sides tell each other of how they are to be reached."""

from __future__ import annotations

from allium.client.session.call_state import Candidate, OngoingCall
from allium.client.session.core import Work
from allium.messenger import calls_shown, requests
from allium.messenger.call_views import IceView, SignalsView
from allium.messenger.calls import Call, Operations
from allium.messenger.errors import ApiError
from allium.messenger.facts import Facts
from allium.messenger.views import CallView, Nothing

table = Operations()
_ALL = "/api/accounts/{account}/calls"
_ONE = f"{_ALL}/{{call}}"


async def _shown(call: Call, found: OngoingCall) -> CallView:
    account = call.account
    return await account.session.run(calls_shown.call, account.prefix, found)


@table.add("GET", _ALL, "The call that there is, if there is one", answer=list[CallView])
async def calls(call: Call) -> list[CallView]:
    found = await call.account.session.calls.current()
    return [] if found is None else [await _shown(call, found)]


@table.add("POST", _ALL, "Call a contact", body=requests.NewCall, answer=CallView, status=201)
async def start(call: Call) -> CallView:
    return await _shown(call, await call.account.session.calls.start(call.body.contact, call.body.owner))


@table.add("POST", f"{_ONE}/accept", "Take a call", body=requests.CallTaken, answer=CallView)
async def accept(call: Call) -> CallView:
    return await _shown(call, await call.account.session.calls.accept(call.path("call"), call.body.owner))


@table.add("POST", f"{_ONE}/offer", "Send an offer: the first, or one for another way", body=requests.Description)
async def offer(call: Call) -> Nothing:
    await call.account.session.calls.offer(call.path("call"), call.body.sdp)
    return Nothing()


@table.add("POST", f"{_ONE}/answer", "Send the answer to an offer", body=requests.Description)
async def answer(call: Call) -> Nothing:
    await call.account.session.calls.answer(call.path("call"), call.body.sdp)
    return Nothing()


@table.add("POST", f"{_ONE}/candidates", "Send ways to reach us", body=requests.CandidatesGiven)
async def candidates(call: Call) -> Nothing:
    found = [Candidate(each.candidate, each.line_index, each.mid) for each in call.body.candidates]
    await call.account.session.calls.candidates(call.path("call"), found)
    return Nothing()


@table.add(
    "GET",
    f"{_ONE}/signals",
    "What the other side has sent of the call",
    answer=SignalsView,
    query={"after": "so many are known already"},
)
async def signals(call: Call) -> SignalsView:
    found = await call.account.session.calls.current()
    if found is None or found.uuid != call.path("call"):
        raise ApiError("refused", "This call is over.")
    known = call.number("after", 0) or 0
    return SignalsView(signals=calls_shown.signals(found.signals[known:]))


@table.add("POST", f"{_ONE}/alive", "Still there, each minute at least", body=requests.CallAlive, answer=CallView)
async def alive(call: Call) -> CallView:
    found = await call.account.session.calls.alive(call.path("call"), connected=call.body.connected)
    return await _shown(call, found)


@table.add("POST", f"{_ONE}/end", "Hang up, or decline", body=requests.CallEnd, answer=CallView)
async def end(call: Call) -> CallView:
    return await _shown(call, await call.account.session.calls.end(call.path("call"), failed=call.body.failed))


@table.add("GET", "/api/accounts/{account}/ice", "How calls may find their way", answer=IceView)
async def ice(call: Call) -> IceView:
    mainnet = call.service.network == "mainnet"

    def made(work: Work) -> IceView:
        return calls_shown.ice(Facts.load(work), mainnet=mainnet)

    return await call.account.session.run(made)
