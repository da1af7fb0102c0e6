"""Two people talk, one of them in a browser: text, replies, reactions, files, deletion, search, a service that dies."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.messenger.conftest import Person
from tests.support.browser import Tab

OpenTab = Callable[..., Tab]
People = tuple[Person, Person]


def home(open_tab: OpenTab, who: Person, **options: Any) -> Page:
    """The page of `who`, ready for keys."""
    page: Page = open_tab(who.service, **options).page
    expect(page.get_by_role("navigation", name="Conversations")).to_be_visible()
    return page


def conversation(open_tab: OpenTab, who: Person, name: str = "Bob") -> Page:
    """The conversation of `who` with somebody, open and ready to be written in."""
    page = open_tab(who.service).page
    page.get_by_role("navigation", name="Conversations").get_by_role("link", name=name).click()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    return page


def write(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def message(page: Page, text: str) -> Locator:
    return page.get_by_role("article").filter(has_text=text)


def act(page: Page, text: str, what: str) -> None:
    """One of the actions of a message, by its menu."""
    message(page, text).last.click(button="right")
    page.get_by_role("menuitem", name=what, exact=True).click()


def test_a_message_goes_and_an_answer_comes(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    page = conversation(open_tab, alice)
    with bob.events() as at_bob:
        write(page, "How is the weather?")
        got = at_bob.until("message_received")["message"]
        assert got["text"] == "How is the weather?"
    expect(message(page, "How is the weather?").get_by_label("Sent")).to_be_visible()
    bob.send(alice, "Windy, and *dry*")
    expect(message(page, "Windy, and *dry*")).to_be_visible()
    # Who looks at it has read it.
    expect(page.get_by_role("link", name="Bob").get_by_text("unread")).to_have_count(0)


def test_a_reply_leads_back_to_what_it_answers(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    asked = bob.send(alice, "Shall we meet?")
    page = conversation(open_tab, alice)
    expect(message(page, "Shall we meet?")).to_be_visible()
    act(page, "Shall we meet?", "Reply")
    with bob.events() as at_bob:
        write(page, "Yes, at noon")
        got = at_bob.until("message_received")["message"]
        assert got["quote"]["message"] == asked["id"] and got["quote"]["text"] == "Shall we meet?"
    message(page, "Yes, at noon").get_by_role("button", name="Shall we meet?").click()
    expect(page.locator("[data-lit]")).to_contain_text("Shall we meet?")


def test_reactions_go_both_ways_and_can_be_taken_back(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    sent = bob.send(alice, "I got the job")
    page = conversation(open_tab, alice)
    expect(message(page, "I got the job")).to_be_visible()
    with bob.events() as at_bob:
        act(page, "I got the job", "React")
        page.get_by_role("button", name="React with 🥰").click()
        seen = at_bob.until("reaction_received")["message"]
        assert seen["id"] == sent["id"] and seen["reactions"][0]["emoji"] == "🥰"
        reaction = message(page, "I got the job").get_by_role("button", name="🥰")
        expect(reaction).to_have_attribute("aria-pressed", "true")
        reaction.click()
        expect(reaction).to_have_count(0)
        at_bob.until("reaction_received", lambda event: not event["message"]["reactions"])
        bob.service.do("PUT", f"{bob.path}/messages/{sent['id']}/reactions/{quote('😮')}")
    expect(message(page, "I got the job").get_by_role("button", name="Bob")).to_be_visible()


def test_any_emoji_is_found_by_its_name(people: People, open_tab: OpenTab) -> None:
    page = conversation(open_tab, people[0])
    page.get_by_role("button", name="Emoji", exact=True).click()
    page.get_by_label("Search emoji").fill("onion")
    page.get_by_role("gridcell", name="Onion").click()
    expect(page.get_by_label("Message", exact=True)).to_have_value("🧅")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()


def test_a_message_is_deleted_here_and_for_everyone(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    page = conversation(open_tab, alice)
    with bob.events() as at_bob:
        write(page, "Forget this here")
        write(page, "Forget this everywhere")
        at_bob.until("message_received", lambda event: event["message"]["text"] == "Forget this everywhere")
        expect(message(page, "Forget this everywhere").get_by_label("Sent")).to_be_visible()
        act(page, "Forget this everywhere", "Delete")
        page.get_by_role("button", name="Delete for everyone").click()
        at_bob.until("message_deleted")
    act(page, "Forget this here", "Delete")
    page.get_by_role("button", name="Delete on this device").click()
    expect(message(page, "Forget this")).to_have_count(0)
    expect(page.get_by_text("This message was deleted.").first).to_be_visible()
    texts = [each["text"] for each in bob.service.get(f"{bob.with_(alice)}/messages")["messages"]]
    assert "Forget this here" in texts and "Forget this everywhere" not in texts


def test_files_go_and_come(people: People, open_tab: OpenTab, tmp_path: Path) -> None:
    alice, bob = people
    page = conversation(open_tab, alice)
    picture = BytesIO()
    Image.new("RGB", (60, 40), "teal").save(picture, "PNG")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Attach files").click()
    chooser.value.set_files(FilePayload(name="sea.png", mimeType="image/png", buffer=picture.getvalue()))
    expect(page.get_by_role("img", name="sea.png")).to_be_visible()
    with bob.events() as at_bob:
        page.get_by_label("Message", exact=True).fill("The sea")
        page.get_by_role("button", name="Send").click()
        got = at_bob.until("message_received", lambda event: bool(event["message"]["attachments"]))["message"]
    assert got["text"] == "The sea" and got["attachments"][0]["type"].startswith("image/")
    upload = bob.service.ask("POST", f"{bob.path}/uploads?name=minutes.txt&voice=false", b"1. Onions").json
    bob.send(alice, "The minutes", attachments=[upload["id"]])
    page.get_by_role("button", name="Load minutes.txt").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save: minutes.txt").click()
    assert Path(download.value.path()).read_bytes() == b"1. Onions"
    page.get_by_role("button", name="Open: sea").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("1 of 1")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_voice_message_is_recorded(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    page = conversation(open_tab, alice)
    page.get_by_role("button", name="Record a voice message").click()
    expect(page.get_by_role("timer")).to_have_text("0:01")
    page.get_by_role("button", name="Stop and keep").click()
    with bob.events() as at_bob:
        send = page.get_by_role("button", name="Send")
        expect(send).to_be_enabled()
        send.click()
        got = at_bob.until("message_received", lambda event: bool(event["message"]["attachments"]))["message"]
    assert got["attachments"][0]["voice"] and got["attachments"][0]["size"] > 0
    expect(page.get_by_role("group", name="Voice message").get_by_role("button", name="Play")).to_be_visible()


def test_a_search_leads_to_the_message(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    bob.send(alice, "The password of the greenhouse is tomato")
    with alice.events() as at_alice:
        for number in range(30):
            bob.send(alice, f"Row {number}")
        at_alice.until("message_received", lambda event: event["message"]["text"] == "Row 29")
    page = open_tab(alice.service).page
    page.get_by_label("Search names and messages").fill("greenhouse")
    page.get_by_role("navigation", name="Search").get_by_role("link").filter(has_text="greenhouse").click()
    expect(page.locator("[data-lit]")).to_contain_text("greenhouse")
    # Back at the newest one, far below.
    page.get_by_role("button", name="To the newest message").click()
    expect(message(page, "Row 29")).to_be_in_viewport()


def test_what_was_not_sent_is_still_there(people: People, open_tab: OpenTab) -> None:
    alice, _ = people
    page = conversation(open_tab, alice)
    page.get_by_label("Message", exact=True).fill("Half a thought")
    page.get_by_role("button", name="Settings").click()
    row = page.get_by_role("navigation", name="Conversations").get_by_role("link", name="Bob")
    expect(row).to_contain_text("Draft: Half a thought")
    page.reload()
    row.click()
    expect(page.get_by_label("Message", exact=True)).to_have_value("Half a thought")
    page.get_by_label("Message", exact=True).fill("")
    page.get_by_role("button", name="Settings").click()
    expect(row).not_to_contain_text("Draft")


def test_a_service_that_dies_and_comes_back_loses_nothing(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    page = conversation(open_tab, alice)
    expect(page.get_by_role("article").last).to_be_visible()
    alice.service.end(signal.SIGKILL)
    expect(page.get_by_text("does not answer")).to_be_visible()
    # What was read can be read on, and what cannot be sent stays in the field.
    expect(page.get_by_role("article").last).to_be_visible()
    write(page, "Are you there?")
    expect(page.get_by_label("Message", exact=True)).to_have_value("Are you there?")
    sent = bob.send(alice, "I wrote while you were away")
    alice.service.restart()
    expect(page.get_by_text("does not answer")).to_have_count(0)
    expect(message(page, sent["text"])).to_be_visible()
    with bob.events() as at_bob:
        page.get_by_label("Message", exact=True).press("Enter")
        at_bob.until("message_received", lambda event: event["message"]["text"] == "Are you there?")


def test_the_page_opens_while_the_service_is_away(people: People, open_tab: OpenTab) -> None:
    alice, _ = people
    tab = open_tab(alice.service)
    tab.page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    tab.page.reload()
    expect(tab.page.get_by_role("link", name="Bob")).to_be_visible()
    kept: Any = tab.page.evaluate(
        "caches.keys().then(names => Promise.all(names.map(name => caches.open(name).then(one => one.keys())))"
        ".then(all => JSON.stringify(all.flat().map(one => one.url))))"
    )
    urls = json.loads(kept)
    assert any(url.endswith("/") for url in urls)
    # What people wrote is in the service's database alone.
    assert not any("/api/" in url for url in urls)
    tab.context.set_offline(True)
    tab.page.reload()
    assert tab.page.title() == "Allium Messenger"
