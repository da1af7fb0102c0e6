"""Requests, groups and contacts, in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, expect

from tests.messenger.conftest import Person
from tests.messenger.test_page_talk import act, conversation, home, message, write
from tests.support.browser import Tab
from tests.support.devnet import Devnet
from tests.support.messenger import Messenger

OpenTab = Callable[..., Tab]
People = tuple[Person, Person]


@pytest.fixture(scope="module")
def carol(tmp_path_factory: pytest.TempPathFactory, messenger_devnet: Devnet) -> Iterator[Person]:
    """Somebody whom the others do not know."""
    service = Messenger(tmp_path_factory.mktemp("carol"), messenger_devnet, "--port", "0").start()
    yield Person(service, service.do("POST", "/api/accounts", {"display_name": "Carol"}))
    service.close()


def test_a_request_waits_apart_until_it_is_accepted(people: People, carol: Person, open_tab: OpenTab) -> None:
    alice, _ = people
    page = home(open_tab, alice)
    with alice.events() as at_alice, carol.events() as at_carol:
        carol.send(alice, "Hello, may I?")
        at_alice.until("request_received")
        page.get_by_role("link", name="Message requests").click()
        expect(page.get_by_text("Hello, may I?")).to_be_visible()
        rows = page.get_by_role("navigation", name="Conversations").get_by_role("link", name="Carol")
        expect(rows).to_have_count(0)
        page.get_by_role("button", name="Accept").click()
        expect(page.get_by_label("Message", exact=True)).to_be_visible()
        expect(rows).to_have_count(1)
        write(page, "Of course")
        at_carol.until("message_received", lambda event: event["message"]["text"] == "Of course")


def test_a_conversation_begins_with_an_id(people: People, carol: Person, open_tab: OpenTab) -> None:
    _, bob = people
    page = home(open_tab, bob)
    page.keyboard.press("Control+n")
    page.get_by_label("Account ID", exact=True).fill("0512")
    page.get_by_role("button", name="Write a message").click()
    expect(page.get_by_text("That is not an Account ID.")).to_be_visible()
    page.get_by_label("Account ID", exact=True).fill(carol.id.upper())
    page.get_by_role("button", name="Write a message").click()
    with carol.events() as at_carol:
        write(page, "From Bob")
        at_carol.until("request_received")
    # She declines, which he does not learn.
    hers = home(open_tab, carol)
    hers.get_by_role("link", name="Message requests").click()
    hers.get_by_role("button", name="Decline", exact=True).click()
    expect(hers.get_by_text("No message requests")).to_be_visible()


def test_a_group_is_made_and_its_members_talk(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    page = home(open_tab, alice)
    page.keyboard.press("Control+Shift+G")
    page.get_by_label("Group name").fill("Gardeners")
    page.get_by_role("checkbox", name="Bob").check()
    with bob.events() as at_bob:
        page.get_by_role("button", name="Create the group").click()
        expect(page.get_by_role("main").get_by_role("heading", name="Gardeners")).to_be_visible()
        group = page.evaluate("location.hash.split('/')[3]")
        at_bob.until("group_changed", lambda event: event["group"] == group)
        bob.service.do("POST", f"{bob.path}/groups/{group}/accept")
        # Who can read it has the group's key, and can write.
        write(page, "Welcome")
        at_bob.until("message_received", lambda event: event["message"]["text"] == "Welcome")
        bob.service.do("POST", f"{bob.path}/conversations/{group}/messages", {"text": "Hello, gardeners"})
        expect(message(page, "Hello, gardeners")).to_contain_text("Bob")
        # A mention is completed by its first letters, and travels as an id.
        page.get_by_label("Message", exact=True).press_sequentially("Ask @b")
        expect(page.get_by_role("list", name="People to mention")).to_contain_text("Bob")
        page.keyboard.press("Enter")
        page.get_by_label("Message", exact=True).press("Enter")
        got = at_bob.until("message_received", lambda event: event["message"]["text"].startswith("Ask"))["message"]
        assert got["text"] == f"Ask @{bob.id}"
    expect(message(page, "Ask @Bob")).to_be_visible()
    page.get_by_role("main").get_by_role("button", name=re.compile("^Gardeners")).click()
    page.get_by_role("dialog").get_by_label("Group name").fill("The gardeners")
    page.get_by_role("dialog").get_by_role("button", name="Save").first.click()
    expect(page.get_by_text("Saved")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("main").get_by_role("heading", name="The gardeners")).to_be_visible()


def test_a_contact_gets_a_nickname_and_a_timer(people: People, open_tab: OpenTab) -> None:
    alice, _ = people
    page = conversation(open_tab, alice)
    page.get_by_role("main").get_by_role("button", name="Bob", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Disappearing messages").select_option("after_read:3600")
    dialog.get_by_label("Nickname").fill("Robert")
    dialog.get_by_role("button", name="Save").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("note").filter(has_text="1 hour")).to_be_visible()
    link = page.get_by_role("navigation", name="Conversations").get_by_role("link", name="Robert")
    expect(link).to_be_visible()
    page.get_by_role("main").get_by_role("button", name=re.compile("^Robert")).click()
    dialog.get_by_label("Disappearing messages").select_option("")
    expect(dialog.get_by_label("Nickname")).to_have_value("Robert")
    dialog.get_by_label("Nickname").fill("")
    dialog.get_by_role("button", name="Save").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("navigation", name="Conversations").get_by_role("link", name="Bob")).to_be_visible()


def test_a_row_is_pinned_muted_and_marked(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    page = conversation(open_tab, alice)
    row = page.get_by_role("navigation", name="Conversations").get_by_role("listitem").filter(has_text="Bob")

    def choose(what: str) -> None:
        row.click(button="right")
        with page.expect_response(lambda response: response.request.method in ("PATCH", "POST")):
            page.get_by_role("menuitem", name=what, exact=True).click()

    for what, mark in (("Pin", "Pinned"), ("Mute", "Muted")):
        choose(what)
        expect(row.get_by_label(mark)).to_be_visible()
    choose("Mark as unread")
    expect(row.get_by_text("unread message")).to_be_attached()
    kept = alice.service.get(alice.with_(bob))
    assert kept["pinned"] and kept["muted_until"] and kept["marked_unread"]
    for what in ("Unpin", "Unmute", "Mark as read"):
        choose(what)
    expect(row.get_by_label("Pinned")).to_have_count(0)


def test_messages_are_selected_and_forwarded(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    leek = BytesIO()
    Image.new("RGB", (60, 40), "olive").save(leek, "PNG")
    upload = bob.service.do("POST", f"{bob.path}/uploads?name=leek.png", leek.getvalue())["id"]
    bob.send(alice, "Water the leeks", attachments=[upload], captions={upload: "This one"})
    page = conversation(open_tab, alice)
    expect(message(page, "Water the leeks")).to_be_visible()
    act(page, "Water the leeks", "Select")
    page.get_by_role("toolbar").get_by_role("button", name="Forward").click()
    page.get_by_role("dialog").get_by_role("button", name="Bob").click()
    sent = message(page, "Water the leeks").filter(has=page.get_by_label("Sent"))
    expect(sent.get_by_role("img", name="This one")).to_be_visible()


def test_a_picture_of_oneself_is_cropped_and_kept(people: People, open_tab: OpenTab, tmp_path: Path) -> None:
    alice, _ = people
    wide = BytesIO()
    Image.new("RGB", (900, 300), "olive").save(wide, "PNG")
    page = home(open_tab, alice)
    page.get_by_role("button", name="Settings").click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a picture").click()
    chooser.value.set_files(FilePayload(name="me.png", mimeType="image/png", buffer=wide.getvalue()))
    expect(page.get_by_role("button", name="Remove the picture")).to_be_visible()
    kept = alice.service.ask("GET", f"{alice.path}/picture").body
    with Image.open(BytesIO(kept)) as picture:
        assert picture.width == picture.height <= 600
