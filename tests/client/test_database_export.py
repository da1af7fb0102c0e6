"""What is exported: all that people wrote, as lines that can be read back, and as pages that do nothing but be read."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from allium.client.database import Database, UnwritableError, export, pages
from allium.client.database.rows import ConversationKind, Deleted, MessageState, NewMessage
from allium.client.messages.kinds import Attachment, Disappear, Disappearing, Profile, Target

ALICE, BOB = "05" + "aa" * 32, "05" + "bb" * 32
NOW = 1_700_000_000_000
HOSTILE = (
    "<script>alert(1)</script>\" onload='x' &amp; ]]> --> \N{RIGHT-TO-LEFT OVERRIDE}gpj.exe\0\x1b[2J\r\n\u2028</p>"
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "account.sqlite", None) as opened:
        yield opened


def fill(database: Database) -> None:
    with database.transaction():
        database.conversations.ensure(BOB, ConversationKind.CONTACT, name=HOSTILE)
        database.conversations.ensure("https://c/room", ConversationKind.COMMUNITY)
        database.conversations.update(BOB, draft=HOSTILE, priority=1, extra={"key": [HOSTILE]})
        database.profiles.set(BOB, Profile(HOSTILE, "http://p", bytes(32), 5))
        for number in range(450):
            database.messages.add(
                NewMessage(
                    BOB,
                    BOB if number % 2 else ALICE,
                    NOW + number,
                    f"{number} {HOSTILE}",
                    outgoing=number % 2 == 0,
                    state=MessageState.RECEIVED if number % 2 else MessageState.SENT,
                    quote=Target(NOW + number - 1, HOSTILE) if number % 3 else None,
                    timer=Disappearing(Disappear.AFTER_SEND, 60) if number % 5 else None,
                    expires=NOW * 2 if number % 5 else None,
                    hash=f"hash {number}",
                    attachments=(Attachment("http://f", bytes(32), b"d", 5, "a/b", HOSTILE, HOSTILE),),
                    extra={"preview": {"url": HOSTILE}},
                )
            )
        for message in database.messages.after(0, 10):
            database.reactions.add(message.id, HOSTILE, "<b>\N{GRINNING FACE}", NOW)
        database.messages.delete(12, Deleted.EVERYWHERE)
        absurd = NewMessage("https://c/room", BOB, (1 << 64) - 1, "text", kind=HOSTILE, received=-(1 << 60))
        database.messages.add(absurd)


def entries(database: Database) -> list[dict[str, object]]:
    found = [json.loads(line) for line in export.lines(database)]
    return [entry for entry in found if entry["type"] != "export"]


def test_lines_come_back_as_they_were(database: Database, tmp_path: Path) -> None:
    fill(database)
    path = tmp_path / "export.jsonl"
    export.write_lines(database, path)
    assert path.read_bytes().isascii()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Database.open(tmp_path / "other.sqlite", None) as other:
        assert export.read_file(other, path) == export.Imported(451, 0, 0)
        assert entries(other) == entries(database)
        assert other.check() == []
        assert export.read_file(other, path) == export.Imported(0, 451, 0)
        assert entries(other) == entries(database)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        '{"type": "else"}',
        '{"type": "message"}',
        '{"type": "conversation", "id": 1, "kind": "none", "name": ""}',
        '{"type": "profile", "id": "x", "name": "", "picture_url": "", "picture_key": "xx", "updated": 0}',
        '{"type": "profile", "id": "x", "name": "", "picture_url": "", "picture_key": "", "updated": 1e999}',
        "[" * 100_000,
        '{"type": "message", "text": "' + "a" * (5 << 20) + '"}',
        "1" * 10_000,
        "\ud800",
    ],
)
def test_lines_that_are_none_are_counted_and_hide_no_other(database: Database, line: str) -> None:
    good = {"kind": "contact", "name": "\ud800", "draft": "", "priority": 1 << 80, "muted_until": 0}
    good |= {"type": "conversation", "id": BOB, "marked_unread": False, "last_read": 0, "extra": {}}
    found = export.read_lines(database, ["  \n", line + "\n", json.dumps(good)])
    assert found == export.Imported(0, 0, 1 if line else 0)
    conversation = database.conversations.get(BOB)
    assert conversation is not None
    assert (conversation.name, conversation.priority) == ("?", (1 << 63) - 1)


def test_any_file_can_be_read(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "junk"
    path.write_bytes(bytes(range(256)) * 40_000 + b"\n{}\n")
    found = export.read_file(database, path)
    assert (found.added, found.known) == (0, 0)
    assert found.unreadable > 1
    with pytest.raises(UnwritableError, match="cannot be read"):
        export.read_file(database, tmp_path)


def test_an_import_names_no_file_of_this_machine_and_sends_nothing(database: Database) -> None:
    fill(database)
    [*_, line] = export.lines(database)
    entry = json.loads(line) | {"state": "sending", "timestamp": NOW, "attachments": []}
    entry["attachments"] = [{**json.loads(next(iter_messages(database)))["attachments"][0], "path": "/etc/passwd"}]
    assert export.read_lines(database, [json.dumps(entry)]).added == 1
    [*_, added] = database.messages.after(0, 1_000)
    assert added.state is MessageState.FAILED
    assert [file.path for file in database.attachments.of([added.id])] == [""]


def iter_messages(database: Database) -> Iterator[str]:
    return (line for line in export.lines(database) if json.loads(line)["type"] == "message")


class Page(HTMLParser):
    """What a browser sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_pages_are_of_text_alone(database: Database, tmp_path: Path) -> None:
    fill(database)
    [index, *written] = pages.write_pages(database, tmp_path / "pages")
    assert index.name == "index.html"
    assert len(written) == 2
    for path in (index, *written):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.name.isascii()
        raw = path.read_text()
        page = Page(raw)
        allowed = {"html", "head", "meta", "title", "style", "body", "h1", "main", "article", "header", "span", "bdi"}
        allowed |= {"time", "p", "small", "blockquote", "ol", "li", "a"}
        assert {tag for tag, _ in page.tags} <= allowed
        for _, attributes in page.tags:
            assert set(attributes) <= {
                "charset",
                "class",
                "content",
                "dir",
                "href",
                "http-equiv",
                "lang",
                "name",
                "title",
            }
            assert attributes.get("href") in (None, *(each.name for each in written))
        assert "default-src 'none'" in raw
        assert "\x1b" not in raw
        assert "\0" not in raw
    page = Page(next(path.read_text() for path in written if "0001" in path.name))
    assert sum(tag == "article" for tag, _ in page.tags) == 450
    assert "449 <script>alert(1)</script>" in page.text
    assert "This message was deleted." in page.text


