"""Accounts: made, restored, removed; their settings and what the network knows of them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import UNSET
from starlette.responses import Response

from allium.client import words
from allium.client.pool import Snode
from allium.client.session.core import Work
from allium.client.words import PhraseError
from allium.messenger import calls_shown, codes, phrases, requests
from allium.messenger.calls import Call, Operations
from allium.messenger.countries import country
from allium.messenger.errors import ApiError, of
from allium.messenger.facts import Facts, GifKey, IceServer
from allium.messenger.views import (
    AccountView,
    HopView,
    LeftView,
    NetworkView,
    NodesView,
    Nothing,
    PathView,
    PhraseView,
    SettingsView,
)

table = Operations()
_ONE = "/api/accounts/{account}"


@table.add(
    "POST", "/api/accounts", "Make an account, or restore one", body=requests.NewAccount, answer=AccountView, status=201
)
async def create(call: Call) -> AccountView:
    wanted = call.body
    try:
        return await call.service.add(wanted.display_name, wanted.phrase, wanted.password)
    except PhraseError as error:
        told = of(error)
        raise ApiError("phrase", told.message, word=phrases.wrong_word(wanted.phrase or "")) from None


@table.add("GET", _ONE, "An account", answer=AccountView)
async def show(call: Call) -> AccountView:
    return await call.account.view()


@table.add("PATCH", _ONE, "Give an account another name", body=requests.AccountChange, answer=AccountView)
async def change(call: Call) -> AccountView:
    if call.body.display_name is not UNSET:
        await call.account.session.set_display_name(call.body.display_name.strip())
    return await call.account.view()


@table.add(
    "DELETE",
    _ONE,
    "Remove an account from this device",
    answer=LeftView,
    query={"everywhere": "true: from the network first; `nodes` are those that did not prove it, then it stays"},
)
async def remove(call: Call) -> LeftView:
    left = await call.service.remove(call.path("account"), everywhere=call.flag("everywhere"))
    return LeftView(nodes=list(left))


@table.add("GET", f"{_ONE}/phrase", "The recovery phrase", answer=PhraseView)
async def phrase(call: Call) -> PhraseView:
    text = call.account.session.account.phrase
    return PhraseView(phrase=text, words=len(text.split()))


@table.add("GET", f"{_ONE}/phrase/qr", "The recovery phrase as a QR code, as Session has it: SVG", answer=Response)
async def phrase_code(call: Call) -> Response:
    return codes.drawn(words.decode(call.account.session.account.phrase).hex())


@table.add("POST", f"{_ONE}/phrase/seen", "The recovery phrase is written down")
async def phrase_seen(call: Call) -> Nothing:
    await _set_facts(call, phrase_seen=True)
    return Nothing()


async def _set_facts(call: Call, **changes: Any) -> None:
    def change(work: Work) -> None:
        msgspec.structs.replace(Facts.load(work), **changes).store(work)

    await call.account.session.run(change)
    call.service.hub.tell("account_changed", call.account.id)


@table.add("GET", f"{_ONE}/settings", "What is set on this device", answer=SettingsView)
async def settings(call: Call) -> SettingsView:
    minutes = call.service.auto_lock_minutes

    def made(work: Work) -> SettingsView:
        return SettingsView(
            read_receipts=work.settings.read_receipts,
            typing_indicators=work.settings.typing,
            calls=work.settings.calls,
            link_previews=Facts.load(work).link_previews,
            gif_search=bool(GifKey.load(work)),
            community_requests=work.configs.profile.community_requests is not False,
            relay_only=Facts.load(work).relay_only,
            ice_servers=calls_shown.servers(Facts.load(work)),
            auto_lock_minutes=minutes,
        )

    return await call.account.session.run(made)


@table.add("PATCH", f"{_ONE}/settings", "Change them", body=requests.SettingsChange, answer=SettingsView)
async def set_settings(call: Call) -> SettingsView:
    session, wanted = call.account.session, call.body
    given = {"read_receipts": wanted.read_receipts, "typing": wanted.typing_indicators, "calls": wanted.calls}
    changes = {name: value for name, value in given.items() if value is not UNSET}
    if changes:
        await session.set_settings(replace(await session.settings(), **changes))
    if wanted.community_requests is not UNSET:
        await session.communities.set_requests(wanted.community_requests)
    facts: dict[str, Any] = {"link_previews": wanted.link_previews, "relay_only": wanted.relay_only}
    if wanted.ice_servers is not UNSET:
        given_servers = wanted.ice_servers
        facts["ice_servers"] = (
            None if given_servers is None else [IceServer(**msgspec.structs.asdict(each)) for each in given_servers]
        )
    facts = {name: value for name, value in facts.items() if value is not UNSET}
    if facts:
        await _set_facts(call, **facts)
    if wanted.auto_lock_minutes is not UNSET:
        call.service.set_auto_lock(wanted.auto_lock_minutes)
    call.service.hub.tell("settings_changed", call.account.id)
    return await settings(call)


@table.add("GET", f"{_ONE}/path", "The path that messages take", answer=PathView)
async def path(call: Call) -> PathView:
    found = call.account.session.network.paths.paths
    hops = [_hop(each) for each in found[0].nodes] if found else []
    return PathView(hops=hops, guard_ok=bool(found))


@table.add("GET", f"{_ONE}/swarm", "The nodes that keep our messages", answer=NodesView)
async def swarm(call: Call) -> NodesView:
    session = call.account.session
    return NodesView(nodes=[_hop(each) for each in await session.network.swarm(session.account_id)])


def _hop(node: Snode) -> HopView:
    return HopView(ip=node.ip, port=node.port, pubkey=node.ed25519.hex(), country=country(node.ip))


@table.add("GET", f"{_ONE}/network", "The network, as its nodes have told it", answer=NetworkView)
async def network(call: Call) -> NetworkView:
    found = call.account.session.network
    where = Counter(country(each.ip) for each in found.pool.nodes)
    elsewhere = where.pop(None, 0)
    return NetworkView(
        nodes=len(found.pool),
        countries={name: number for name, number in where.most_common() if name is not None},
        elsewhere=elsewhere,
        paths=len(found.paths.paths),
        age=found.pool.age,
        clock=found.now() - time.time_ns() // 1_000_000,
    )


@table.add("POST", f"{_ONE}/sync", "Ask the network at once what is new")
async def sync(call: Call) -> Nothing:
    await call.account.sync()
    return Nothing()
