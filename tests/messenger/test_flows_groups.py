"""Groups and communities, each in the page as somebody does it (`flows.md`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import Page, expect

from tests.messenger.conftest import Person, befriend
from tests.messenger.test_flows_conversations import choose, row
from tests.messenger.test_page_talk import act, home, message, write
from tests.support.browser import Tab
from tests.support.sogs_server import SogsServer, sogs_server

OpenTab = Callable[..., Tab]
Pair = tuple[Person, Person]
#: More than anybody wants to see below a message.
REACTIONS = 10_000


@pytest.fixture(scope="module")
def frida(pair: Pair) -> Person:
    """Whom Dana knows too: a second account of Emil's service."""
    dana, emil = pair
    made = Person(emil.service, emil.service.do("POST", "/api/accounts", {"display_name": "Frida"}))
    befriend(made, dana)
    return made


@pytest.fixture
def sogs() -> Iterator[SogsServer]:
    """A community server beside the browser, whose loop takes this thread."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(sogs_server()) as server:
        yield server


def details(page: Page, name: str) -> Any:
    """The page of the conversation that is open."""
    page.get_by_role("main").get_by_role("button", name=re.compile(f"^{name}")).click()
    return page.get_by_role("dialog")


def member(page: Page, name: str, what: str) -> None:
    """One of the things that an admin does with a member."""
    page.get_by_role("dialog").get_by_role("button", name=f"More: {name}").click()
    page.get_by_role("menuitem", name=what, exact=True).click()


def test_a_group_from_its_beginning_to_its_end(pair: Pair, frida: Person, open_tab: OpenTab) -> None:
    dana, emil = pair
    page = home(open_tab, dana)
    page.keyboard.press("Control+Shift+G")
    page.get_by_role("button", name="Create the group").click()
    expect(page.get_by_text("Please enter a name.")).to_be_visible()
    page.get_by_label("Group name").fill("Rowers")
    page.get_by_role("checkbox", name="Emil").check()
    with emil.events() as at_emil:
        page.get_by_role("button", name="Create the group").click()
        expect(page.get_by_role("main").get_by_role("heading", name="Rowers")).to_be_visible()
        group = page.evaluate("location.hash.split('/')[3]")
        at_emil.until("group_changed", lambda event: event["group"] == group)
    his = home(open_tab, emil)
    row(his, "Rowers").get_by_role("link").click()
    write(page, "We meet at the bridge")
    expect(message(his, "We meet at the bridge")).to_be_visible()
    write(his, "I bring the oars")
    expect(message(page, "I bring the oars")).to_be_visible()
    # Somebody comes later, and sees what was said before.
    dialog = details(page, "Rowers")
    dialog.get_by_label("Description").fill("Every Saturday")
    dialog.get_by_role("button", name="Save").first.click()
    dialog.get_by_role("button", name="Invite people").click()
    dialog.get_by_role("checkbox", name="Frida").check()
    dialog.get_by_role("switch", name="Show them earlier messages").click()
    with frida.events() as at_frida:
        dialog.get_by_role("button", name="Invite people").click()
        expect(dialog.get_by_text("3 members")).to_be_visible()
        at_frida.until("group_changed", lambda event: event["group"] == group)
    # Two accounts at once: she is the other one of his service.
    his.get_by_role("button", name=re.compile("^Emil")).first.click()
    his.get_by_role("menuitem", name=re.compile("^Frida")).click()
    row(his, "Rowers").get_by_role("link").click()
    expect(message(his, "We meet at the bridge")).to_be_visible()
    write(his, "Am I late?")
    page.keyboard.press("Escape")
    expect(message(page, "Am I late?")).to_be_visible()
    # One becomes an admin, one has to go with all she said.
    dialog = details(page, "Rowers")
    with emil.events() as at_emil:
        member(page, "Emil", "Make admin")
        while not emil.service.get(f"{emil.path}/groups/{group}")["admin"]:
            at_emil.until("group_changed")
    expect(dialog.get_by_role("listitem").filter(has_text="Emil")).to_contain_text(re.compile("[Aa]dmin"))
    member(page, "Frida", "Remove, with their messages")
    expect(dialog.get_by_text("2 members")).to_be_visible()
    page.keyboard.press("Escape")
    expect(message(page, "Am I late?")).to_have_count(0)
    expect(his.get_by_label("Message", exact=True)).to_have_count(0)
    # And at last it ends for everyone.
    dialog = details(page, "Rowers")
    dialog.get_by_role("button", name="Delete the group for everyone").click()
    with emil.events() as at_emil:
        page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
        expect(row(page, "Rowers")).to_have_count(0)
        while group in [each["id"] for each in emil.service.get(f"{emil.path}/conversations") if each["writable"]]:
            next(iter(at_emil))


def test_a_member_leaves_a_group(pair: Pair, open_tab: OpenTab) -> None:
    dana, emil = pair
    with emil.events() as at_emil:
        group = dana.service.do("POST", f"{dana.path}/groups", {"name": "Bakers", "members": [emil.id]})["id"]
        at_emil.until("group_changed", lambda event: event["group"] == group)
    page = home(open_tab, emil)
    row(page, "Bakers").get_by_role("link").click()
    details(page, "Bakers").get_by_role("button", name="Leave the group").click()
    page.get_by_role("dialog").get_by_role("button", name="Leave the group").last.click()
    expect(row(page, "Bakers")).to_have_count(0)


def test_a_community_is_joined_by_its_url(pair: Pair, sogs: SogsServer, open_tab: OpenTab) -> None:
    dana, _ = pair
    page = home(open_tab, dana)
    page.keyboard.press("Control+n")
    page.get_by_role("dialog").get_by_role("button", name="Join a community").click()
    page.get_by_label("Community URL").fill("https://nowhere")
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_text("That is not the URL of a community.")).to_be_visible()
    page.get_by_label("Community URL").fill(sogs.join_url("lobby"))
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("main").get_by_role("heading", name="Lobby")).to_be_visible()
    write(page, "Hello, all of you")
    expect(message(page, "Hello, all of you").get_by_label("Sent")).to_be_visible()
    [post] = sogs.rooms["lobby"].posts
    act(page, "Hello, all of you", "React")
    page.get_by_role("button", name="React with 🥰").click()
    expect(message(page, "Hello, all of you").get_by_role("button", name="🥰")).to_be_visible()

    def flooded(path: str, answer: Any) -> Any:
        """What a server says that has nothing good in mind."""
        for entry in answer if isinstance(answer, list) else ():
            if isinstance(entry, dict) and entry.get("id") == post.id and entry.get("reactions"):
                names = (chr(0x1F300 + number % 700) + chr(0x1F300 + number // 700) for number in range(REACTIONS))
                entry["reactions"] = {name: {"index": 0, "count": 1 << 40, "reactors": []} for name in names}
        return answer

    sogs.twist = flooded
    room = sogs.rooms["lobby"]
    post.reactions["😮"] = ["15" + "a" * 64]
    room.changed(post)
    dana.service.do("POST", f"{dana.path}/sync")
    page.reload()
    expect(message(page, "Hello, all of you")).to_be_visible()
    # Few are drawn, and the page goes on.
    assert page.get_by_role("list", name="Reactions").get_by_role("listitem").count() <= 20
    sogs.twist = None
    write(page, "Is anybody else here?")
    expect(message(page, "Is anybody else here?").get_by_label("Sent")).to_be_visible()
    choose(page, "Lobby", "Leave the community")
    expect(row(page, "Lobby")).to_have_count(0)
