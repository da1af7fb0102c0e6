"""Two people talk, each by a service of their own: what is sent on one side is told on the other."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

from tests.messenger.conftest import Person
from tests.support.devnet import Devnet
from tests.support.messenger import Messenger
from tests.support.waiting import await_that

People = tuple[Person, Person]
Event = dict[str, Any]


def is_sent(message: dict[str, Any]) -> Callable[[Event], bool]:
    return lambda event: (event["message"]["id"], event["message"]["state"]) == (message["id"], "sent")


def is_here(event: Event) -> bool:
    files = event["message"]["attachments"]
    return bool(files) and files[0]["state"] == "here"


def says(text: str) -> Callable[[Event], bool]:
    return lambda event: bool(event["message"]["text"] == text)


def test_a_message_is_answered_quoted_reacted_to_and_deleted(people: People) -> None:
    alice, bob = people
    with alice.events() as at_alice, bob.events() as at_bob:
        sent = alice.send(bob, "hello")
        assert (sent["state"], sent["outgoing"], sent["text"]) == ("sending", True, "hello")
        stored = at_alice.until("message_changed", is_sent(sent))["message"]
        assert stored["id"] == sent["id"] and stored["stored_on"] >= 1
        received = at_bob.until("message_received", says("hello"))["message"]
        assert (received["sender"]["name"], received["read"]) == ("Alice", False)
        bob.send(alice, "hello yourself", quote=received["id"])
        answer = at_alice.until("message_received", says("hello yourself"))["message"]
        assert (answer["quote"]["message"], answer["quote"]["text"]) == (sent["id"], "hello")
        bob.service.do("PUT", f"{bob.path}/messages/{received['id']}/reactions/%F0%9F%91%8D")
        shown = at_alice.until("reaction_received")["message"]["reactions"]
        assert shown == [{"emoji": "👍", "count": 1, "me": False, "senders": ["Bob"]}]
        alice.service.do("DELETE", f"{alice.path}/messages/{sent['id']}?everywhere=true")
        gone = at_bob.until("message_deleted", lambda event: event["message_id"] == received["id"])
        assert gone["placeholder"] is True
        assert bob.service.get(f"{bob.path}/messages/{received['id']}")["deleted"] == 2


def test_a_conversation_is_listed_changed_read_and_found(people: People) -> None:
    alice, bob = people
    with bob.events() as at_bob:
        alice.send(bob, "a needle in the hay")
        at_bob.until("message_received", says("a needle in the hay"))
        [shown] = [each for each in bob.service.get(f"{bob.path}/conversations") if each["id"] == alice.id]
        assert (shown["kind"], shown["name"], shown["approved"], shown["request"]) == ("contact", "Alice", True, False)
        assert shown["unread"] >= 1 and shown["last_message"]["text"] == "a needle in the hay"
        bob.service.do("POST", f"{bob.with_(alice)}/read")
        at_bob.until("conversation_changed")
    changes = {"draft": "dear", "pinned": 2, "muted_until": 1000, "timer": {"kind": "after_send", "seconds": 3600}}
    changed = bob.service.do("PATCH", bob.with_(alice), changes)
    assert changed["unread"] == 0
    assert {name: changed[name] for name in changes} == changes
    assert bob.service.do("PATCH", bob.with_(alice), {"timer": None, "pinned": 0})["timer"] is None
    found = bob.service.get(f"{bob.path}/search?q=needle%20ha")
    assert [each["snippet"] for each in found["messages"]] == ["a needle in the hay"]
    assert [each["name"] for each in bob.service.get(f"{bob.path}/search?q=ali")["contacts"]] == ["Alice"]


def test_pages_of_messages_meet(people: People) -> None:
    alice, _ = people
    notes = f"{alice.path}/conversations/{alice.id}/messages"
    numbers = [alice.service.do("POST", notes, {"text": f"note {number}"})["id"] for number in range(7)]
    last = alice.service.get(f"{notes}?limit=3")
    assert ([each["id"] for each in last["messages"]], last["after"]) == (numbers[4:], None)
    before = alice.service.get(f"{notes}?limit=3&before={last['before']}")
    assert [each["id"] for each in before["messages"]] == numbers[1:4]
    first = alice.service.get(f"{notes}?limit=3&before={before['before']}")
    assert ([each["id"] for each in first["messages"]], first["before"]) == (numbers[:1], None)
    after = alice.service.get(f"{notes}?limit=3&after={first['after']}")
    assert [each["id"] for each in after["messages"]] == numbers[1:4]
    around = alice.service.get(f"{notes}?limit=2&around={numbers[3]}")
    assert [each["id"] for each in around["messages"]] == numbers[2:5]
    assert alice.service.ask("GET", f"{notes}?before=yesterday").status == 400


def test_a_file_travels_and_is_streamed_in_ranges(people: People) -> None:
    alice, bob = people
    content = bytes(range(256)) * 2000
    before = {path.parent for each in people for path in files_in(attachments_of(each))}
    upload = alice.service.do("POST", f"{alice.path}/uploads?name=../../a%2Fplan.bin", content)
    assert (upload["name"], upload["size"]) == ("plan.bin", len(content))
    with bob.events() as at_bob, alice.events() as at_alice:
        sent = alice.send(bob, "the plan", attachments=[upload["id"]])
        assert (sent["state"], sent["attachments"][0]["state"]) == ("sending", "pending")
        stored = at_alice.until("message_changed", is_sent(sent))["message"]
        assert stored["attachments"][0]["state"] == "here"
        assert alice.service.ask("GET", stored["attachments"][0]["url"]).body == content
        received = at_bob.until("message_received", says("the plan"))["message"]
        [file] = received["attachments"]
        assert (file["state"], file["name"], file["size"]) == ("remote", "plan.bin", len(content))
        assert bob.service.ask("GET", file["url"]).status == 404
        bob.service.do("POST", f"{bob.path}/messages/{received['id']}/attachments/{file['id']}/download")
        here = at_bob.until("message_changed", is_here)
        assert here["message"]["attachments"][0]["progress"] == 1.0
    whole = bob.service.ask("GET", file["url"])
    assert (whole.status, whole.body, whole.headers["accept-ranges"]) == (200, content, "bytes")
    for wanted, part in (("bytes=5-9", content[5:10]), ("bytes=511990-", content[511990:]), ("bytes=-3", content[-3:])):
        answer = bob.service.ask("GET", file["url"], headers={"Range": wanted})
        assert (answer.status, answer.body) == (206, part)
    assert bob.service.ask("GET", file["url"], headers={"Range": "bytes=5-9"}).headers["content-range"] == (
        f"bytes 5-9/{len(content)}"
    )
    beyond = bob.service.ask("GET", file["url"], headers={"Range": "bytes=512000-"})
    assert (beyond.status, beyond.headers["content-range"]) == (416, "bytes */512000")
    assert alice.service.ask("DELETE", f"{alice.path}/uploads/{upload['id']}").status == 404
    for each, message in ((alice, sent), (bob, received)):
        where = attachments_of(each)
        await_that("sealed", partial(is_sealed, where, before))
        assert (
            each.service.ask("GET", message["attachments"][0]["url"], headers={"Range": "bytes=65530-65545"}).body
            == (content[65530:65546])
        )
        each.service.do("DELETE", f"{each.path}/messages/{message['id']}")
        await_that("removed", partial(is_empty, where, before))


def test_what_is_forwarded_keeps_its_files(people: People) -> None:
    alice, bob = people
    contents = {"word.ogg": b"OggS" + bytes(2000), "plan.bin": bytes(range(256)) * 30}
    ids = [
        alice.service.do("POST", f"{alice.path}/uploads?name={name}&voice={name == 'word.ogg'}", content)["id"]
        for name, content in contents.items()
    ]
    with bob.events() as at_bob, alice.events() as at_alice:
        alice.send(bob, "Both of it", attachments=ids, captions={ids[1]: "Bed by bed"})
        got = at_bob.until("message_received", says("Both of it"))["message"]
        # He has not fetched them yet.
        assert [each["state"] for each in got["attachments"]] == ["remote", "remote"]
        there = f"{bob.path}/messages/{got['id']}"
        sent = bob.service.do("POST", f"{there}/forward", {"conversation": alice.id})
        assert (sent["text"], sent["outgoing"], sent["conversation"]) == ("Both of it", True, alice.id)
        again = at_alice.until("message_received", says("Both of it"))["message"]
        facts = [[each[what] for what in ("name", "voice", "caption", "size")] for each in again["attachments"]]
        assert facts == [["word.ogg", True, "", 2004], ["plan.bin", False, "Bed by bed", 7680]]
        for each in again["attachments"]:
            alice.service.do("POST", f"{alice.path}/messages/{again['id']}/attachments/{each['id']}/download")
            number = each["id"]
            at_alice.until(
                "message_changed",
                lambda event, number=number: any(  # type: ignore[misc]
                    (one["id"], one["state"]) == (number, "here") for one in event["message"]["attachments"]
                ),
            )
            assert alice.service.ask("GET", each["url"]).body == contents[each["name"]]
    for where in ("c-!", "nobody"):
        assert bob.service.ask("POST", f"{there}/forward", {"conversation": where}).status in (400, 404, 409)
    # What could not be sent is not left over.
    assert list(Path(bob.service.directory, "accounts", bob.account["id"], "uploads").iterdir()) == []
    bob.service.do("DELETE", there)
    assert bob.service.ask("POST", f"{there}/forward", {"conversation": alice.id}).status in (400, 404)


def attachments_of(person: Person) -> Path:
    return Path(person.service.directory, "accounts", person.account["id"], "attachments")


def files_in(directory: Path) -> list[Path]:
    return [each for each in directory.rglob("*") if each.is_file()]


def is_empty(directory: Path, but: Collection[Path]) -> bool:
    """Whether no file is there but in directories that others have left."""
    return all(each.parent in but for each in files_in(directory))


def is_sealed(directory: Path, but: Collection[Path]) -> bool:
    return not is_empty(directory, but) and not any(map(in_the_clear, files_in(directory)))


def in_the_clear(path: Path) -> bool:
    try:
        return bytes(range(256)) in path.read_bytes()
    except FileNotFoundError:
        return False


def test_a_group_is_made_joined_changed_and_left(people: People) -> None:
    alice, bob = people
    with alice.events() as at_alice, bob.events() as at_bob:
        made = alice.service.do("POST", f"{alice.path}/groups", {"name": "Two", "members": [bob.id]})
        assert (made["name"], made["admin"], len(made["members"])) == ("Two", True, 2)
        group = made["id"]
        at_bob.until("group_changed", lambda event: event["group"] == group)
        # Who invites is approved, so nothing is asked.
        assert bob.service.do("POST", f"{bob.path}/groups/{group}/accept")["invited"] is False
        assert group not in [each["id"] for each in bob.service.get(f"{bob.path}/requests")]
        alice.service.do("POST", f"{alice.path}/conversations/{group}/messages", {"text": "hello, group"})
        at_bob.until("message_received", says("hello, group"))
        bob.service.do("POST", f"{bob.path}/conversations/{group}/messages", {"text": "hello, Alice"})
        at_alice.until("message_received", says("hello, Alice"))
        changed = alice.service.do("PATCH", f"{alice.path}/groups/{group}", {"name": "Both", "description": "of us"})
        assert (changed["name"], changed["description"]) == ("Both", "of us")
        alice.service.do(
            "PATCH", f"{alice.path}/conversations/{group}", {"timer": {"kind": "after_send", "seconds": 60}}
        )
        shown = alice.service.get(f"{alice.path}/conversations/{group}")
        assert (shown["name"], shown["timer"]) == ("Both", {"kind": "after_send", "seconds": 60})
        assert bob.service.ask("PATCH", f"{bob.path}/groups/{group}", {"name": "Mine"}).status == 400
        bob.service.do("POST", f"{bob.path}/groups/{group}/leave")
        assert group not in [each["id"] for each in bob.service.get(f"{bob.path}/conversations")]
        alice.service.do("POST", f"{alice.path}/groups/{group}/destroy")


def test_people_are_named_and_blocked(people: People) -> None:
    alice, bob = people
    changed = alice.service.do("PATCH", f"{alice.path}/contacts/{bob.id}", {"nickname": "Bobby", "blocked": True})
    assert (changed["name"], changed["nickname"], changed["blocked"]) == ("Bob", "Bobby", True)
    shown = alice.service.get(alice.with_(bob))
    assert (shown["name"], shown["letters"], shown["blocked"], shown["writable"]) == ("Bobby", "BO", True, False)
    assert alice.service.ask("POST", f"{alice.with_(bob)}/messages", {"text": "hello"}).status == 400
    assert (
        alice.service.do("PATCH", f"{alice.path}/contacts/{bob.id}", {"nickname": "", "blocked": False})["blocked"]
        is False
    )
    strange = alice.service.get(f"{alice.path}/contacts/05{'0' * 64}")
    assert (strange["name"], strange["approved"]) == ("", False)
    assert alice.service.ask("GET", f"{alice.path}/contacts/nobody").status == 400


def test_what_was_missed_is_told_and_what_is_too_old_is_not(people: People) -> None:
    alice, bob = people
    with bob.events() as at_bob, bob.events() as beside:
        cursor = at_bob.cursor
        assert at_bob.hello["resumed"] is False
        alice.send(bob, "while you were away")
        beside.until("message_received", says("while you were away"))
    with bob.events(cursor) as again:
        assert again.hello["resumed"] is True
        assert again.until("message_received", says("while you were away"))["cursor"] > cursor
    for strange in (cursor - 10**9, cursor + 10**9):
        with bob.events(strange) as anew:
            assert anew.hello["resumed"] is False


def test_who_types_is_told(people: People) -> None:
    alice, bob = people
    for each in people:
        each.service.do("PATCH", f"{each.path}/settings", {"typing_indicators": True})
    with bob.events() as at_bob:
        alice.service.do("POST", f"{alice.with_(bob)}/typing", {"typing": True})
        assert at_bob.until("typing_received") == {
            "cursor": at_bob.cursor,
            "account": bob.account["id"],
            "type": "typing_received",
            "conversation": alice.id,
            "started": True,
        }
        assert bob.service.get(bob.with_(alice))["typing"] is True
        alice.service.do("POST", f"{alice.with_(bob)}/typing", {"typing": False})
        assert at_bob.until("typing_received")["started"] is False


def test_it_is_killed_and_goes_on(messenger_devnet: Devnet, tmp_path: Path, people: People) -> None:
    _, bob = people
    service = Messenger(tmp_path / "carol", messenger_devnet, "--port", "0").start()
    try:
        carol = Person(service, service.do("POST", "/api/accounts", {"display_name": "Carol"}))
        upload = service.do("POST", f"{carol.path}/uploads?name=a.txt", b"written down")
        with carol.events() as events:
            cursor = events.cursor
        with bob.events() as at_bob:
            carol.send(bob, "with a file", attachments=[upload["id"]])
            service.end(signal.SIGKILL)
            service.start()
            [account] = service.get("/api/state")["accounts"]
            assert (account["account_id"], account["open"]) == (carol.id, True)
            received = at_bob.until("request_received", says("with a file"))
            assert received["message"]["attachments"][0]["name"] == "a.txt"
        assert [each["id"] for each in bob.service.get(f"{bob.path}/requests")] == [carol.id]
        assert bob.service.do("POST", f"{bob.path}/requests/clear") == {"count": 1}
        assert bob.service.get(f"{bob.path}/requests") == []
        with carol.events(cursor) as events:
            assert events.hello["resumed"] is False
        assert service.end() == 0
    finally:
        service.close()
