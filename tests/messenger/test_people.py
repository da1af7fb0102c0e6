"""What is known of people, rooms and the network: safety words, links, roles, countries, a restored account's name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from allium.devnet import ports
from allium.messenger import safety
from allium.messenger.countries import country
from allium.operate import admin
from tests.messenger.conftest import Person
from tests.messenger.test_talk import says
from tests.support.devnet import Devnet
from tests.support.messenger import Messenger
from tests.support.push_services import CONTACT, PushServices
from tests.support.server_process import ServerUnderTest
from tests.support.sogs_server import SogsServer, sogs_server
from tests.support.waiting import await_that

People = tuple[Person, Person]


def test_both_sides_see_the_same_safety_words(people: People) -> None:
    alice, bob = people
    hers = alice.service.get(f"{alice.path}/contacts/{bob.id}/safety")["keys"]
    his = bob.service.get(f"{bob.path}/contacts/{alice.id}/safety")["keys"]
    assert [(each["id"], each["words"]) for each in hers] == [(each["id"], each["words"]) for each in his]
    assert [each["own"] for each in hers] == [not each["own"] for each in his]
    assert {each["id"] for each in hers} == {alice.id, bob.id}
    assert all(len(each["words"]) == safety.WORDS for each in hers)
    assert alice.service.ask("GET", f"{alice.path}/contacts/{alice.id}/safety").status == 404
    # One letter of an id apart, and nothing is alike.
    other = safety.words(bob.id[:-1] + ("0" if bob.id[-1] != "0" else "1"))
    assert sum(one == two for one, two in zip(other, safety.words(bob.id), strict=True)) < safety.WORDS // 2


def test_links_of_a_conversation_are_listed(people: People) -> None:
    alice, bob = people
    with bob.events() as at_bob:
        for text in ("see https://example.org/one", "no link here, http is a word", "and HTTPS://example.org/two"):
            alice.send(bob, text)
        at_bob.until("message_received", says("and HTTPS://example.org/two"))
    path = f"{bob.with_(alice)}/media?kind=links&limit=1"
    newest = bob.service.get(path)
    assert [each["text"] for each in newest["messages"]] == ["and HTTPS://example.org/two"]
    older = bob.service.get(f"{path}&before={newest['next']}")
    assert [each["text"] for each in older["messages"]] == ["see https://example.org/one"]


async def test_a_room_is_looked_after(people: People) -> None:
    async with sogs_server() as sogs:
        await asyncio.to_thread(_moderated, people, sogs)


def _moderated(people: People, sogs: SogsServer) -> None:
    alice, bob = people
    room = sogs.rooms["lobby"]
    room.description = "Where all meet"
    url = sogs.join_url("lobby")
    listed = alice.service.get(f"{alice.path}/communities/rooms?url={url}")
    assert [(each["name"], each["active_users"]) for each in listed] == [("Lobby", 1)]
    name, _ = [each.service.do("POST", f"{each.path}/communities", {"url": url})["id"] for each in people]
    path = f"{alice.path}/communities/{name}"

    def said(who: Person, other: Person, text: str) -> dict[str, Any]:
        """What `who` posts, as `other` sees it."""
        with other.events() as events:
            who.service.do("POST", f"{who.path}/conversations/{name}/messages", {"text": text})
            other.service.do("POST", f"{other.path}/sync")
            found: dict[str, Any] = events.until("message_received", says(text))["message"]
        return found

    alice_id = said(alice, bob, "I am Alice")["sender"]["id"]
    spam = said(bob, alice, "Buy my onions")
    assert alice.service.get(path)["moderator"] is False
    room.admins.add(alice_id)
    room.info_updates += 1
    alice.service.do("POST", f"{alice.path}/sync")
    shown = alice.service.get(path)
    assert (shown["admin"], shown["moderator"], shown["url"]) == (True, True, url)
    assert (shown["description"], [each["id"] for each in shown["staff"]]) == ("Where all meet", [alice_id])
    alice.service.do("POST", f"{path}/pin", {"message": spam["id"]})
    alice.service.do("POST", f"{alice.path}/sync")
    assert [each["id"] for each in alice.service.get(path)["pinned"]] == [spam["id"]]
    alice.service.do("POST", f"{path}/pin", {"message": spam["id"], "pinned": False})
    alice.service.do("POST", f"{alice.path}/sync")
    assert alice.service.get(path)["pinned_count"] == 0
    alice.service.do("POST", f"{path}/ban", {"user": spam["sender"]["id"], "delete": True})
    assert spam["sender"]["id"] in room.banned and room.posts[-1].data is None
    alice.service.do("POST", f"{path}/unban", {"user": spam["sender"]["id"]})
    assert not room.banned
    # Whose words count is seen beside them.
    assert said(alice, bob, "Calm again")["sender"]["admin"] is True
    for each in people:
        each.service.do("POST", f"{each.path}/communities/{name}/leave")
    assert alice.service.ask("GET", path).status == 404


def called(service: Messenger, account: dict[str, Any], name: str) -> None:
    """Returns when it is called so."""
    with service.events(0) as events:
        while service.get(f"/api/accounts/{account['id']}")["display_name"] != name:
            events.until("account_changed")


def test_a_restored_account_has_the_name_that_was_given(messenger_devnet: Devnet, tmp_path: Path) -> None:
    first = Messenger(tmp_path / "first", messenger_devnet, "--port", "0").start()
    second = Messenger(tmp_path / "second", messenger_devnet, "--port", "0").start()
    try:
        old = first.do("POST", "/api/accounts", {"display_name": "Before"})
        phrase = first.get(f"/api/accounts/{old['id']}/phrase")["phrase"]
        # Without a name it is called as the network knows it.
        again = second.do("POST", "/api/accounts", {"phrase": phrase})
        called(second, again, "Before")
        second.do("DELETE", f"/api/accounts/{again['id']}")
        again = second.do("POST", "/api/accounts", {"phrase": phrase, "display_name": " After "})
        assert (again["account_id"], again["display_name"]) == (old["account_id"], "After")
        called(first, old, "After")
        assert second.get(f"/api/accounts/{again['id']}")["display_name"] == "After"
    finally:
        first.close()
        second.close()


def test_the_network_is_told_of_by_its_nodes(people: People) -> None:
    alice, _ = people
    found = alice.service.get(f"{alice.path}/network")
    # All of a devnet are on this machine, which is no place.
    assert (found["nodes"], found["countries"], found["elsewhere"]) == (6, {}, 6)
    assert alice.service.get(f"{alice.path}/path")["hops"][0]["country"] is None


def test_an_address_is_in_the_country_of_its_registry() -> None:
    # Of the registries of Europe, North America and the Pacific.
    assert [country(each) for each in ("193.0.6.139", "8.8.8.8", "203.119.102.40")] == ["NL", "US", "AU"]
    for nowhere in ("127.0.0.1", "10.1.2.3", "192.168.0.9", "0.0.0.0", "::1", "nonsense", ""):
        assert country(nowhere) is None


@pytest_asyncio.fixture
async def services(tmp_path: Path) -> AsyncIterator[PushServices]:
    """Who delivers to browsers."""
    async with PushServices(tmp_path) as made:
        yield made


async def test_a_message_wakes_a_browser(
    people: People, messenger_devnet: Devnet, services: PushServices, tmp_path: Path
) -> None:
    nodes = str(messenger_devnet.directory / "nodes.json")
    options = ("--network-file", nodes, "--webpush-contact", CONTACT)
    with ports.reserve(1) as [port]:
        server = ServerUnderTest("push", tmp_path, port, *options, **services.settings, swarm_members=2)
        place = f"{server.url}#{server.ed25519.hex()}"
        service = Messenger(tmp_path / "data", messenger_devnet, "--port", "0", "--push-server", place)
        try:
            await asyncio.to_thread(server.start)
            await asyncio.to_thread(service.start)
            await _woken(people[0], service, services, server)
        finally:
            service.close()
            server.end()


def _monitored(server: ServerUnderTest) -> int:
    """How many nodes have taken subscriptions."""
    found: int = admin.status(server.directory)["push"]["monitored"]
    return found


async def _woken(alice: Person, service: Messenger, services: PushServices, server: ServerUnderTest) -> None:
    account = await asyncio.to_thread(service.do, "POST", "/api/accounts", {"display_name": "Erin"})
    path = f"/api/accounts/{account['id']}/push"
    assert (await asyncio.to_thread(service.get, path))["key"]
    browser = services.browser("erin")
    wanted = {"endpoint": browser["endpoint"], **browser["keys"]}
    await asyncio.to_thread(service.do, "PUT", path, wanted)
    # Who is asked to tell of messages tells of those that come after that.
    await asyncio.to_thread(await_that, "nodes are subscribed to", lambda: _monitored(server) >= 2)
    write = f"{alice.path}/conversations/{account['account_id']}/messages"
    await asyncio.to_thread(alice.service.do, "POST", write, {"text": "Psst, Erin"})
    arrived = await services.next()
    # It says that something came, sealed; not what.
    assert arrived.device == "erin" and "Psst" not in arrived.payload
    assert (await asyncio.to_thread(service.ask, "DELETE", path, {"endpoint": browser["endpoint"]})).status == 200
    # Without a push server nobody is woken.
    assert (await asyncio.to_thread(alice.service.get, f"{alice.path}/push"))["key"] is None
    assert (await asyncio.to_thread(alice.service.ask, "PUT", f"{alice.path}/push", wanted)).status == 409
