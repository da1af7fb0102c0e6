"""Messages whose files are still to be uploaded: they are shown at once, and sent when their files are there.

Such a message is a row with its files, whose places on this machine are known, and nothing in the outbox yet. Which
ones there are is remembered, so that after a restart, and without a network, none is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allium.client.database import DatabaseError
from allium.client.database.rows import AttachmentState, Message, MessageState
from allium.client.errors import NetworkError
from allium.client.files.legacy import FileError
from allium.client.messages import delivery, kinds
from allium.client.messages.kinds import Attachment, Letter, Preview, Target
from allium.client.session import letters, outbound
from allium.client.session.core import Work
from allium.client.session.events import MessageChanged
from allium.client.session.group import GroupFeature

if TYPE_CHECKING:
    from allium.client.session.files import Files
    from allium.client.session.session import Session

_log = logging.getLogger(__name__)
_FACT = "messages with files"
#: Before what could not be uploaded is tried again, seconds; sooner when the network is there again.
RETRY_SECONDS = 30.0
#: Messages that may wait.
MAX_WAITING = 1_000


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine that is to be sent; it has to stay there until it was."""

    path: Path
    name: str = ""
    content_type: str = ""
    voice: bool = False
    #: As it is: of a picture, with its metadata.
    unchanged: bool = False
    #: Words beside it.
    caption: str = ""


async def uploaded(files: Files, file: Attachment | Path | LocalFile) -> Attachment:
    """A file on the server, if it is not yet; errors as `Files.upload`."""
    if isinstance(file, Attachment):
        return file
    if isinstance(file, Path):
        return await files.upload(file)
    sent = await files.upload(
        file.path, name=file.name, content_type=file.content_type, voice=file.voice, unchanged=file.unchanged
    )
    return replace(sent, caption=file.caption)


