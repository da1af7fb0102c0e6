"""A conversation of 100,000 messages: the wheel leads far and back, and the page never holds more than some of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import Tab
from tests.support.long_conversation import with_long_conversation
from tests.support.messenger import Messenger

COUNT = 100_000
#: Elements of a whole page, and what a script may hold of it more than when it was opened, bytes.
MOST_ELEMENTS, MOST_HEAP = 3_000, 48 << 20
#: More than the page holds at a time.
FAR = 1_800
#: Numbers of the messages that are drawn, the upper one first.
_DRAWN = """() => [...document.querySelectorAll('article .rich')]
  .map(one => /^(\\d+):/.exec(one.textContent)).filter(Boolean).map(one => Number(one[1]))"""
#: Whether the list moved, or can be moved on, before very many frames were drawn.
_MOVED = f"""
async ({{ before, by }}) => {{
  const list = document.querySelector('.scroller')
  for (let frames = 0; frames < 10_000; frames++) {{
    const room = by < 0 ? list.scrollTop : list.scrollHeight - list.clientHeight - list.scrollTop
    if (room > 1 || String(({_DRAWN})()) !== String(before)) return true
    await new Promise(requestAnimationFrame)
  }}
  return false
}}
"""


@pytest.fixture(scope="module")
def long_conversation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Messenger]:
    """A service without a network, whose only account has it."""
    service = Messenger(tmp_path_factory.mktemp("long") / "data", None, "--port", "0")
    try:
        with_long_conversation(service, COUNT)
        yield service
    finally:
        service.close()


@pytest.fixture
def page(long_conversation: Messenger, open_tab: Callable[..., Tab]) -> Page:
    """The conversation, at its end."""
    found = open_tab(long_conversation).page
    found.get_by_role("navigation", name="Conversations").get_by_role("link", name="Long ago").click()
    expect(numbered(found, COUNT - 1)).to_be_in_viewport()
    return found


def numbered(page: Page, number: int) -> Locator:
    """One of the messages."""
    # Some have a file beside their text.
    return page.get_by_role("article").filter(has=page.locator(".rich", has_text=re.compile(rf"^{number}: ")))


def drawn(page: Page) -> list[int]:
    found: list[int] = page.evaluate(_DRAWN)
    return found


def turn(page: Page, by: int, reached: Callable[[list[int]], bool]) -> None:
    """Turns the wheel until the numbers that are drawn are as wanted."""
    page.locator(".scroller").hover(position={"x": 300, "y": 200})
    while not (before := drawn(page)) or not reached(before):
        page.mouse.wheel(0, by)
        # It has moved, or there is room again: at the edge of what is held, more is fetched.
        assert page.evaluate(_MOVED, {"before": before, "by": by}), f"it stays at {before}"
        assert len(page.query_selector_all("*")) < MOST_ELEMENTS


def heap(page: Page) -> int:
    """Bytes that scripts hold."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    found: dict[str, Any] = session.send("Runtime.getHeapUsage")
    session.detach()
    return int(found["usedSize"])


def test_the_wheel_leads_far_and_back_and_nothing_grows(page: Page) -> None:
    before = heap(page)
    turn(page, -9000, lambda at: min(at) < COUNT - FAR)
    # What was left behind is no longer held; it comes back on the way down.
    turn(page, 9000, lambda at: max(at) == COUNT - 1)
    expect(numbered(page, COUNT - 1)).to_be_in_viewport()
    assert drawn(page) == sorted(drawn(page))
    assert heap(page) - before < MOST_HEAP


def test_keys_lead_to_both_ends_and_from_message_to_message(page: Page) -> None:
    page.get_by_label("Message", exact=True).press("ArrowUp")
    expect(numbered(page, COUNT - 1)).to_be_focused()
    page.keyboard.press("Home")
    expect(numbered(page, 0)).to_be_focused()
    expect(numbered(page, 0)).to_be_in_viewport()
    for step in range(1, 16):
        page.keyboard.press("PageDown")
        expect(page.locator("article:focus")).to_be_in_viewport()
        at = drawn(page)
        assert min(at) <= step * 10 <= max(at)
    page.keyboard.press("ArrowUp")
    expect(page.locator("article:focus")).to_be_in_viewport()
    page.keyboard.press("End")
    expect(numbered(page, COUNT - 1)).to_be_focused()
    expect(numbered(page, COUNT - 1)).to_be_in_viewport()


def test_a_search_leads_into_the_middle_and_a_button_back(page: Page) -> None:
    for number in (51_234, 13_001, 98_765):
        page.get_by_role("main").get_by_role("button", name="Search in this conversation").click()
        page.get_by_label("Search here").fill(str(number))
        page.get_by_role("search").get_by_role("link").filter(has_text=str(number)).click()
        expect(numbered(page, number)).to_be_in_viewport()
        expect(page.locator("[data-lit]")).to_contain_text(str(number))
    # Both ways on from there.
    turn(page, -2000, lambda at: min(at) < 98_600)
    turn(page, 2000, lambda at: max(at) > 98_800)
    page.get_by_role("button", name="To the newest message").click()
    expect(numbered(page, COUNT - 1)).to_be_in_viewport()
