"""One conversation taken away, to be read or sealed, and brought back; and what is known of how a message went."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, expect

from allium.client import Account, envelope
from allium.client.session_pb2 import Content
from tests.messenger.conftest import Person
from tests.messenger.test_page_talk import act, conversation, message
from tests.support import wire
from tests.support.browser import Tab
from tests.support.devnet import Devnet
from tests.support.messenger import Messenger

OpenTab = Callable[..., Tab]
People = tuple[Person, Person]
PASSWORD = "a long password"


def made(service: Messenger, name: str) -> tuple[str, str]:
    """An account; its path and its id."""
    account = service.do("POST", "/api/accounts", {"display_name": name})
    return f"/api/accounts/{account['id']}", account["account_id"]


def job(service: Messenger, path: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """How it ended."""
    with service.events() as events:
        number = service.do("POST", path, wanted)["job"]
        found: dict[str, Any] = events.until("job_changed", lambda event: event["job"]["id"] == number)["job"]
    return found


def test_a_conversation_is_taken_away_and_comes_back(tmp_path: Path, open_tab: OpenTab) -> None:
    service = Messenger(tmp_path / "data", None, "--port", "0").start()
    try:
        path, own = made(service, "Alice")
        notes = f"{path}/conversations/{own}/messages"
        picture = io.BytesIO()
        Image.new("RGB", (40, 30), "red").save(picture, "PNG")
        upload = service.do("POST", f"{path}/uploads?name=..%2F..%2Fred.png&type=image/png", picture.getvalue())
        service.do("POST", notes, {"text": "<b>kept</b> for later", "attachments": [upload["id"]]})
        service.do("POST", notes, {"text": "and this"})
        other, _ = made(service, "Another")
        service.do("POST", f"{path}/conversations/{'05' + 'ab' * 32}/messages", {"text": "to somebody else"})

        readable, hidden = tmp_path / "read.zip", tmp_path / "sealed.zip"
        wanted = {"format": "zip", "conversation": own}
        assert job(service, f"{path}/exports", {**wanted, "path": str(readable)})["state"] == "done"
        assert job(service, f"{path}/exports", {**wanted, "path": str(hidden), "password": PASSWORD})["state"] == "done"
        assert (readable.stat().st_mode & 0o077, hidden.stat().st_mode & 0o077) == (0, 0)
        with zipfile.ZipFile(readable) as archive:
            page = archive.read("index.html").decode()
            [name] = [each for each in archive.namelist() if each.startswith("files/")]
            assert archive.read(name).startswith(b"\x89PNG") and name.endswith(".png") and ".." not in name
            assert f'<img src="{name}"' in page and "&lt;b&gt;kept" in page and "and this" in page
            assert "to somebody else" not in page + archive.read("conversation.jsonl").decode()
        assert b"kept" not in hidden.read_bytes()
        # What was in between lies nowhere any more.
        assert list((service.directory / "accounts" / "a1" / "exports").iterdir()) == []

        assert job(service, f"{other}/imports", {"path": str(hidden), "password": "a wrong one"})["state"] == "failed"
        _bring_back(service, open_tab(service).page, other.rpartition("/")[2], hidden)
        again = job(service, f"{other}/imports", {"path": str(readable)})
        assert (again["state"], again["done"], again["total"]) == ("done", 0, 2)
        found = service.get(f"{other}/conversations/{own}/messages")["messages"]
        assert [each["text"] for each in found] == ["<b>kept</b> for later", "and this"]

        broken = tmp_path / "broken.zip"
        for content in (b"", hidden.read_bytes()[:-200], b"PK\x05\x06" + bytes(18)):
            broken.write_bytes(content)
            assert job(service, f"{other}/imports", {"path": str(broken), "password": PASSWORD})["state"] == "failed"
        for wrong in (
            {"format": "zip"},
            {**wanted, "format": "json"},
            {**wanted, "format": "html", "password": PASSWORD},
        ):
            assert service.ask("POST", f"{path}/exports", {**wrong, "path": str(readable)}).status == 400
    finally:
        service.close()


def _bring_back(service: Messenger, page: Page, account: str, path: Path) -> None:
    page.goto(f"{service.url}/#/{account}/settings/backups")
    page.get_by_label("The zip", exact=True).fill(str(path))
    begin = page.get_by_role("button", name="Bring it back")
    for password, outcome in (("a wrong one", ("failed", 0, None)), (PASSWORD, ("done", 2, 2))):
        page.get_by_label("The password that it was sealed with").fill(password)
        with service.events() as events:
            begin.click()
            ended = events.until("job_changed", lambda event: event["job"]["state"] != "running")["job"]
        assert (ended["state"], ended["done"], ended["total"]) == outcome
        expect(begin).to_be_enabled()


def test_it_is_known_which_nodes_have_a_message_and_when_it_was_fetched(
    people: People, messenger_devnet: Devnet, open_tab: OpenTab
) -> None:
    alice, bob = people
    with alice.events() as at_alice, bob.events() as at_bob:
        sent = alice.send(bob, "Who keeps this?")
        got = at_bob.until("message_received", lambda event: event["message"]["text"] == sent["text"])["message"]
        at_alice.until(
            "message_changed", lambda event: event["message"]["id"] == sent["id"] and event["message"]["stored_on"]
        )
    info = alice.service.get(f"{alice.path}/messages/{sent['id']}/info")
    assert info["asked"] >= info["stored_on"] == len(info["nodes"]) > 0
    assert all(each["ip"] == "127.0.0.1" and len(each["pubkey"]) == 64 for each in info["nodes"])
    assert info["fetched"] is None
    theirs = bob.service.get(f"{bob.path}/messages/{got['id']}/info")
    assert theirs["fetched"] > 0 and theirs["nodes"] == [] and theirs["asked"] is None
    page = conversation(open_tab, alice)
    act(page, "Who keeps this?", "Message info")
    dialog = page.get_by_role("dialog", name="Message info")
    stored = dialog.get_by_role("listitem").filter(has_text=f"Stored on {info['stored_on']} of {info['asked']} nodes")
    stored.get_by_text("Which nodes").click()
    expect(stored.get_by_text("127.0.0.1")).to_have_count(info["stored_on"])
    page.keyboard.press("Escape")
    # One that comes late: Bob wrote it ten minutes ago, a node had it after seven, and nobody asked for it until now.
    his = Account.from_phrase(bob.service.get(f"{bob.path}/phrase")["phrase"])
    content = Content()
    content.dataMessage.body = "Dinner is ready"
    written = wire.now_ms() - 600_000
    late = wire.store_params(alice.id, envelope.seal(his, alice.id, content, written))
    late["timestamp"] = written + 420_000
    with alice.events() as at_alice:
        assert 200 in (wire.rpc(node, "store", late).status for node in messenger_devnet.nodes)
        at_alice.until("message_received", lambda event: event["message"]["text"] == "Dinner is ready")
    # It stands where it was written, above all that the tests before have sent.
    page.get_by_label("Message", exact=True).press("ArrowUp")
    page.keyboard.press("Home")
    expect(message(page, "Dinner is ready")).to_be_visible()
    act(page, "Dinner is ready", "Message info")
    for each in ("Written", "Reached the network", "Fetched by this device"):
        expect(dialog.get_by_role("listitem").filter(has_text=each).get_by_role("time")).to_be_visible()
    expect(dialog.get_by_text("It reached the network 7 minutes after it was written")).to_be_visible()
    expect(dialog.get_by_text(re.compile(r"^It lay in the network for \d+ minutes"))).to_be_visible()


def test_the_page_takes_a_conversation_away(people: People, open_tab: OpenTab, tmp_path: Path) -> None:
    alice, bob = people
    bob.send(alice, "Take me with you")
    page = conversation(open_tab, alice)
    expect(message(page, "Take me with you")).to_be_visible()
    page.get_by_role("main").get_by_role("button", name="Options of the conversation").click()
    page.get_by_role("menuitem", name="Take this conversation away").click()
    target = tmp_path / "bob.zip"
    page.get_by_label("Where to write it").fill(str(target))
    page.get_by_role("button", name="Write it to be read").click()
    expect(page.get_by_text("The conversation is written.")).to_be_visible()
    with zipfile.ZipFile(target) as archive:
        assert "Take me with you" in archive.read("index.html").decode()
