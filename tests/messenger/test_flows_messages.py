"""What one does with messages, each in the page as somebody does it (`flows.md`)."""

from __future__ import annotations

import re
import struct
import wave
from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import FilePayload, Page, expect

from tests.messenger.conftest import Person
from tests.messenger.test_page_talk import act, conversation, message, write
from tests.support.browser import Tab
from tests.support.gif_provider import gif

OpenTab = Callable[..., Tab]
Pair = tuple[Person, Person]


def says(text: str) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["message"]["text"] == text


def picture(colour: str, kind: str = "PNG", **more: Any) -> bytes:
    made = BytesIO()
    Image.new("RGB", (60, 40), colour).save(made, kind, **more)
    return made.getvalue()


def tone() -> bytes:
    """A second that is heard as nothing."""
    made = BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(struct.pack("<h", 0) * 8000)
    return made.getvalue()


def uploaded(who: Person, name: str, content: bytes, kind: str = "") -> str:
    """The id of a file that is to be sent."""
    path = f"{who.path}/uploads?name={quote(name)}&voice=false&type={quote(kind)}"
    found: str = who.service.ask("POST", path, content).json["id"]
    return found


def give(page: Page, event: str, where: str, name: str, content: bytes) -> None:
    """Files as the system hands them over when something is pasted or dropped."""
    page.evaluate(
        "([event, where, name, bytes]) => { const given = new DataTransfer();"
        " given.items.add(new File([new Uint8Array(bytes)], name, {type: 'image/png'}));"
        " const options = {bubbles: true, cancelable: true};"
        " document.querySelector(where).dispatchEvent(event === 'paste'"
        "   ? new ClipboardEvent(event, {...options, clipboardData: given})"
        "   : new DragEvent(event, {...options, dataTransfer: given})) }",
        [event, where, name, list(content)],
    )


def test_who_reads_and_types_is_seen_by_who_shows_it_too(pair: Pair, open_tab: OpenTab) -> None:
    pages = []
    for each, other in (pair, pair[::-1]):
        page = conversation(open_tab, each, "Emil" if other is pair[1] else "Dana")
        page.keyboard.press("Control+,")
        page.get_by_role("link", name="Privacy").click()
        for label in ("Read receipts", "Typing indicators"):
            with page.expect_response(lambda response: response.request.method == "PATCH"):
                page.get_by_role("switch", name=label).click()
            expect(page.get_by_role("switch", name=label)).to_be_checked()
        pages.append(page)
    hers, his = pages
    hers.get_by_role("link", name="Emil").click()
    hers.get_by_label("Message", exact=True).press_sequentially("So")
    typing = his.get_by_role("navigation", name="Conversations").get_by_text("is typing…")
    expect(typing).to_be_visible()
    write(hers, "So you can see that?")
    expect(his.get_by_role("link", name="Dana")).to_contain_text("So you can see that?")
    expect(message(hers, "So you can see that?").get_by_label("Sent")).to_be_visible()
    his.get_by_role("link", name="Dana").click()
    expect(message(his, "So you can see that?")).to_be_visible()
    expect(message(hers, "So you can see that?").get_by_label("Read", exact=True)).to_be_visible()
    # Each step has its time.
    act(hers, "So you can see that?", "Message info")
    steps = hers.get_by_role("dialog").get_by_role("listitem")
    for step in ("^Written", "^Stored on \\d+ of \\d+ nodes", "^Ready for your other devices", "^Read(?!y)"):
        expect(steps.filter(has_text=re.compile(step)).locator("time")).to_be_visible()
    for each in pair:
        each.service.do("PATCH", f"{each.path}/settings", {"read_receipts": False, "typing_indicators": False})


def test_a_message_disappears_on_both_sides(pair: Pair, open_tab: OpenTab) -> None:
    dana, emil = pair
    page = conversation(open_tab, dana, "Emil")
    timer = {"timer": {"kind": "after_send", "seconds": 5}}
    dana.service.do("PATCH", dana.with_(emil), timer)
    expect(page.get_by_role("note").filter(has_text="5 seconds")).to_be_visible()
    with emil.events() as at_emil, dana.events() as at_dana:
        sent = dana.send(emil, "Gone in a moment")
        got = at_emil.until("message_received", says("Gone in a moment"))["message"]
        assert got["timer"] == timer["timer"]
        at_dana.until("message_deleted", lambda event: event["message_id"] == sent["id"])
        at_emil.until("message_deleted", lambda event: event["message_id"] == got["id"])
    dana.service.do("PATCH", dana.with_(emil), {"timer": None})
    with dana.events() as at_dana:
        emil.send(dana, "This one stays")
        at_dana.until("message_received", says("This one stays"))
    expect(message(page, "This one stays")).to_be_visible()
    expect(message(page, "Gone in a moment")).to_have_count(0)


