"""`allium send` to groups, in answer to a message, with files: what takes an account with a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from allium.base.console import out
from allium.cli import session
from allium.cli.file_server import parsed
from allium.errors import CommandError

if TYPE_CHECKING:
    from allium.client.database.rows import Message
    from allium.client.session import Session


def send(
    file: Path, seeds: list[str], conversation: str, text: str, reply: str, attach: list[Path], file_server: str
) -> None:
    """Sends a text, as an answer to the message whose hash is `reply` unless that is empty, with the files `attach`."""
    for path in attach:
        if not path.is_file():
            raise CommandError(f"{path} is no file")

    async def work(opened: Session) -> Message:
        from allium.client.database.rows import MessageState
        from allium.client.files.urls import FileUrlError
        from allium.client.servers import ServerUnreachableError

        quote = None
        if reply:
            quote = await opened.run(lambda work: work.database.messages.by_hash(reply))
            if quote is None:
                raise CommandError(f"there is no message {reply!r}; `allium inbox --json` and `search` tell of them")
        try:
            if attach and file_server:
                wanted = parsed(file_server, "--file-server")
                # How the one that is in force is asked stays.
                if await opened.files.server() != wanted:
                    await opened.files.set_server(wanted)
            attachments = [await opened.files.upload(path, name=path.name) for path in attach]
        except (ServerUnreachableError, FileUrlError) as error:
            raise CommandError(f"--file-server: {error}; name one that answers") from None
        sent = await opened.send(conversation, text, quote=quote, attachments=attachments)
        if sent.state not in (MessageState.SENT, MessageState.UNSYNCED):
            raise CommandError("the message is not stored yet; the next command tries again")
        message = await opened.conversations.message(sent.id)
        if message is None:
            raise CommandError("the message is gone already")
        return message

    message = session.used(file, seeds, work, changes=True)
    out.report(f"message {message.hash or message.id}")
