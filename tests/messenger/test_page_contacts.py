"""Who one meets and how one knows it is them: codes by camera and picture, safety words, what was shared; rooms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from threading import Event, Thread

import pytest
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.messenger.conftest import Person
from tests.messenger.test_page_talk import act, conversation, home, message, write
from tests.messenger.test_talk import says
from tests.support.browser import Tab, beside
from tests.support.sogs_server import SogsServer, sogs_server

OpenTab = Callable[..., Tab]
People = tuple[Person, Person]


def own_code(open_tab: OpenTab, who: Person) -> bytes:
    """The QR code of somebody's Account ID as their page shows it, PNG."""
    page = home(open_tab, who)
    page.keyboard.press("Control+n")
    page.get_by_role("button", name="QR").click()
    code = page.get_by_role("img", name="QR code of your Account ID")
    expect(code).to_be_visible()
    code.evaluate("one => one.decode()")
    return code.screenshot()


def film(path: Path, picture: bytes) -> Path:
    """A film of one picture, as Chromium's stand-in for a camera takes it."""
    with Image.open(BytesIO(picture)) as code:
        frame = Image.new("RGB", (640, 480), "dimgray")
        frame.paste(code.convert("RGB").resize((360, 360)), (140, 60))
    whole, small = frame.convert("YCbCr").split(), frame.resize((320, 240)).convert("YCbCr").split()
    planes = b"".join(each.tobytes() for each in (whole[0], small[1], small[2]))
    path.write_bytes(b"YUV4MPEG2 W640 H480 F10:1 Ip A1:1 C420jpeg\n" + 2 * (b"FRAME\n" + planes))
    return path


def scanner(page: Page) -> None:
    page.keyboard.press("Control+n")
    page.get_by_role("button", name="Scan a code").click()


def meets(page: Page, who: Person) -> None:
    """The page shows the conversation with somebody."""
    page.wait_for_url(f"**/c/{who.id}")
    expect(page.get_by_label("Message", exact=True)).to_be_visible()


def test_a_code_is_read_by_the_camera(people: People, open_tab: OpenTab, browser: Browser, tmp_path: Path) -> None:
    alice, bob = people
    camera = film(tmp_path / "camera.y4m", own_code(open_tab, bob))
    with beside(browser, f"--use-file-for-fake-video-capture={camera}") as seeing:
        tab = Tab(seeing, alice.service.do("POST", "/api/links")["url"])
        expect(tab.page.get_by_role("navigation", name="Conversations")).to_be_visible()
        scanner(tab.page)
        meets(tab.page, bob)
        # Nobody looks on when the code is found.
        expect(tab.page.locator("video")).to_have_count(0)
        tab.close()