def test_names_are_shown_in_the_order_in_which_they_were_written(database: Database, tmp_path: Path) -> None:
    fill(database)
    [index, first, _] = pages.write_pages(database, tmp_path)
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in index.read_text()
    for line in first.read_text().split("<p dir")[:1]:
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in line
    assert pages.visible("a\N{RIGHT-TO-LEFT OVERRIDE}b\N{LEFT-TO-RIGHT ISOLATE}\0\n c") == "ab c"
    assert (
        pages.visible("\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}") == "\N{WOMAN}\u200d\N{PERSONAL COMPUTER}"
    )
    assert len(pages.visible("x" * 10_000)) == 100
    assert pages.visible("\N{RIGHT-TO-LEFT MARK} \ud800") == ""


def test_an_absurd_time_is_shown_as_a_number(database: Database) -> None:
    fill(database)
    conversation = database.conversations.get("https://c/room")
    assert conversation is not None
    assert f"{(1 << 63) - 1} ms" in "".join(pages.page(database, conversation))


def test_an_export_that_fails_leaves_what_was_there(database: Database, tmp_path: Path) -> None:
    fill(database)
    path = tmp_path / "export.jsonl"
    path.write_text("before")

    def broken() -> Iterator[str]:
        yield "half"
        raise InterruptedError

    with pytest.raises(UnwritableError):
        export.write(path, broken())
    assert path.read_text() == "before"
    with pytest.raises(UnwritableError, match="name another file"):
        export.write_lines(database, path / "below")
    with pytest.raises(UnwritableError, match="is the database itself"):
        export.write_lines(database, database.path)
    assert [each.name for each in tmp_path.iterdir() if each.name.endswith(".new")] == []
