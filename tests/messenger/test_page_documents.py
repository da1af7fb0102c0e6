"""Documents in a conversation: a PDF shows its first page and can be read, and nothing in it runs."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from playwright.sync_api import Page, expect

from tests.messenger.conftest import Person
from tests.messenger.test_page_talk import conversation, message
from tests.support import pdf
from tests.support.browser import Tab
from tests.support.gif_provider import gif

OpenTab = Callable[..., Tab]
People = tuple[Person, Person]


def send(who: Person, other: Person, text: str, name: str, content: bytes, kind: str) -> None:
    path = f"{who.path}/uploads?name={quote(name)}&type={quote(kind)}"
    upload = who.service.ask("POST", path, content).json
    who.send(other, text, attachments=[upload["id"]])


def dark_pixels(page: Page, selector: str) -> int:
    """Of what is drawn in the first of these, those that are ink."""
    found: int = page.evaluate(
        "selector => { const from = document.querySelector(selector), canvas = document.createElement('canvas');"
        " canvas.width = from.naturalWidth || from.width; canvas.height = from.naturalHeight || from.height;"
        " const pen = canvas.getContext('2d'); pen.drawImage(from, 0, 0);"
        " const { data } = pen.getImageData(0, 0, canvas.width, canvas.height); let count = 0;"
        " for (let at = 0; at < data.length; at += 4) if (data[at] < 100 && data[at + 3] > 0) count++; return count }",
        selector,
    )
    return found


def test_the_first_page_of_a_pdf_is_drawn_and_all_can_be_read(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    lines = [f"This is page {number}" for number in range(1, 41)]
    send(bob, alice, "The minutes", "minutes.pdf", pdf.document(lines), "application/pdf")
    page = conversation(open_tab, alice)
    cover = message(page, "The minutes").get_by_role("button", name="Open: minutes.pdf, 40 pages")
    expect(cover.locator("img")).to_be_visible()
    cover.scroll_into_view_if_needed()
    assert dark_pixels(page, ".pdf-cover img") > 50
    cover.click()
    reader = page.get_by_role("dialog", name="minutes.pdf")
    expect(reader.get_by_role("region", name="Page 1", exact=True)).to_contain_text("This is page 1")
    assert dark_pixels(page, ".pdf-page canvas") > 50
    # Of many pages, those are drawn to which one comes.
    last = reader.get_by_role("region", name="Page 40", exact=True)
    expect(last.locator("canvas")).to_have_count(0)
    reader.get_by_role("region", name="minutes.pdf").press("End")
    expect(last).to_contain_text("This is page 40")
    expect(reader.get_by_role("region", name="Page 1", exact=True).locator("canvas")).to_have_count(0)
    before = last.bounding_box()
    reader.get_by_role("button", name="Larger").click()
    after = last.bounding_box()
    assert before is not None and after is not None and after["width"] > before["width"]
    page.keyboard.press("Escape")
    expect(reader).to_have_count(0)


def test_nothing_in_a_pdf_runs_and_a_broken_one_is_a_file(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    send(bob, alice, "An evil one", "evil.pdf", pdf.document(["Harmless"], evil=True), "application/pdf")
    send(bob, alice, "A broken one", "broken.pdf", b"%PDF-1.7\nand nothing more", "application/pdf")
    send(bob, alice, "No PDF at all", "page.pdf", b"<script>document.title='owned'</script>", "application/pdf")
    page = conversation(open_tab, alice)
    evil = message(page, "An evil one").get_by_role("button", name="Open: evil.pdf, 1 page")
    expect(evil.locator("img")).to_be_visible()
    evil.click()
    expect(page.get_by_role("region", name="Page 1", exact=True)).to_contain_text("Harmless")
    # No form, link or script of it is there; a dialog of its own would have hung the page.
    assert page.locator(".pdf-pages a, .pdf-pages form, .pdf-pages input").count() == 0
    page.keyboard.press("Escape")
    for text in ("A broken one", "No PDF at all"):
        expect(message(page, text).get_by_role("link", name="Save: ")).to_be_visible()
        expect(message(page, text).locator(".pdf-cover")).to_have_count(0)
    assert "owned" not in page.title()


def test_other_files_say_what_they_are(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    kinds = {"sums.ods": "Table", "talk.pptx": "Slides", "all.zip": "Archive", "run.py": "Code", "unknown": "File"}
    for name in kinds:
        send(bob, alice, f"Here is {name}", name, b"bytes of it", "application/octet-stream")
    page = conversation(open_tab, alice)
    for name, kind in kinds.items():
        card = message(page, f"Here is {name}").locator(".card")
        expect(card).to_contain_text(name)
        expect(card).to_contain_text(f"{kind} · 11 bytes")


def test_a_moving_picture_stands_still_for_who_wants_less_motion(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    moving = gif("black", "white", side=90)
    send(bob, alice, "It moves", "moving.gif", moving, "image/gif")
    # Tabs of tests ask for less motion.
    page = conversation(open_tab, alice)
    shown = message(page, "It moves")
    expect(shown.locator(".gif-still")).to_be_visible()
    shown.get_by_role("button", name="Play: GIF").click()
    expect(shown.locator(".gif-open img")).to_be_visible()
    shown.get_by_role("button", name="Pause: GIF").click()
    expect(shown.locator(".gif-still")).to_be_visible()
    shown.get_by_role("button", name="Open: GIF").click()
    expect(page.get_by_role("dialog").get_by_role("img")).to_be_visible()
    page.keyboard.press("Escape")
    # What moves is kept to be sent again: once, however often it came, and not what stands still.
    send(bob, alice, "It moves again", "again.gif", moving, "image/gif")
    send(bob, alice, "It stands", "still.gif", gif("gray", side=90), "image/gif")
    for text in ("It moves again", "It stands"):
        expect(message(page, text).locator(".gif-still")).to_be_visible()
    page.get_by_role("button", name="GIFs").click()
    expect(page.get_by_role("button", name="Choose again.gif")).to_be_visible()
    for name in ("moving.gif", "still.gif"):
        expect(page.get_by_role("button", name=f"Choose {name}")).to_have_count(0)
    page.get_by_role("button", name="Choose again.gif").click()
    expect(page.get_by_role("img", name="again.gif")).to_be_visible()
    with bob.events() as at_bob:
        page.get_by_role("button", name="Send").click()
        got = at_bob.until("message_received")["message"]["attachments"]
        assert [(each["name"], each["type"]) for each in got] == [("again.gif", "image/gif")]
    page.get_by_role("button", name="GIFs").click()
    page.get_by_role("button", name="Remove again.gif from the list").click()
    expect(page.get_by_role("button", name="Choose again.gif")).to_have_count(0)
    assert not [
        each for each in alice.service.get(f"{alice.path}/gifs")["gifs"] if each["file"]["name"].endswith("ing.gif")
    ]
    expect(message(page, "It moves again").get_by_role("button", name="Open: GIF")).to_be_visible()