def test_several_messages_are_deleted_for_everyone(pair: Pair, open_tab: OpenTab) -> None:
    dana, emil = pair
    page = conversation(open_tab, dana, "Emil")
    with emil.events() as at_emil:
        for text in ("First of two", "Second of two"):
            write(page, text)
            expect(message(page, text).get_by_label("Sent")).to_be_visible()
        at_emil.until("message_received", says("Second of two"))
        act(page, "First of two", "Select")
        message(page, "Second of two").get_by_role("checkbox").check()
        bar = page.get_by_role("toolbar")
        expect(bar).to_contain_text("2 selected")
        bar.get_by_role("button", name="Delete").click()
        page.get_by_role("button", name="Delete for everyone").click()
        at_emil.until("message_deleted")
        at_emil.until("message_deleted")
    expect(message(page, "of two")).to_have_count(0)
    assert not [
        each for each in emil.service.get(f"{emil.with_(dana)}/messages")["messages"] if "of two" in each["text"]
    ]


def test_what_is_known_of_a_message_is_told(pair: Pair, open_tab: OpenTab) -> None:
    dana, emil = pair
    upload = uploaded(emil, "list.txt", b"1. Onions")
    emil.send(dana, "Here is the list", attachments=[upload])
    page = conversation(open_tab, dana, "Emil")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    expect(message(page, "Here is the list")).to_be_visible()
    act(page, "Here is the list", "Message info")
    facts = page.get_by_role("dialog")
    for each in (emil.id, "Written", "Received", "9 byte"):
        expect(facts).to_contain_text(each)
    page.keyboard.press("Escape")
    act(page, "Here is the list", "Copy text")
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "Here is the list"


