"""Search for GIFs: nobody is asked before its user agrees, and what a provider says is a stranger's word."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from allium.messenger.errors import ApiError
from allium.messenger.gif_search import MAX_ANSWER, GifSearch
from tests.messenger.test_page_talk import message
from tests.support.browser import Tab
from tests.support.devnet import Devnet
from tests.support.gif_provider import KEY, entry, gif, gif_provider
from tests.support.messenger import Messenger
from tests.support.web_site import LOOPBACK, web_site

OpenTab = Callable[..., Tab]
API, MEDIA = "api.giphy.com", "https://media0.giphy.com"


async def refusal(work: Any) -> str:
    """The word for why something cannot be."""
    with pytest.raises(ApiError) as caught:
        await work
    assert KEY not in caught.value.message
    return caught.value.word


async def test_only_pictures_of_the_provider_are_fetched(tmp_path: Path) -> None:
    def bad(number: int, **rendition: str) -> dict[str, Any]:
        return entry(MEDIA, number, downsized_large={"url": f"{MEDIA}/large.gif", "size": "1", **rendition})

    listed = [
        entry(MEDIA, 0),
        bad(1, url="https://evil.example/large.gif"),
        bad(2, url="https://giphy.com.evil.example/large.gif"),
        bad(3, url="http://media0.giphy.com/large.gif"),
        bad(4, url="https://127.0.0.1/large.gif"),
        bad(5, url="https://media0.giphy.com@evil.example/large.gif"),
        bad(6, size="9000000"),
        bad(7, url="file:///etc/passwd"),
        {"id": "../../x", "title": "path", "images": entry(MEDIA, 8)["images"]},
        {"id": "x", "images": []},
        {"id": ["x"]},
        None,
        entry(MEDIA, 9, downsized_large={"url": "no"}, downsized={"url": f"{MEDIA}/page", "size": "5"}),
    ]
    async with web_site(tmp_path, API, "media0.giphy.com", "evil.example") as site:
        search = GifSearch("", site.resolve, lambda address: address == LOOPBACK, site.trust)
        unasked = GifSearch("", site.resolve, trust=site.trust)
        # No public address, as the system would find it of a name that somebody turned to this machine.
        assert await refusal(unasked.find(KEY, "dance")) == "offline"
        assert site.asked == []
        site.page("/v1/gifs/search", json.dumps({"data": listed}), "application/json")
        found, more = await search.find(KEY, " dance ", 20)
        assert ([each.id for each in found], more) == (["gif0", "gif9"], None)
        assert site.asked == [f"{API}/v1/gifs/search?rating=pg-13&offset=20&limit=20&api_key={KEY}&q=dance"]
        site.page("/small0.gif", gif("red"), "image/gif")
        assert await search.preview("gif0") == gif("red")
        assert await refusal(search.preview("gif1")) == "unknown"
        site.redirect("/large0.gif", "https://evil.example/large.gif")
        assert await refusal(search.whole("gif0")) == "offline"
        site.page("/page", "x" * 2_000_001)
        assert await refusal(search.whole("gif9")) == "too_large"
        for body in ("[1", "[]", '{"data": 5}', "[" * 100_000):
            site.page("/v1/gifs/trending", body, "application/json")
            assert await refusal(search.find(KEY, "")) == "offline"
        site.page("/v1/gifs/trending", "x" * (MAX_ANSWER + 1), "application/json")
        assert await refusal(search.find(KEY, "")) == "too_large"
        await search.close()
        await unasked.close()
        assert not [each for each in site.asked if each.startswith("evil.example")]


def test_a_gif_is_searched_for_only_by_who_agrees(tmp_path: Path, messenger_devnet: Devnet, open_tab: OpenTab) -> None:
    with gif_provider() as provider:
        service = Messenger(tmp_path / "data", messenger_devnet, "--port", "0", "--gif-provider", provider.url).start()
        try:
            account = service.do("POST", "/api/accounts", {"display_name": "Alice"})
            _choose_one(service, account, provider.asked, open_tab)
        finally:
            service.close()
    assert not [each for each in (tmp_path / "data").rglob("*") if each.is_file() and KEY.encode() in each.read_bytes()]


def _choose_one(service: Messenger, account: dict[str, Any], asked: list[Any], open_tab: OpenTab) -> None:
    path = f"/api/accounts/{account['id']}"
    assert service.ask("GET", f"{path}/gif-search?q=dance").status == 403
    assert service.ask("PUT", f"{path}/gif-search", {"key": KEY, "agreed": False}).status == 400
    page = open_tab(service).page
    page.goto(f"{service.url}/#/{account['id']}/c/{account['account_id']}")
    page.get_by_role("button", name="GIFs").click()
    page.get_by_role("tab", name="From your conversations").press("ArrowRight")
    expect(page.get_by_text("nobody is asked for GIFs")).to_be_visible()
    page.get_by_role("button", name="Set it up").click()
    expect(page.get_by_text("It learns your internet address")).to_be_visible()
    assert asked == []
    page.get_by_label("Your GIPHY API key").fill(KEY)
    page.get_by_role("button", name="I agree").click()
    page.get_by_role("searchbox", name="Search GIPHY").fill("dance")
    tile = page.get_by_role("button", name="Choose Dance 1")
    # A tab of tests wants less motion.
    expect(tile.locator("canvas")).to_be_visible()
    tile.hover()
    expect(tile.locator("img")).to_be_visible()
    tile.click()
    expect(page.get_by_role("img", name="Dance 1.gif")).to_be_visible()
    page.get_by_role("textbox", name="Caption of Dance 1.gif").fill("Us, yesterday")
    page.get_by_role("button", name="Send").click()
    sent = message(page, "Us, yesterday")
    expect(sent.get_by_role("button", name="Open: GIF")).to_be_visible()
    assert [query["q"] for kind, query in asked if kind.endswith("/search")] == [["dance"]]
    preview = service.ask("GET", f"{path}/gif-search/gif1")
    assert preview.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert preview.headers["content-type"] == "image/gif"
    # It is in the library now.
    page.get_by_role("button", name="GIFs").click()
    expect(page.get_by_role("button", name="Choose Dance 1.gif")).to_be_visible()
    page.keyboard.press("Escape")
    # A key that is none is told; without one nobody is asked.
    service.do("PUT", f"{path}/gif-search", {"key": "another-key", "agreed": True})
    told = service.ask("GET", f"{path}/gif-search")
    assert (told.status, told.json["error"]) == (409, "refused")
    page.keyboard.press("Control+,")
    page.get_by_role("link", name="Privacy").click()
    page.get_by_role("switch", name="GIF search").click()
    expect(page.get_by_role("switch", name="GIF search")).not_to_be_checked()
    count = len(asked)
    assert service.ask("GET", f"{path}/gif-search?q=dance").status == 403
    assert len(asked) == count
