"""What one does with an account, this device and its settings, each in the page as somebody does it (`flows.md`)."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import segno
from playwright.sync_api import FilePayload, Page, expect

from allium.client import words
from tests.messenger.conftest import Person
from tests.messenger.test_flows_conversations import row
from tests.messenger.test_page_talk import conversation, home, message, write
from tests.support.browser import Tab
from tests.support.devnet import Devnet
from tests.support.messenger import Messenger

OpenTab = Callable[..., Tab]
Pair = tuple[Person, Person]


def section(page: Page, name: str) -> None:
    """One of the settings."""
    page.keyboard.press("Control+,")
    page.get_by_role("navigation", name="Sections").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()


def test_the_recovery_phrase_is_asked_for_until_it_is_written_down(pair: Pair, open_tab: OpenTab) -> None:
    dana, _ = pair
    page = home(open_tab, dana)
    banner = page.get_by_role("button", name="Write down your recovery phrase, so that you can always come back.")
    banner.click()
    page.get_by_role("button", name="Show the words").click()
    shown = page.get_by_role("list", name="Your recovery phrase").get_by_role("listitem")
    expect(shown.first).not_to_have_text("•••••")
    assert " ".join(shown.all_inner_texts()) == dana.service.get(f"{dana.path}/phrase")["phrase"]
    page.get_by_role("button", name="I have written them down").click()
    expect(banner).to_have_count(0)


def test_the_page_looks_as_one_likes(pair: Pair, open_tab: OpenTab) -> None:
    page = home(open_tab, pair[0])
    section(page, "Appearance")
    html = page.locator("html")
    for theme in ("Dark", "Light"):
        page.get_by_role("radio", name=theme, exact=True).check(force=True)
        expect(html).to_have_attribute("data-theme", theme.lower())
    page.get_by_role("radio", name="Purple").check(force=True)
    expect(html).to_have_attribute("data-accent", "purple")
    size = page.evaluate("getComputedStyle(document.documentElement).fontSize")
    page.get_by_role("radio", name="A++").check(force=True)
    expect(html).not_to_have_css("font-size", size)
    for name in ("Compact list", "High contrast", "Less motion"):
        page.get_by_role("switch", name=name).click()
        expect(page.get_by_role("switch", name=name)).to_be_checked()
    page.get_by_role("switch", name="Enter sends").click()
    # It is all there the next time.
    page.reload()
    expect(html).to_have_attribute("data-accent", "purple")
    page.get_by_role("link", name="Emil").click()
    field = page.get_by_label("Message", exact=True)
    field.fill("one")
    page.keyboard.press("Enter")
    page.keyboard.type("two")
    expect(field).to_have_value("one\ntwo")
    field.fill("")
    section(page, "Language")
    page.get_by_role("main").get_by_role("button", name=re.compile("^Deutsch")).click()
    expect(page.get_by_role("heading", name="Sprache", exact=True)).to_be_visible()


def test_a_message_is_told_of_as_much_as_one_wants(pair: Pair, open_tab: OpenTab) -> None:
    dana, emil = pair
    tab = open_tab(dana.service)
    page = tab.page
    tab.context.grant_permissions(["notifications"])
    # What the system would show, and that nobody looks at the page.
    page.evaluate(
        "() => { document.hasFocus = () => false;"
        " ServiceWorkerRegistration.prototype.showNotification = async (title, more) => {"
        "   document.documentElement.dataset.told = `${title}: ${more.body}` };"
        " return navigator.serviceWorker.ready.then(() => null) }"
    )
    section(page, "Notifications")
    page.get_by_role("switch", name="Notify me of new messages").click()
    expect(page.get_by_role("switch", name="Notify me of new messages")).to_be_checked()
    page.get_by_label("What is shown").select_option("name")
    emil.send(dana, "For your eyes only")
    expect(page.locator("html")).to_have_attribute("data-told", "Emil: New message")


def test_the_network_is_shown(pair: Pair, open_tab: OpenTab) -> None:
    page = home(open_tab, pair[0])
    section(page, "Network")
    hops = page.get_by_role("main").locator("ol.path").get_by_role("listitem")
    expect(hops).to_have_count(5)
    section(page, "Help")
    expect(page.get_by_text("Ctrl K")).to_be_visible()
    section(page, "Lock")
    expect(page.get_by_text("This one")).to_be_visible()
    page.keyboard.press("Control+1")
    expect(page.get_by_label("Message", exact=True)).to_be_visible()


def test_another_device_has_what_this_one_has(
    pair: Pair, messenger_devnet: Devnet, tmp_path: Path, open_tab: OpenTab
) -> None:
    dana, emil = pair
    page = conversation(open_tab, dana, "Emil")
    dana.service.do("PATCH", f"{dana.path}/contacts/{emil.id}", {"nickname": "Emilio"})
    section(page, "Recovery phrase")
    expect(page.get_by_role("button", name="QR")).to_have_count(0)
    page.get_by_role("button", name="Show the words").click()
    page.get_by_role("button", name="QR").click()
    code = page.get_by_role("img", name="Your recovery phrase as a QR code")
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=code.element_handle())
    photo = FilePayload(name="code.png", mimeType="image/png", buffer=code.screenshot())
    row(page, "Emilio").get_by_role("link").click()
    other = Messenger(tmp_path / "other", messenger_devnet, "--port", "0").start()
    try:
        there = open_tab(other).page
        there.get_by_role("button", name="I have an account").click()
        there.get_by_role("button", name=re.compile("^Scan the phrase")).click()
        foreign = io.BytesIO()
        segno.make(emil.id).save(foreign, kind="png", scale=4)
        chosen = there.locator("input[type=file]")
        chosen.set_input_files(FilePayload(name="other.png", mimeType="image/png", buffer=foreign.getvalue()))
        expect(there.get_by_text("This code is no recovery phrase.")).to_be_visible()
        chosen.set_input_files(photo)
        phrase = dana.service.get(f"{dana.path}/phrase")["phrase"]
        expect(there.get_by_label("Recovery phrase")).to_have_value(words.decode(phrase).hex())
        there.get_by_role("button", name="Restore the account").click()
        # The name is found, or asked for until it is.
        there.get_by_role("link", name="Emilio").or_(there.get_by_label("Display name")).first.wait_for()
        if there.get_by_label("Display name").is_visible():
            there.get_by_label("Display name").fill("Dana")
            there.keyboard.press("Enter")
        row(there, "Emilio").get_by_role("link").click()
        write(there, "From my other device")
        expect(message(page, "From my other device")).to_be_visible()
        write(page, "And from the first")
        expect(message(there, "And from the first")).to_be_visible()
        # The account leaves that device, and what waits for it in the network goes too.
        section(there, "Clear data")
        there.get_by_role("main").locator(".zone").nth(1).get_by_role("button", name="Delete").click()
        there.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(there.get_by_role("button", name="Create an account")).to_be_visible()
    finally:
        other.close()
    dana.service.do("PATCH", f"{dana.path}/contacts/{emil.id}", {"nickname": ""})


def test_several_accounts_are_open_at_once(pair: Pair, open_tab: OpenTab) -> None:
    dana, _ = pair
    page = home(open_tab, dana)
    page.get_by_role("button", name=re.compile("^Dana")).first.click()
    page.get_by_role("menuitem", name="Add an account").click()
    page.get_by_role("button", name="Create an account").click()
    page.get_by_label("Display name").fill("Dana at work")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Later").click()
    expect(page.get_by_text("Nobody here yet")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Dana at work")).click()
    page.get_by_role("menuitem", name=re.compile("^Dana( \\(|$)")).click()
    expect(row(page, "Emil")).to_be_visible()
    [work] = [each for each in dana.service.get("/api/state")["accounts"] if each["display_name"] == "Dana at work"]
    dana.service.do("DELETE", f"/api/accounts/{work['id']}")


def test_everything_is_backed_up(pair: Pair, open_tab: OpenTab, tmp_path: Path) -> None:
    dana, emil = pair
    with dana.events() as at_dana:
        emil.send(dana, "Keep this for ever")
        at_dana.until("message_received", lambda event: event["message"]["text"] == "Keep this for ever")
    page = home(open_tab, dana)
    section(page, "Backups")
    page.get_by_label("File on this computer").fill(str(tmp_path / "backup"))
    page.get_by_label("Password of the backup (may be empty)").fill("a password")
    page.get_by_role("button", name="Make a backup").click()
    expect(page.get_by_text("The backup is written.")).to_be_visible()
    assert b"Keep this" not in (tmp_path / "backup").read_bytes()
    page.get_by_label("Folder on this computer").fill(str(tmp_path / "pages"))
    with dana.events() as at_dana:
        page.get_by_role("button", name="Export", exact=True).click()
        assert at_dana.until("job_changed")["job"]["state"] == "done"
    assert any("Keep this for ever" in each.read_text() for each in tmp_path.rglob("*.html"))


def test_what_is_written_without_a_network_goes_when_there_is_one(
    pair: Pair, messenger_devnet: Devnet, tmp_path: Path, open_tab: OpenTab
) -> None:
    _, emil = pair
    service = Messenger(tmp_path / "gita", None, "--port", "0").start()
    try:
        gita = Person(service, service.do("POST", "/api/accounts", {"display_name": "Gita"}))
        page = home(open_tab, gita)
        expect(page.get_by_text("No connection to the network")).to_be_visible()
        page.keyboard.press("Control+n")
        page.get_by_label("Account ID", exact=True).fill(emil.id)
        page.get_by_role("button", name="Write a message").click()
        write(page, "I am in a tunnel")
        expect(message(page, "I am in a tunnel").get_by_label("Sending")).to_be_visible()
        with emil.events() as at_emil:
            service.joins(messenger_devnet)
            service.restart()
            at_emil.until("request_received", lambda event: event["message"]["text"] == "I am in a tunnel")
        expect(message(page, "I am in a tunnel").get_by_label("Sent")).to_be_visible()
        expect(page.get_by_text("Connected")).to_be_visible()
    finally:
        service.close()
