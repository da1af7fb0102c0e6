"""The database of an account: what was put in is there, once, in order, and nothing of it in the clear."""

from __future__ import annotations

import contextlib
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allium.client.database import Database, WrongKeyError, unreadable
from allium.client.database.rows import (
    AttachmentState,
    ConversationKind,
    Deleted,
    Message,
    MessageState,
    NewMessage,
    OutboxState,
)
from allium.client.messages.kinds import Attachment, Disappear, Disappearing, Profile, Target
from allium.client.pool import Snode

ALICE, BOB = "05" + "aa" * 32, "05" + "bb" * 32
KEY = bytes(range(32))
NOW = 1_700_000_000_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "account.sqlite", KEY) as opened:
        opened.conversations.ensure(BOB, ConversationKind.CONTACT, name="Bob")
        yield opened


def add(database: Database, body: str, timestamp: int = NOW, **more: object) -> Message:
    fields: dict[str, object] = {"conversation": BOB, "sender": BOB, "timestamp": timestamp, "body": body, **more}
    added = database.messages.add(NewMessage(**fields))  # type: ignore[arg-type]
    assert added is not None
    return added


def test_a_message_is_kept_once(database: Database) -> None:
    file = Attachment("http://files/1", b"k" * 32, b"", 10, "image/png", "holiday.png", voice=True)
    sent = NewMessage(
        BOB,
        ALICE,
        NOW,
        "hello \N{GRINNING FACE}",
        outgoing=True,
        state=MessageState.SENDING,
        hash="abc",
        quote=Target(NOW - 5, BOB),
        timer=Disappearing(Disappear.AFTER_SEND, 60),
        expires=NOW + 60_000,
        attachments=(file,),
        extra={"preview": {"url": "https://a"}},
    )
    added = database.messages.add(sent)
    assert added is not None
    assert database.messages.add(sent) is None
    assert (added.conversation, added.sender, added.body, added.extra) == (BOB, ALICE, sent.body, sent.extra)
    assert (added.quote, added.timer, added.expires, added.hash) == (sent.quote, sent.timer, sent.expires, "abc")
    assert added == database.messages.find(BOB, Target(NOW, ALICE)) == database.messages.by_hash("abc")
    assert added == database.messages.find(None, Target(NOW, ALICE), kind="text")
    assert database.messages.find(None, Target(NOW, ALICE), kind="call") is None
    assert database.messages.find(ALICE, Target(NOW, ALICE)) is None
    [stored] = database.attachments.of([added.id])
    assert (stored.attachment, stored.state) == (file, AttachmentState.REMOTE)


