"""`allium conversations`, `allium search`: what was said, and with whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allium.base.console import err, out
from allium.base.text import printable
from allium.cli import session
from allium.cli.account import FILE, File
from allium.cli.messages import moment
from allium.cli.places import Seed
from allium.cli.session import Json

if TYPE_CHECKING:
    from allium.client.database.rows import Conversation, Message
    from allium.client.session import Session

app = typer.Typer()


@app.command()
def conversations(seed: Seed, file: File = FILE, as_json: Json = False) -> None:
    """Show the conversations, pinned ones first, then by what happened last."""

    async def work(opened: Session) -> Sequence[Conversation]:
        return await opened.conversations.list()

    found = session.used(file, seed, work)
    if as_json:
        session.told([_object(each) for each in found])
        return
    for each in found:
        unread = f"{each.unread} unread" if each.unread else ""
        line = "  ".join(filter(None, (each.id, " ".join(each.name.split()), unread)))
        out.print(printable(line), markup=False)
    if not found:
        err.print("no conversations")


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="Words that all have to be there; the last may be a beginning.")],
    seed: Seed,
    file: File = FILE,
    conversation: Annotated[str | None, typer.Option("--in", metavar="ID", help="Only in this conversation.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many, the newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """Find messages by what they say, and by the names of their files."""

    async def work(opened: Session) -> Sequence[Message]:
        return await opened.conversations.search(text, conversation_id=conversation, limit=limit)

    found = session.used(file, seed, work)
    if as_json:
        session.told([session.as_object(message) for message in found])
        return
    for message in found:
        body = message.body.replace("\n", "\n  ")
        out.print(printable(f"{moment(message.timestamp)}  {message.sender}\n  {body}"), markup=False)
    if not found:
        err.print("nothing found")


def _object(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": conversation.id,
        "type": conversation.kind.value,
        "name": conversation.name,
        "unread": conversation.unread,
        "pinned": conversation.priority > 0,
        "timestamp": conversation.last_activity,
    }