def test_a_text_is_counted_before_it_is_too_long(pair: Pair, open_tab: OpenTab) -> None:
    page = conversation(open_tab, pair[0], "Emil")
    field = page.get_by_label("Message", exact=True)
    field.fill("🧅" * 1990)
    expect(page.get_by_text("10 characters left")).to_be_visible()
    field.fill("x" * 2001)
    expect(page.get_by_text("The message is too long by 1 character.")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    field.fill("")
    # Shift and Enter is a new line; the other way round where one chose so.
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(field).to_have_value("one\ntwo")
    field.fill("")


def test_an_album_is_pasted_dropped_and_looked_at(pair: Pair, open_tab: OpenTab) -> None:
    dana, emil = pair
    page = conversation(open_tab, dana, "Emil")
    page.get_by_label("Message", exact=True).fill("")
    give(page, "paste", ".composer textarea", "red.png", picture("red"))
    expect(page.get_by_role("img", name="red.png")).to_be_visible()
    give(page, "drop", ".chat", "blue.png", picture("blue"))
    expect(page.get_by_role("img", name="blue.png")).to_be_visible()
    # A name that turns what follows it round, and one that is too long.
    page.get_by_role("textbox", name="Caption of red.png").fill("Red\u202eand round")
    too_long = {"text": "x", "captions": {"none": "x" * 1001}}
    assert dana.service.ask("POST", f"{dana.with_(emil)}/messages", too_long).status == 400
    with emil.events() as at_emil:
        send = page.get_by_role("button", name="Send")
        expect(send).to_be_enabled()
        send.click()
        got = at_emil.until("message_received", lambda event: bool(event["message"]["attachments"]))["message"]
        assert [(each["name"], each["caption"]) for each in got["attachments"]] == [
            ("red.png", "Red\u202eand round"),
            ("blue.png", ""),
        ]
    expect(page.locator("figcaption", has_text="Red and round")).to_be_visible()
    page.get_by_role("button", name="Open: red").click()
    viewer = page.get_by_role("dialog")
    expect(viewer).to_contain_text("1 of 2")
    expect(viewer.get_by_text("Red and round")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(viewer).to_contain_text("2 of 2")
    expect(viewer.get_by_text("Red and round")).to_have_count(0)
    for key in ("+", "r", "-"):
        page.keyboard.press(key)
    page.keyboard.press("Escape")
    expect(viewer).to_have_count(0)
    expect(page.get_by_role("button", name="Open: red")).to_be_focused()


def test_each_kind_of_file_is_what_it_is(pair: Pair, open_tab: OpenTab) -> None:
    dana, emil = pair
    files = (
        ("dance.gif", gif("red", "blue"), "image/gif"),
        ("song.wav", tone(), "audio/wav"),
        ("letter.pdf", b"%PDF-1.4\n%%EOF", "application/pdf"),
    )
    page = conversation(open_tab, dana, "Emil")
    for name, content, kind in files:
        emil.send(dana, f"Take {name}", attachments=[uploaded(emil, name, content, kind)])
    expect(message(page, "Take dance.gif").get_by_role("button", name="Open: GIF")).to_be_visible()
    expect(message(page, "Take song.wav").get_by_role("button", name="Play")).to_be_visible()
    expect(message(page, "Take letter.pdf").get_by_role("link", name="Save: letter.pdf")).to_be_visible()
    # Voice messages are heard one after the other, as fast as one likes.
    for text in ("First words", "Last words"):
        emil.send(dana, text, attachments=[uploaded(emil, "voice.wav", tone(), "audio/wav")], voice=True)
    first, last = (
        message(page, text).get_by_role("group", name="Voice message") for text in ("First words", "Last words")
    )
    expect(last).to_be_visible()
    for now, rate in (("1", 1.5), ("1.5", 2), ("2", 1), ("1", 1.5), ("1.5", 2)):
        first.get_by_role("button", name=f"Speed: {now}\u00d7").click()
        expect(last.get_by_role("button", name=f"Speed: {rate}\u00d7")).to_be_visible()
    first.get_by_role("button", name="Play").click()
    for each in (first, last):
        expect(each.locator("audio")).to_have_js_property("ended", True)
        expect(each.locator("audio")).to_have_js_property("playbackRate", 2)


def test_a_link_gets_a_preview_only_where_that_is_wanted(pair: Pair, open_tab: OpenTab) -> None:
    dana, _ = pair
    page = conversation(open_tab, dana, "Emil")
    # Of this machine, so that nobody is asked.
    link = "https://127.0.0.1:1/a"

    def sent(text: str) -> dict[str, Any]:
        with page.expect_request(lambda asked: asked.method == "POST" and asked.url.endswith("/messages")) as found:
            write(page, text)
        body = found.value.post_data_json
        assert isinstance(body, dict)
        return body

    assert sent(f"Not this {link}") == {"text": f"Not this {link}"}
    page.keyboard.press("Control+,")
    page.get_by_role("link", name="Privacy").click()
    with page.expect_response(lambda response: response.request.method == "PATCH"):
        page.get_by_role("switch", name="Link previews").click()
    page.get_by_role("link", name="Emil").click()
    assert sent(f"But this {link}")["preview"] == link
    # Without a preview it goes all the same.
    expect(message(page, "But this").get_by_label("Sent")).to_be_visible()


def test_a_picture_of_any_shape_stays_in_its_place(pair: Pair, open_tab: OpenTab) -> None:
    dana, emil = pair
    page = conversation(open_tab, dana, "Emil")
    for name, size in (("river", (4096, 2)), ("tower", (2, 4096)), ("wall", (4096, 4096))):
        made = BytesIO()
        Image.new("RGB", size, "olive").save(made, "PNG")
        emil.send(dana, f"Look: {name}", attachments=[uploaded(emil, f"{name}.png", made.getvalue(), "image/png")])
        expect(page.get_by_role("button", name=f"Open: {name}")).to_be_visible()
        box = page.get_by_role("button", name=f"Open: {name}").bounding_box()
        assert box is not None and box["width"] <= 400 and box["height"] <= 400
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_files_are_chosen_and_taken_back(pair: Pair, open_tab: OpenTab) -> None:
    page = conversation(open_tab, pair[0], "Emil")
    # From here on the browser asks us, in place of showing a dialog that nobody sees.
    page.on("filechooser", lambda _: None)
    page.get_by_label("Message", exact=True).fill("")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Control+u")
    chooser.value.set_files(
        [FilePayload(name=f"{name}.txt", mimeType="text/plain", buffer=name.encode()) for name in ("keep", "drop")]
    )
    page.get_by_role("button", name="Remove drop.txt").click()
    expect(page.get_by_text("drop.txt")).to_have_count(0)
    with pair[1].events() as at_emil:
        send = page.get_by_role("button", name="Send")
        expect(send).to_be_enabled()
        send.click()
        got = at_emil.until("message_received", lambda event: bool(event["message"]["attachments"]))["message"]
    assert [each["name"] for each in got["attachments"]] == ["keep.txt"]
