"""The list of conversations: pins put in order by mouse and by keys, swipes of a finger, and what is hidden."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from allium.client.account import Account
from tests.messenger.conftest import Person
from tests.messenger.test_page_talk import home
from tests.support.browser import Tab
from tests.support.devnet import Devnet
from tests.support.messenger import Messenger

OpenTab = Callable[..., Tab]
NAMES = ("Ann", "Ben", "Cleo")


@pytest.fixture(scope="module")
def dora(tmp_path_factory: pytest.TempPathFactory, messenger_devnet: Devnet) -> Iterator[Person]:
    """Somebody who has written to Ann, then to Ben, then to Cleo."""
    service = Messenger(tmp_path_factory.mktemp("dora"), messenger_devnet, "--port", "0").start()
    made = Person(service, service.do("POST", "/api/accounts", {"display_name": "Dora"}))
    for name in NAMES:
        account_id = Account.new().account_id
        service.do("POST", f"{made.path}/conversations/{account_id}/messages", {"text": f"Hello, {name}"})
        service.do("PATCH", f"{made.path}/contacts/{account_id}", {"nickname": name})
    yield made
    service.close()


@pytest.fixture(autouse=True)
def bare(dora: Person) -> None:
    """Nothing is pinned, muted or hidden."""
    for each in dora.service.get(f"{dora.path}/conversations?hidden=true"):
        change = {"pinned": 0, "muted_until": 0, "hidden": False}
        dora.service.do("PATCH", f"{dora.path}/conversations/{each['id']}", change)


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("navigation", name="Conversations").get_by_role("link", name=name)


def shows(page: Page, *names: str) -> None:
    """The list has these, in this order."""
    expect(page.get_by_role("navigation", name="Conversations").locator(".row-link .name")).to_have_text(list(names))


def kept(dora: Person) -> list[tuple[str, int]]:
    """Names and numbers of what is pinned, as the service has them."""
    return [(each["name"], each["pinned"]) for each in dora.service.get(f"{dora.path}/conversations") if each["pinned"]]


def drag(page: Page, name: str, target: Locator, part: float) -> None:
    """Draws a row with the mouse to a part of the height of another."""
    start, end = row(page, name).bounding_box(), target.bounding_box()
    assert start is not None and end is not None
    page.mouse.move(start["x"] + 90, start["y"] + start["height"] / 2)
    page.mouse.down()
    page.mouse.move(start["x"] + 90, start["y"] + start["height"] / 2 + 12)
    with page.expect_response(lambda response: response.request.method == "PATCH"):
        page.mouse.move(end["x"] + 90, end["y"] + end["height"] * part, steps=4)
        page.mouse.up()


def test_pins_are_made_and_ordered_with_the_mouse(dora: Person, open_tab: OpenTab) -> None:
    page = home(open_tab, dora)
    shows(page, "Cleo", "Ben", "Ann")
    drag(page, "Ann", row(page, "Cleo"), 0.2)
    shows(page, "Ann", "Cleo", "Ben")
    # No press of these opened a conversation.
    expect(page.get_by_text("Choose a conversation")).to_be_visible()
    drag(page, "Ben", row(page, "Ann"), 0.8)
    shows(page, "Ann", "Ben", "Cleo")
    drag(page, "Ben", row(page, "Ann"), 0.2)
    shows(page, "Ben", "Ann", "Cleo")
    page.reload()
    shows(page, "Ben", "Ann", "Cleo")
    assert [name for name, _ in kept(dora)] == ["Ben", "Ann"]
    drag(page, "Ben", row(page, "Cleo"), 0.95)
    expect(row(page, "Ben").get_by_label("Pinned")).to_have_count(0)
    shows(page, "Ann", "Cleo", "Ben")
    row(page, "Ben").click()
    expect(page.get_by_role("main").get_by_role("heading", name="Ben")).to_be_visible()


def test_pins_are_made_and_ordered_with_keys(dora: Person, open_tab: OpenTab) -> None:
    page = home(open_tab, dora)
    for name in ("Ann", "Ben", "Cleo"):
        row(page, name).focus()
        page.keyboard.press("Alt+ArrowUp")
        expect(row(page, name).get_by_label("Pinned")).to_be_visible()
    shows(page, "Ann", "Ben", "Cleo")
    page.keyboard.press("Alt+ArrowUp")
    shows(page, "Ann", "Cleo", "Ben")
    expect(page.get_by_text("Cleo is pinned, 2 of 3")).to_be_attached()
    expect(row(page, "Cleo")).to_be_focused()
    page.keyboard.press("Alt+ArrowDown")
    shows(page, "Ann", "Ben", "Cleo")
    expect(row(page, "Cleo")).to_be_focused()
    page.keyboard.press("Alt+ArrowDown")
    expect(page.get_by_text("Cleo is not pinned any more")).to_be_attached()
    # The same by the menu.
    row(page, "Ben").click(button="right")
    page.get_by_role("menuitem", name="Move up").click()
    shows(page, "Ben", "Ann", "Cleo")
    expect(row(page, "Cleo").get_by_label("Pinned")).to_have_count(0)


def swipe(page: Page, name: str, by: int) -> None:
    """A finger on a row, drawn aside and lifted."""
    box = row(page, name).bounding_box()
    assert box is not None
    touch = page.context.new_cdp_session(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def finger(kind: str, *points: float) -> None:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": each, "y": y} for each in points]})

    finger("touchStart", x)
    for part in (0.3, 0.6, 1.0):
        finger("touchMove", x + by * part)
    finger("touchEnd")
    touch.detach()


def test_a_swipe_pins_and_mutes(dora: Person, open_tab: OpenTab) -> None:
    page = home(open_tab, dora, viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True)
    swipe(page, "Ben", 110)
    expect(row(page, "Ben").get_by_label("Pinned")).to_be_visible()
    shows(page, "Ben", "Cleo", "Ann")
    swipe(page, "Ben", -110)
    expect(row(page, "Ben").get_by_label("Muted")).to_be_visible()
    # What is drawn but a little is not meant.
    swipe(page, "Ann", 40)
    expect(row(page, "Ann").get_by_label("Pinned")).to_have_count(0)
    swipe(page, "Ben", 110)
    expect(row(page, "Ben").get_by_label("Pinned")).to_have_count(0)
    # Nobody was taken into a conversation.
    shows(page, "Cleo", "Ben", "Ann")
    expect(row(page, "Cleo")).to_be_visible()


def test_what_is_hidden_can_be_found_and_shown_again(dora: Person, open_tab: OpenTab) -> None:
    page = home(open_tab, dora)
    row(page, "Ben").click(button="right")
    page.get_by_role("menuitem", name="Hide").click()
    shows(page, "Cleo", "Ann")
    page.reload()
    shows(page, "Cleo", "Ann")
    page.get_by_role("button", name="Hidden").click()
    shows(page, "Ben")
    row(page, "Ben").click(button="right")
    page.get_by_role("menuitem", name="Show in the list again").click()
    shows(page)
    page.get_by_role("button", name="Hidden").click()
    shows(page, "Cleo", "Ben", "Ann")
    expect(page.get_by_role("button", name="Hidden")).to_have_count(0)
