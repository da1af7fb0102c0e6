"""The page for everybody: axe finds nothing, the keyboard is enough, and hostile messages do no harm."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

import allium
from tests.messenger.conftest import Person
from tests.messenger.test_page_talk import conversation, home, message
from tests.support.browser import Tab
from tests.support.messenger import Messenger

OpenTab = Callable[..., Tab]
People = tuple[Person, Person]

PAGE = Path(allium.__file__).parent / "messenger" / "page"
#: Script of the first view, bytes after gzip.
LARGEST_SCRIPT = 300_000
SECTIONS = ("Profile", "Privacy", "Appearance", "Language", "Lock", "Network", "Backups", "Clear data", "Help")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(people: People, open_tab: OpenTab, theme: str) -> None:
    alice, bob = people
    first = bob.send(alice, f"Look at this, it is {theme}: https://example.org and `code`")
    bob.service.do("PUT", f"{bob.path}/messages/{first['id']}/reactions/%F0%9F%98%AE")
    bob.send(alice, "An answer", quote=first["id"])
    tab = open_tab(alice.service, color_scheme=theme)
    page, found = tab.page, []
    expect(page.get_by_role("link", name="Bob")).to_be_visible()
    found += tab.violations()
    page.get_by_role("link", name="Bob").click()
    expect(message(page, "An answer").last).to_be_visible()
    found += tab.violations()
    for keys in ("Control+k", "Control+n", "Control+Shift+G"):
        page.keyboard.press(keys)
        expect(page.get_by_role("dialog")).to_be_visible()
        found += tab.violations()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("main").get_by_role("button", name="Bob", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    found += tab.violations()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+,")
    for section in SECTIONS:
        page.get_by_role("navigation", name="Sections").get_by_role("link", name=section, exact=True).click()
        expect(page.get_by_role("heading", name=section, exact=True)).to_be_visible()
        found += tab.violations()
    assert found == []


def test_axe_finds_nothing_on_the_way_in(service: Messenger, open_tab: OpenTab) -> None:
    tab = open_tab(service, color_scheme="dark", viewport={"width": 390, "height": 780})
    page, found = tab.page, []
    expect(page.get_by_role("button", name="Create an account")).to_be_visible()
    found += tab.violations()
    page.get_by_role("button", name="I have an account").click()
    page.get_by_label("Recovery phrase").fill("xake ")
    expect(page.get_by_role("button", name="cake")).to_be_visible()
    found += tab.violations()
    assert found == []


@pytest.mark.parametrize(("theme", "locale"), [("light", "en-GB"), ("dark", "en-GB"), ("light", "ar-EG")])
def test_axe_finds_nothing_on_a_telephone(people: People, open_tab: OpenTab, theme: str, locale: str) -> None:
    alice, bob = people
    text = f"In your pocket, {theme}, {locale}"
    bob.send(alice, text)
    tab = open_tab(
        alice.service, color_scheme=theme, locale=locale, viewport={"width": 360, "height": 740}, has_touch=True
    )
    page, found = tab.page, []
    page.get_by_role("link", name="Bob").click()
    expect(message(page, text)).to_be_visible()
    expect(page.locator("html")).to_have_attribute("dir", "rtl" if locale.startswith("ar") else "ltr")
    expect(page.get_by_role("heading", level=1)).to_have_text("Bob")
    found += tab.violations()
    page.keyboard.press("Control+,")
    page.locator("a[href$='/settings/help']").click()
    expect(page.get_by_role("heading", level=3)).to_have_count(2)
    found += tab.violations()
    assert found == []


def test_the_keyboard_is_enough(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    bob.send(alice, "Only keys today")
    page = home(open_tab, alice)
    expect(page.get_by_role("link", name="Bob")).to_be_visible()
    page.keyboard.press("Control+k")
    page.keyboard.type("bob")
    expect(page.get_by_role("option", name="Bob")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    field = page.get_by_label("Message", exact=True)
    expect(field).to_be_focused()
    expect(message(page, "Only keys today")).to_be_visible()
    page.keyboard.press("ArrowUp")
    expect(message(page, "Only keys today")).to_be_focused()
    page.keyboard.press("r")
    expect(field).to_be_focused()
    with bob.events() as at_bob:
        page.keyboard.type("And they work")
        page.keyboard.press("Enter")
        assert at_bob.until("message_received")["message"]["quote"]["text"] == "Only keys today"
    # He may have it before this page knows that it is sent.
    expect(message(page, "And they work")).to_be_visible()
    page.keyboard.press("ArrowUp")
    expect(message(page, "And they work")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(message(page, "Only keys today").first).to_be_focused()
    page.keyboard.press("e")
    page.get_by_role("button", name="React with 😂").press("Enter")
    expect(message(page, "Only keys today").get_by_role("button", name="😂")).to_be_visible()
    page.keyboard.press("Control+f")
    expect(page.get_by_label("Search names and messages")).to_be_focused()
    page.keyboard.press("Control+,")
    expect(page.get_by_role("navigation", name="Sections")).to_be_visible()


def test_hostile_messages_stay_in_their_place(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    zalgo = "Z" + "\u0300\u0301\u0302\u0303\u0304" * 200
    texts = [
        "\u202eesrever\u202c and back",
        zalgo,
        "W" * 1900,
        "line\n" * 300,
        "<img src=x onerror=alert(1)><script>alert(2)</script>",
        "javascript:alert(3) https://example.org/" + "a" * 500,
        "\u2066" * 50 + "isolated",
        "مرحبا hello שלום " * 40,
    ]
    for text in texts:
        bob.send(alice, text)
    vector = b'<svg xmlns="http://www.w3.org/2000/svg"><script>parent.document.title="owned"</script></svg>'
    page_file = b"<html><script>parent.document.title='owned'</script></html>"
    names = (("\u202egnp.x\u202c.svg", vector), ("page.html", page_file), ("n" * 200 + ".bin", b"no picture"))
    for name, content in names:
        upload = bob.service.ask("POST", f"{bob.path}/uploads?name={quote(name)}&voice=false", content).json
        bob.send(alice, f"A file of {len(content)}", attachments=[upload["id"]])
    page = conversation(open_tab, alice)
    expect(message(page, f"A file of {len(b'no picture')}")).to_be_visible()
    # Nothing is wider than the list, nothing drawn outside of its own bubble.
    overflow = page.evaluate(
        "() => [...document.querySelectorAll('.bubble, .row-link, .notice')].filter(one => {"
        " const box = one.getBoundingClientRect(), list = one.closest('.scroller, nav').getBoundingClientRect();"
        " return box.left < list.left - 1 || box.right > list.right + 1 }).map(one => one.textContent.slice(0, 60))"
    )
    assert overflow == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # Up by hand, so that what grows meanwhile does not lead back to the end.
    page.get_by_role("article").last.hover()
    page.mouse.wheel(0, -400)
    folded = message(page, "line").first
    folded.scroll_into_view_if_needed()
    expect(folded.get_by_role("button", name="Read more")).to_be_visible()
    expect(page.get_by_role("article").filter(has_text="<img src=x")).to_be_attached()
    assert page.evaluate("document.querySelectorAll('.rich img, .rich script').length") == 0
    assert "owned" not in page.title()
    assert "\u202e" not in page.get_by_role("navigation", name="Conversations").inner_text()


def test_a_link_is_opened_after_a_question(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    bob.send(alice, "Read https://example.org/path today")
    page = conversation(open_tab, alice)
    page.get_by_role("article").get_by_role("link", name="https://example.org/path").click()
    expect(page.get_by_role("dialog")).to_contain_text("https://example.org/path")
    page.get_by_role("button", name="Cancel").click()
    assert len(page.context.pages) == 1


def test_a_telephone_shows_one_side_at_a_time(people: People, open_tab: OpenTab) -> None:
    page = open_tab(people[0].service, viewport={"width": 360, "height": 740}, has_touch=True).page
    page.get_by_role("link", name="Bob").click()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    expect(page.get_by_role("navigation", name="Conversations")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Back").click()
    expect(page.get_by_role("navigation", name="Conversations")).to_be_visible()


def test_the_first_view_is_light() -> None:
    index = (PAGE / "index.html").read_text()
    assert "<style" not in index and "style=" not in index and not re.search(r"<script[^>]*>[^<]", index)
    first = re.findall(r'(?:src|href)="(/assets/[^"]+\.js)"', index)
    assert first
    size = sum(len(gzip.compress((PAGE / each.lstrip("/")).read_bytes())) for each in first)
    assert size <= LARGEST_SCRIPT
