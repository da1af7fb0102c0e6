"""What one does with conversations and people, each in the page as somebody does it (`flows.md`)."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.messenger.conftest import Person
from tests.messenger.test_page_talk import act, conversation, home, message, write
from tests.support.browser import Tab

OpenTab = Callable[..., Tab]
Pair = tuple[Person, Person]


def row(page: Page, name: str) -> Locator:
    """A conversation in the list."""
    return page.get_by_role("navigation", name="Conversations").get_by_role("listitem").filter(has_text=name)


def choose(page: Page, name: str, what: str) -> None:
    """One of the entries of a conversation's menu in the list."""
    row(page, name).click(button="right")
    page.get_by_role("menuitem", name=what, exact=True).click()


def test_a_contact_is_blocked_and_unblocked(pair: Pair, open_tab: OpenTab) -> None:
    dana, emil = pair
    page = conversation(open_tab, dana, "Emil")
    choose(page, "Emil", "Block")
    expect(page.get_by_text("You have blocked this contact.")).to_be_visible()
    expect(page.get_by_label("Message", exact=True)).to_have_count(0)
    emil.send(dana, "This is heard by nobody")
    page.keyboard.press("Control+,")
    page.get_by_role("link", name="Blocked contacts").click()
    main = page.get_by_role("main")
    expect(main.get_by_text("Emil")).to_be_visible()
    main.get_by_role("button", name="Unblock").click()
    expect(page.get_by_text("You have blocked nobody.")).to_be_visible()
    row(page, "Emil").get_by_role("link").click()
    emil.send(dana, "And this is heard again")
    expect(message(page, "And this is heard again")).to_be_visible()
    expect(message(page, "This is heard by nobody")).to_have_count(0)


def test_a_conversation_is_hidden_and_comes_back(pair: Pair, open_tab: OpenTab) -> None:
    dana, emil = pair
    page = home(open_tab, dana)
    page.keyboard.press("Control+k")
    page.keyboard.type("note")
    page.keyboard.press("Enter")
    write(page, "Buy bread")
    expect(row(page, "Note to self")).to_have_count(1)
    for name in ("Note to self", "Emil"):
        choose(page, name, "Hide")
        expect(row(page, name)).to_have_count(0)
    page.get_by_role("button", name="Hidden").click()
    expect(row(page, "Note to self")).to_be_visible()
    page.get_by_role("button", name="Hidden").click()
    # Who writes is not overlooked.
    emil.send(dana, "Did you forget me?")
    expect(row(page, "Emil")).to_contain_text("Did you forget me?")


def test_a_note_is_deleted_on_all_devices(pair: Pair, open_tab: OpenTab) -> None:
    dana, _ = pair
    page = home(open_tab, dana)
    page.keyboard.press("Control+n")
    page.get_by_role("dialog").get_by_role("button", name="Note to self").click()
    write(page, "Ring the dentist")
    expect(message(page, "Ring the dentist").get_by_label("Sent")).to_be_visible()
    act(page, "Ring the dentist", "Delete")
    page.get_by_role("button", name="Delete on all my devices").click()
    expect(message(page, "Ring the dentist")).to_have_count(0)


def test_a_search_stays_in_its_conversation(pair: Pair, open_tab: OpenTab) -> None:
    dana, emil = pair
    with dana.events() as at_dana:
        emil.send(dana, "The ferry leaves at nine")
        for number in range(25):
            emil.send(dana, f"Line {number}")
        at_dana.until("message_received", lambda event: event["message"]["text"] == "Line 24")
    page = conversation(open_tab, dana, "Emil")
    page.get_by_role("button", name="Search in this conversation").click()
    page.keyboard.type("ferry")
    page.get_by_role("main").get_by_role("link").filter(has_text="ferry").click()
    expect(page.locator("[data-lit]")).to_contain_text("ferry")
    expect(message(page, "The ferry")).to_be_in_viewport()


def test_the_list_is_narrowed(pair: Pair, open_tab: OpenTab) -> None:
    dana, emil = pair
    page = home(open_tab, dana)
    expect(row(page, "Emil")).to_be_visible()
    page.get_by_role("link", name="Emil").click()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    page.keyboard.press("Control+k")
    page.keyboard.type("note")
    page.keyboard.press("Enter")
    expect(page.get_by_role("main").get_by_role("heading", name="Note to self")).to_be_visible()
    unread = page.get_by_role("button", name="Unread", exact=True)
    unread.click()
    expect(page.get_by_text("Nothing was found.")).to_be_visible()
    emil.send(dana, "Something unread")
    expect(row(page, "Emil").get_by_text("1 unread message")).to_be_attached()
    page.get_by_role("button", name="Groups", exact=True).click()
    expect(row(page, "Emil")).to_have_count(0)
    page.get_by_role("button", name="All", exact=True).click()
    expect(row(page, "Emil")).to_be_visible()


def test_ones_own_id_is_given_away(pair: Pair, open_tab: OpenTab) -> None:
    dana, _ = pair
    page = home(open_tab, dana)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.keyboard.press("Control+n")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(dana.id)
    dialog.get_by_role("button", name="QR").click()
    drawn = dialog.get_by_role("img", name="QR code of your Account ID")
    expect(drawn).to_have_js_property("complete", True)
    expect(drawn).not_to_have_js_property("naturalWidth", 0)
    dialog.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == dana.id


def test_the_focus_goes_back_where_it_was(pair: Pair, open_tab: OpenTab) -> None:
    dana, emil = pair
    page = conversation(open_tab, dana, "Emil")
    field = page.get_by_label("Message", exact=True)
    expect(field).to_be_focused()
    emil.send(dana, "Where is the focus?")
    expect(message(page, "Where is the focus?")).to_be_visible()
    act(page, "Where is the focus?", "Reply")
    expect(field).to_be_focused()
    page.keyboard.type("Here")
    expect(field).to_have_value("Here")
    field.fill("")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(field).to_be_focused()
    details = page.get_by_role("main").get_by_role("button", name=re.compile("^Emil"))
    details.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(details).to_be_focused()
    act(page, "Where is the focus?", "Message info")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.evaluate("document.activeElement !== document.body")


def test_messages_are_cleared_and_conversations_deleted(pair: Pair, open_tab: OpenTab) -> None:
    dana, emil = pair
    page = conversation(open_tab, dana, "Emil")
    expect(page.get_by_role("article").last).to_be_visible()
    choose(page, "Emil", "Clear messages")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No messages yet")).to_be_visible()
    expect(row(page, "Emil")).to_be_visible()
    emil.send(dana, "A new beginning")
    expect(message(page, "A new beginning")).to_be_visible()
    choose(page, "Emil", "Delete conversation")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row(page, "Emil")).to_have_count(0)
    # The contact is still there to write to.
    page.keyboard.press("Control+n")
    page.get_by_role("dialog").get_by_role("button", name="Emil").click()
    expect(page.get_by_text("No messages yet")).to_be_visible()
    with emil.events() as at_emil:
        write(page, "Me again")
        at_emil.until("message_received", lambda event: event["message"]["text"] == "Me again")
    choose(page, "Emil", "Delete contact")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row(page, "Emil")).to_have_count(0)
    page.keyboard.press("Control+n")
    expect(page.get_by_role("dialog")).to_contain_text(dana.id)
    expect(page.get_by_role("dialog").get_by_role("button", name="Emil")).to_have_count(0)