def test_pages_go_through_all_messages_in_order(database: Database) -> None:
    for number in range(100):
        add(database, str(number), NOW + number // 3, kind=f"kind {number % 3}")
    found: list[Message] = []
    before = None
    while page := database.messages.page(BOB, before=before, limit=7):
        found, before = page + found, page[0]
    assert [message.body for message in found] == [str(number) for number in range(100)]
    assert database.messages.page(BOB, after=found[49], limit=3) == found[50:53]


def test_a_time_in_the_far_future_is_sorted_by_when_it_came(database: Database) -> None:
    add(database, "absurd", (1 << 64) - 1, received=NOW)
    add(database, "later", NOW + 1, received=NOW + 1)
    assert [message.body for message in database.messages.page(BOB)] == ["absurd", "later"]
    found = database.conversations.get(BOB)
    assert found is not None
    assert found.last_activity == NOW + 1


def test_unread_is_counted_whatever_becomes_of_the_messages(database: Database) -> None:
    messages = [add(database, "text", NOW + number) for number in range(5)]
    add(database, "own", NOW, sender=ALICE, outgoing=True)

    def unread() -> int:
        found = database.conversations.get(BOB)
        assert found is not None
        assert found.unread == len(database.messages.unread(BOB)) == database.conversations.unread()
        return found.unread

    assert unread() == 5
    database.messages.delete(messages[0].id)
    database.messages.remove([messages[1].id])
    assert unread() == 3
    assert database.messages.mark_read(BOB, NOW, up_to=NOW + 2) == 1
    assert unread() == 2
    assert database.messages.clear(BOB) == 5
    assert unread() == 0


def test_reading_starts_the_timer_of_what_disappears_after_it(database: Database) -> None:
    timer = Disappearing(Disappear.AFTER_READ, 60)
    message = add(database, "soon gone", timer=timer)
    assert database.messages.next_expiry() is None
    database.messages.mark_read(BOB, NOW + 10)
    assert database.messages.next_expiry() == NOW + 10 + 60_000
    assert database.messages.expired(NOW + 60_009) == []
    assert [each.id for each in database.messages.expired(NOW + 60_010)] == [message.id]


def test_a_deleted_message_leaves_a_place_and_nothing_else(database: Database) -> None:
    message = add(database, "secret", attachments=(Attachment("http://files/1", name="secret.txt"),), extra={"a": 1})
    database.reactions.add(message.id, ALICE, "\N{GRINNING FACE}", NOW)
    database.messages.delete(message.id, Deleted.EVERYWHERE)
    left = database.messages.get(message.id)
    assert left is not None
    assert (left.deleted, left.body, left.extra, left.has_attachments) == (Deleted.EVERYWHERE, "", {}, False)
    assert database.attachments.of([message.id]) == []
    assert database.reactions.of([message.id]) == []
    assert database.search.find("secret") == []


@pytest.mark.parametrize(
    ("text", "looked_for"),
    [
        ("The quick brown fox", "quick fo"),
        ("Où est la Crème brûlée ?", "creme BRULEE"),
        ("我们明天去北京吧", "北京"),
        ("ไปกินข้าวกัน", "ข้าว"),
        ("Straße", "stra"),
        ('he said "no"', '"no"'),
    ],
)
def test_search_finds_words_in_any_script(database: Database, text: str, looked_for: str) -> None:
    wanted = add(database, text)
    add(database, "something else", NOW + 1)
    assert [message.id for message in database.search.find(looked_for)] == [wanted.id]
    assert [message.id for message in database.search.find(looked_for, conversation=BOB)] == [wanted.id]
    assert database.search.find(looked_for, conversation=ALICE) == []


def test_search_finds_file_names_and_forgets(database: Database) -> None:
    wanted = add(database, "", attachments=(Attachment("http://f/1", name="tax return 2026.pdf"),))
    assert [message.id for message in database.search.find("return 2026")] == [wanted.id]
    assert database.search.find("c1") == []
    database.conversations.remove(BOB)
    assert database.search.find("return") == []


@pytest.mark.parametrize("count", [5, 300])
def test_words_of_deleted_messages_are_nowhere(database: Database, count: int) -> None:
    def indexed(word: bytes) -> bool:
        blocks = database.connection.rows("SELECT block FROM search_data")
        return any(word in block for (block,) in blocks)

    with database.transaction():
        for number in range(1000):
            add(database, f"zebra{number} frequent", NOW + number)
    # What is written last may not be in the index's pages before it is read.
    assert len(database.search.find("zebra7 frequent")) == 1
    assert indexed(b"zebra")
    assert database.messages.clear(BOB, before=NOW + 1000 - count) == 1000 - count
    while database.tidy():
        pass
    assert len(database.search.find("frequent", limit=2000)) == count
    assert database.messages.clear(BOB, limit=count) == count
    assert database.search.find("frequent") == []
    while database.tidy():
        pass
    assert not indexed(b"zebra")
    assert not indexed(b"ebra")
    assert database.check() == []
    assert database.connection.rows("SELECT * FROM forgotten") == []


@pytest.mark.parametrize("typed", ["", " ", '"', "AND", "NOT", "* ^", "a" * 100_000, "body : x", "\0", "(", "\ud800"])
def test_search_takes_whatever_is_typed(database: Database, typed: str) -> None:
    add(database, "text")
    assert database.search.find(typed) == []


def test_reactions_are_counted_once_and_bounded(database: Database) -> None:
    message = add(database, "text")
    assert database.reactions.add(message.id, ALICE, "\N{GRINNING FACE}", NOW)
    assert not database.reactions.add(message.id, ALICE, "\N{GRINNING FACE}", NOW)
    assert not database.reactions.add(message.id + 1, ALICE, "\N{GRINNING FACE}", NOW)
    added = sum(database.reactions.add(message.id, BOB, chr(0x1F600 + number), NOW) for number in range(50))
    assert added == 20
    assert database.reactions.remove(message.id, ALICE, "\N{GRINNING FACE}")
    assert len(database.reactions.of([message.id])) == 20


def test_the_outbox_gives_each_item_until_it_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "account.sqlite"
    with Database.open(path, KEY) as database:
        first = database.outbox.add(BOB, 0, b"one", ttl=1000, timestamp=NOW)
        copy = database.outbox.add(ALICE, 0, b"one", ttl=1000, timestamp=NOW, purpose="sync", after=first.id)
        assert database.outbox.add(BOB, 0, b"one", ttl=1000, timestamp=NOW) == first
        assert [item.id for item in database.outbox.due(NOW)] == [first.id]
        database.outbox.sending([first.id])
        assert database.outbox.due(NOW) == []
    with Database.open(path, KEY) as database:
        [again] = database.outbox.due(NOW)
        assert (again.id, again.hash, again.payload, again.attempts) == (first.id, first.hash, b"one", 1)
        database.outbox.retry(first.id, NOW + 100, "no answer")
        assert database.outbox.due(NOW) == []
        assert database.outbox.next_due() == NOW + 100
        database.outbox.stored(first.id, NOW + 200)
        assert [item.id for item in database.outbox.due(NOW)] == [copy.id]
        database.outbox.failed(copy.id, "refused")
        found = database.outbox.get(copy.id)
        assert found is not None
        assert (found.state, found.error) == (OutboxState.FAILED, "refused")
        database.outbox.prune(NOW + 201)
        assert database.outbox.get(first.id) is not None
        database.outbox.retry(copy.id, 0)
        database.outbox.stored(copy.id, NOW + 300)
        database.outbox.prune(NOW + 301)
        assert (database.outbox.get(first.id), database.outbox.get(copy.id)) == (None, None)


def test_an_error_undoes_its_transaction_alone(database: Database) -> None:
    with database.transaction():
        add(database, "good")
        with pytest.raises(KeyError), database.transaction():
            add(database, "bad", NOW + 1)
            add(database, "nowhere", conversation="nobody")
        database.cursors.set(b"n" * 32, ALICE, {0: "hash", -10: "other"})
    assert [message.body for message in database.messages.page(BOB)] == ["good"]
    assert database.cursors.get(b"n" * 32, ALICE) == {0: "hash", -10: "other"}


class Undone(Exception):
    pass


STEPS = st.tuples(
    st.sampled_from(["add", "add", "add", "own", "delete", "remove", "clear", "read", "react", "tidy"]),
    st.integers(0, 40),
    st.booleans(),
)


@settings(max_examples=40)
@given(st.lists(STEPS, max_size=60))
def test_counts_and_index_agree_after_any_steps_some_of_them_undone(steps: list[tuple[str, int, bool]]) -> None:
    with tempfile.TemporaryDirectory() as directory, Database.open(Path(directory, "a.sqlite"), None) as database:
        database.conversations.ensure(BOB, ConversationKind.CONTACT)
        for step, number, undone in steps:
            with contextlib.suppress(Undone), database.transaction():
                match step:
                    case "add" | "own":
                        sender = BOB if step == "add" else ALICE
                        words = NewMessage(BOB, sender, NOW + number, f"word{number} all", outgoing=step == "own")
                        database.messages.add(words)
                    case "delete":
                        database.messages.delete(number)
                    case "remove":
                        database.messages.remove(range(number, number + 12))
                    case "clear":
                        database.messages.clear(BOB, before=NOW + number, limit=15)
                    case "read":
                        database.messages.mark_read(BOB, NOW, up_to=NOW + number)
                    case "react":
                        database.reactions.add(number, ALICE, "x", NOW)
                    case "tidy":
                        database.tidy()
                if undone:
                    raise Undone
        shown = [message for message in database.messages.page(BOB, limit=999) if not message.deleted]
        unread = [message.id for message in shown if not message.read and not message.outgoing]
        conversation = database.conversations.get(BOB)
        assert conversation is not None
        assert conversation.unread == len(unread) == len(database.messages.unread(BOB))
        assert {message.id for message in database.search.find("all ", limit=999)} == {each.id for each in shown}
        while database.tidy():
            pass
        assert {message.id for message in database.search.find("all ", limit=999)} == {each.id for each in shown}
        assert database.check() == []


def test_what_is_seen_is_new_no_more_until_it_expires(database: Database) -> None:
    database.seen.add({"a": NOW + 10, "b": 1 << 64}, NOW)
    assert database.seen.new(["c", "a", "b", "c"]) == ["c"]
    assert database.seen.prune(NOW + 10) == 1
    assert database.seen.new(["a", "b"]) == ["a"]
    assert database.seen.prune(NOW + 40 * 86_400_000) == 1


def test_small_things_are_kept(database: Database) -> None:
    database.configs.set(ALICE, 2, b"dump")
    database.configs.set(ALICE, 2, b"newer")
    assert database.configs.of(ALICE) == {2: b"newer"}
    database.facts.set("seed", b"s")
    assert database.facts.get("seed") == b"s"
    nodes = [Snode("127.0.0.1", 1, b"e" * 32, b"x" * 32)]
    database.nodes.replace(nodes)
    database.nodes.set_guards([b"e" * 32])
    database.nodes.set_swarm(ALICE, [b"e" * 32])
    assert (database.nodes.all(), database.nodes.guards()) == (nodes, [b"e" * 32])
    assert database.nodes.swarms() == {ALICE: database.nodes.swarm(ALICE)} == {ALICE: [b"e" * 32]}
    assert database.profiles.set(BOB, Profile("Bob", updated=5))
    assert not database.profiles.set(BOB, Profile("Old", updated=4))
    assert database.profiles.get(BOB) == Profile("Bob", updated=5)
    assert database.unreadable.add(ALICE, 0, "h", b"junk", NOW, "no protobuf")
    assert not database.unreadable.add(ALICE, 0, "h", b"junk", NOW, "no protobuf")
    assert (database.unreadable.total(), database.unreadable.after()[0].data) == (1, b"junk")
    database.conversations.update(BOB, draft="dear", muted_until=1 << 70, extra={"pinned": True})
    found = database.conversations.get(BOB)
    assert found is not None
    assert (found.draft, found.muted_until, found.extra) == ("dear", (1 << 63) - 1, {"pinned": True})


def test_of_what_cannot_be_read_there_is_never_too_much(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreadable, "MAX_ITEMS", 3)
    for number in range(10):
        assert database.unreadable.add(ALICE, 0, f"hash {number}", b"junk", NOW, "junk")
    assert database.unreadable.add(ALICE, 0, "large", bytes(10 << 20), NOW, "too large")
    assert [(each.hash, len(each.data)) for each in database.unreadable.after()] == [
        ("hash 8", 4),
        ("hash 9", 4),
        ("large", 0),
    ]
    assert database.unreadable.total() == 11


def test_nothing_is_in_the_clear_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "account.sqlite"
    with Database.open(path, KEY) as database:
        database.conversations.ensure(BOB, ConversationKind.CONTACT)
        add(database, "a very secret text")
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert b"secret" not in file.read_bytes()
            assert b"SQLite format" not in file.read_bytes()
    assert b"secret" not in path.read_bytes()
    with pytest.raises(WrongKeyError):
        Database.open(path, bytes(32))
    with Database.open(path, KEY) as database:
        database.rekey(bytes(32))
    with Database.open(path, bytes(32)) as database:
        assert database.search.find("secret")