class Enclosing:
    """Uploads the files of messages that wait for them, one message after the other."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._wanted = asyncio.Event()
        self._current: tuple[int, asyncio.Task[None]] | None = None
        #: Is told of (message, attachment, bytes sent, bytes in all).
        self.progress: Callable[[int, int, int, int], object] = lambda *_: None

    def wake(self) -> None:
        """There is something to upload, or the network is there again."""
        self._wanted.set()

    async def begin(
        self,
        conversation_id: str,
        text: str,
        files: Sequence[LocalFile],
        *,
        quote: Target | None = None,
        preview: Preview | None = None,
    ) -> Message:
        """Keeps a message with files to be sent. `ValueError` for what cannot be."""
        message = await self._session.run(_begin, self._session.groups, conversation_id, text, files, quote, preview)
        self.wake()
        return message

    async def again(self, message_id: int) -> bool:
        """Tries one again that failed before its files were there; False if it is none of these."""
        found = await self._session.run(_again, message_id)
        if found:
            self.wake()
        return found

    async def cancel(self, message_id: int) -> None:
        """It is to be sent no more."""
        await self._session.run(_forget, message_id)
        if self._current is not None and self._current[0] == message_id:
            self._current[1].cancel()

    async def run(self) -> None:
        """Uploads and sends, for ever."""
        while True:
            self._wanted.clear()
            if await self._all():
                await self._wanted.wait()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS):
                    await self._wanted.wait()

    async def _all(self) -> bool:
        """Whether nothing is left to be tried again."""
        done = True
        for number in await self._session.run(waiting):
            task = asyncio.create_task(self._one(number))
            self._current = number, task
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                raise
            finally:
                self._current = None
            if task.cancelled():
                continue
            error = task.exception()
            if isinstance(error, NetworkError | OSError):
                # Of the network, or of a disk that may be there again.
                done = False
            elif error is not None:
                _log.info("files of a message cannot be sent: %s", type(error).__name__)
                if isinstance(error, DatabaseError):
                    raise error
                await self._session.run(_fail, number)
        return done

    async def _one(self, number: int) -> None:
        session = self._session
        for stored, file in await session.run(_files, number):

            def told(done: int, total: int, attachment: int = stored) -> None:
                self.progress(number, attachment, done, total)

            try:
                uploaded = await session.files.upload(
                    file.path,
                    name=file.name,
                    content_type=file.content_type,
                    voice=file.voice,
                    unchanged=file.unchanged,
                    progress=told,
                )
            except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
                raise FileError(f"{file.name} cannot be read ({error.strerror})") from None
            await session.run(_uploaded, stored, uploaded, str(file.path))
        await session.run(_complete, session.groups, number)


def waiting(work: Work) -> list[int]:
    """Messages that wait for their files, the oldest first."""
    return [int(each) for each in json.loads(work.database.facts.get(_FACT) or b"[]")]


def _remember(work: Work, numbers: Sequence[int]) -> None:
    work.database.facts.set(_FACT, json.dumps(list(numbers)).encode())


def _begin(
    work: Work,
    groups: GroupFeature,
    conversation_id: str,
    text: str,
    files: Sequence[LocalFile],
    quote: Target | None,
    preview: Preview | None,
) -> Message:
    known = waiting(work)
    if len(known) >= MAX_WAITING:
        raise ValueError("too many messages wait for their files")
    shown = tuple(
        Attachment(
            "",
            size=each.path.stat().st_size,
            content_type=each.content_type,
            name=each.name,
            caption=each.caption,
            voice=each.voice,
        )
        for each in files
    )
    message = outbound.keep(work, groups, conversation_id, kinds.Text(text, shown, quote, preview))
    kept = {}
    for stored, file in zip(work.database.attachments.of([message.id]), files, strict=True):
        work.database.attachments.set_state(stored.id, AttachmentState.PENDING, str(file.path))
        kept[str(stored.id)] = {
            "path": str(file.path),
            "name": file.name,
            "type": file.content_type,
            "voice": file.voice,
            "unchanged": file.unchanged,
        }
    work.database.messages.set_extra(message.id, {**message.extra, "files": kept})
    _remember(work, [*known, message.id])
    return message


def _message(work: Work, number: int) -> Message | None:
    found = work.database.messages.get(number)
    return None if found is None or found.deleted else found


def _files(work: Work, number: int) -> list[tuple[int, LocalFile]]:
    """Files that are not uploaded yet, by their numbers; a message that is gone waits no longer."""
    message = _message(work, number)
    if message is None:
        _forget(work, number)
        raise ValueError("the message was deleted")
    kept = message.extra.get("files", {})
    return [
        (each.id, _local(kept[str(each.id)]))
        for each in work.database.attachments.of([number])
        if not each.attachment.url and str(each.id) in kept
    ]


def _local(kept: dict[str, Any]) -> LocalFile:
    return LocalFile(Path(kept["path"]), kept["name"], kept["type"], kept["voice"], kept["unchanged"])


def _uploaded(work: Work, stored: int, uploaded: Attachment, path: str) -> None:
    work.database.attachments.set_uploaded(stored, uploaded)
    work.database.attachments.set_state(stored, AttachmentState.HERE, path)


def _complete(work: Work, groups: GroupFeature, number: int) -> None:
    """All files are there: the message goes as it was written."""
    message = _message(work, number)
    _forget(work, number)
    if message is None:
        return
    extra = {name: value for name, value in message.extra.items() if name != "files"}
    work.database.messages.set_extra(number, extra)
    letter = kinds.Text(
        message.body,
        tuple(each.attachment for each in work.database.attachments.of([number])),
        message.quote,
        letters.preview_of(extra.get("preview")),
        profile=work.configs.shown_profile,
    )
    delivery.check(letter)
    timer = None if message.conversation.startswith("03") else message.timer
    outbound.queue(work, groups, message.conversation, Letter(letter, message.timestamp, timer), number)


def _fail(work: Work, number: int) -> None:
    _forget(work, number)
    if (message := _message(work, number)) is not None:
        work.database.messages.set_state(number, MessageState.FAILED)
        work.database.messages.set_extra(number, {**message.extra, "failed at": work.now})
        _tell(work, number)


def _again(work: Work, number: int) -> bool:
    message = _message(work, number)
    if message is None or "files" not in message.extra:
        return False
    work.database.messages.set_state(number, MessageState.SENDING)
    _remember(work, [*(each for each in waiting(work) if each != number), number])
    _tell(work, number)
    return True


def _forget(work: Work, number: int) -> None:
    known = waiting(work)
    if number in known:
        _remember(work, [each for each in known if each != number])


def _tell(work: Work, number: int) -> None:
    found = work.database.messages.get(number)
    if found is not None:
        work.tell(MessageChanged(found))
