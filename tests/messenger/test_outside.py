"""What comes from other servers than the nodes: pictures, communities, pages behind links."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

from PIL import Image

from allium.client.previews.fetch import PreviewFetcher
from tests.messenger.conftest import Person
from tests.messenger.test_talk import says
from tests.support.messenger_here import here
from tests.support.sogs_server import sogs_server
from tests.support.web_site import LOOPBACK, web_site

People = tuple[Person, Person]


def png(side: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), 90).save(out, "PNG")
    return out.getvalue()


def test_a_picture_is_set_and_seen(people: People) -> None:
    alice, bob = people
    with bob.events() as at_bob:
        shown = alice.service.do("PUT", f"{alice.path}/picture", png(800))
        own = alice.service.ask("GET", shown["picture"])
        with Image.open(io.BytesIO(own.body)) as image:
            assert image.size == (600, 600)
        alice.send(bob, "what do you say?")
        sender = at_bob.until("message_received", says("what do you say?"))["message"]["sender"]
    seen = [bob.service.ask("GET", sender["picture"]) for _ in range(2)]
    assert [each.body for each in seen] == [own.body] * 2
    assert seen[0].headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert seen[0].headers["content-type"].startswith("image/")
    [kept] = (bob.service.directory / "accounts" / bob.account["id"] / "pictures").iterdir()
    assert own.body[:100] not in kept.read_bytes()
    assert alice.service.do("DELETE", f"{alice.path}/picture")["picture"] is None
    assert alice.service.ask("PUT", f"{alice.path}/picture", b"<svg/>").status == 400


async def test_a_community_is_joined_talked_in_and_left(people: People) -> None:
    async with sogs_server() as sogs:
        await asyncio.to_thread(_in_a_community, people, sogs.join_url("lobby"))


def _in_a_community(people: People, url: str) -> None:
    alice, bob = people
    joined = [each.service.do("POST", f"{each.path}/communities", {"url": url}) for each in people]
    room = joined[0]["id"]
    assert (joined[1]["id"], joined[1]["kind"], joined[1]["name"]) == (room, "community", "Lobby")
    with bob.events() as at_bob:
        alice.service.do("POST", f"{alice.path}/conversations/{room}/messages", {"text": "hello, all"})
        bob.service.do("POST", f"{bob.path}/sync")
        received = at_bob.until("message_received", says("hello, all"))["message"]
    assert (received["conversation"], received["sender"]["name"], received["sender"]["id"][:2]) == (room, "Alice", "15")
    bob.service.do("PUT", f"{bob.path}/messages/{received['id']}/reactions/%F0%9F%98%82")
    bob.service.do("POST", f"{bob.path}/sync")
    page = bob.service.get(f"{bob.path}/conversations/{room}/messages")
    assert page["messages"][0]["reactions"][0]["emoji"] == "😂"
    assert bob.service.do("POST", f"{bob.path}/conversations/{room}/read")["count"] == 1
    assert bob.service.ask("POST", f"{bob.path}/communities/{room}/ban", {"user": received["sender"]["id"]}).status in (
        403,
        409,
    )
    assert [each["token"] for each in bob.service.get(f"{bob.path}/communities/rooms?url={url}")] == ["lobby"]
    for each in people:
        each.service.do("POST", f"{each.path}/communities/{room}/leave")
        assert each.service.ask("GET", f"{each.path}/conversations/{room}").status == 404


async def test_a_page_behind_a_link_is_asked_only_if_that_is_wanted(tmp_path: Path) -> None:
    async with web_site(tmp_path, "site.example") as site, here(tmp_path / "data") as made:
        site.page("/a", "<html><head><title>A page</title><meta property=og:image content='/i.png'></head></html>")
        site.page("/i.png", png(300), "image/png")
        account = await made.aside(made.do, "POST", "/api/accounts", {"display_name": "Alice"})
        path = f"/api/accounts/{account['id']}"
        fetcher = PreviewFetcher(site.resolve, lambda address: address == LOOPBACK, site.trust)
        made.service.account(account["id"]).session.files.fetcher = fetcher
        wanted = {"text": "look: https://site.example/a"}
        assert await made.aside(made.do, "POST", f"{path}/previews", wanted) is None
        assert site.asked == []
        await made.aside(made.do, "PATCH", f"{path}/settings", {"link_previews": True})
        found = await made.aside(made.do, "POST", f"{path}/previews", wanted)
        assert (found["url"], found["title"]) == ("https://site.example/a", "A page")
        image = await made.aside(made.ask, "GET", found["image"])
        assert image.headers["content-type"].startswith("image/")
        assert await made.aside(made.do, "POST", f"{path}/previews", {"text": "no link"}) is None
        assert (await made.aside(made.ask, "GET", f"{path}/previews/none")).status == 404