def test_a_code_is_read_from_a_picture_and_pasted(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    code = own_code(open_tab, bob)
    tab = open_tab(alice.service, permissions=["clipboard-read", "clipboard-write"])
    page = tab.page
    expect(page.get_by_role("navigation", name="Conversations")).to_be_visible()
    scanner(page)
    blank = BytesIO()
    Image.new("RGB", (200, 200), "white").save(blank, "PNG")
    foreign = alice.service.ask("GET", "/api/qr?text=https://example.org/").body
    assert foreign.startswith(b"<?xml")

    def choose(name: str, content: bytes) -> None:
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose a picture of a code").click()
        chooser.value.set_files(FilePayload(name=name, mimeType="image/png", buffer=content))

    choose("blank.png", blank.getvalue())
    expect(page.get_by_text("There is no QR code in this picture.")).to_be_visible()
    choose("no.png", b"no picture at all")
    expect(page.get_by_text("There is no QR code in this picture.")).to_be_visible()
    choose("bob.png", code)
    meets(page, bob)
    page.get_by_role("button", name="Settings").click()
    scanner(page)
    page.evaluate(
        "bytes => navigator.clipboard.write([new ClipboardItem({'image/png':"
        " new Blob([new Uint8Array(bytes)], {type: 'image/png'})})])",
        list(code),
    )
    page.keyboard.press("Control+v")
    meets(page, bob)


def test_a_contact_has_safety_words_and_what_was_shared(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    picture = BytesIO()
    Image.new("RGB", (40, 40), "olive").save(picture, "PNG")
    files = [
        bob.service.ask("POST", f"{bob.path}/uploads?name={name}&voice=false", content).json["id"]
        for name, content in (("leek.png", picture.getvalue()), ("seeds.txt", b"onions"))
    ]
    with alice.events() as at_alice:
        for each in files:
            bob.send(alice, "", attachments=[each])
        bob.send(alice, "Read https://example.org/leeks, all of it")
        at_alice.until("message_received", says("Read https://example.org/leeks, all of it"))

    def words(who: Person, name: str) -> list[str]:
        page = conversation(open_tab, who, name)
        page.get_by_role("main").get_by_role("button", name=name, exact=True).click()
        listed = page.get_by_role("dialog").locator(".safety-keys li")
        expect(listed).to_have_count(16)
        return listed.all_inner_texts()

    assert words(alice, "Bob") == words(bob, "Alice")
    page = conversation(open_tab, alice)
    page.get_by_role("main").get_by_role("button", name="Bob", exact=True).click()
    panel = page.get_by_role("tabpanel")
    expect(panel.get_by_role("listitem").first).to_be_visible()
    page.get_by_role("tab", name="Pictures and films").press("ArrowRight")
    expect(page.get_by_role("tab", name="Documents")).to_be_focused()
    expect(panel.get_by_text("seeds.txt").first).to_be_visible()
    page.get_by_role("tab", name="Links").click()
    panel.get_by_role("button", name="https://example.org/leeks", exact=True).first.click()
    expect(page.get_by_role("dialog").filter(has_text="Open this link?")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    panel.get_by_role("link", name="all of it").first.click()
    expect(page.locator("[data-lit]")).to_contain_text("https://example.org/leeks")
    # Muted and blocked there, and back.
    page.get_by_role("main").get_by_role("button", name="Bob", exact=True).click()
    page.get_by_role("switch", name="Notify me").click()
    expect(page.get_by_role("switch", name="Notify me")).not_to_be_checked()
    page.get_by_role("switch", name="Notify me").click()
    page.get_by_role("switch", name="Block").click()
    page.keyboard.press("Escape")
    expect(page.get_by_text("You have blocked this contact.")).to_be_visible()
    page.get_by_role("button", name="Unblock").click()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()


@pytest.fixture
def sogs() -> Iterator[SogsServer]:
    """A community server beside the browser, which holds this thread's loop."""
    made: list[SogsServer] = []
    ready, over = Event(), Event()

    async def serve() -> None:
        async with sogs_server() as server:
            made.append(server)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    ready.wait()
    yield made[0]
    over.set()
    thread.join()


def test_a_community_is_looked_around_in_joined_and_moderated(
    people: People, sogs: SogsServer, open_tab: OpenTab
) -> None:
    alice, bob = people
    sogs.room("garden").description = "All that grows"
    page = home(open_tab, alice)
    page.keyboard.press("Control+n")
    # The URL may be given where an Account ID is.
    page.get_by_label("Account ID", exact=True).fill(sogs.join_url("lobby"))
    page.get_by_role("button", name="Write a message").click()
    expect(page.get_by_label("Community URL")).to_have_value(sogs.join_url("lobby"))
    page.get_by_role("button", name="Show the rooms of this server").click()
    garden = page.get_by_role("dialog").get_by_role("listitem").filter(has_text="All that grows")
    garden.get_by_role("button", name="Join").click()
    expect(page.get_by_role("main").get_by_role("heading", name="Garden")).to_be_visible()
    write(page, "Hello, garden")
    expect(message(page, "Hello, garden").get_by_label("Sent")).to_be_visible()
    room = sogs.rooms["garden"]
    alice_id = room.posts[-1].author
    name = page.evaluate("location.hash.split('/')[3]")
    bob.service.do("POST", f"{bob.path}/communities", {"url": sogs.join_url("garden")})
    bob.service.do("POST", f"{bob.path}/conversations/{name}/messages", {"text": "Buy my onions"})
    room.admins.add(alice_id)
    room.info_updates += 1
    alice.service.do("POST", f"{alice.path}/sync")
    spam = message(page, "Buy my onions")
    expect(spam).to_be_visible()
    details = page.get_by_role("main").get_by_role("button", name="Garden").first
    details.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("You are an admin")).to_be_visible()
    expect(dialog.get_by_text("All that grows")).to_be_visible()
    page.keyboard.press("Escape")
    act(page, "Hello, garden", "Pin for everyone")
    expect(page.get_by_text("The message is pinned.")).to_be_visible()
    details.click()
    dialog.get_by_role("button", name="Unpin").click()
    expect(dialog.get_by_role("heading", name="Pinned messages")).to_have_count(0)
    page.keyboard.press("Escape")
    bob_id = room.posts[-1].author
    act(page, "Buy my onions", "Make moderator")
    # The page asks the server again by itself, and shows the badge.
    expect(spam.get_by_text("Moderator", exact=True)).to_be_visible()
    assert bob_id in room.moderators and bob_id not in room.admins
    details.click()
    expect(dialog.get_by_role("listitem").filter(has_text="Bob")).to_be_visible()
    page.keyboard.press("Escape")
    act(page, "Buy my onions", "Take moderation away")
    expect(spam.get_by_text("Moderator", exact=True)).to_have_count(0)
    assert bob_id not in room.moderators
    act(page, "Buy my onions", "Ban")
    dialog.get_by_role("button", name="Ban", exact=True).click()
    expect(page.get_by_text("They are banned.")).to_be_visible()
    assert room.banned == {bob_id} and room.posts[-1].data is not None
    act(page, "Buy my onions", "Take a ban back")
    expect(page.get_by_text("The ban is taken back.")).to_be_visible()
    assert not room.banned
    act(page, "Buy my onions", "Ban")
    dialog.get_by_role("button", name="Ban, and delete all their messages").click()
    expect(message(page, "This message was deleted.")).to_be_visible()
    assert room.banned == {bob_id} and room.posts[-1].data is None
    for who in people:
        who.service.do("POST", f"{who.path}/communities/{name}/leave")
