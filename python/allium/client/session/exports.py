"""`session.exports`: what was said, for other programs and for people, and back (`allium.client.database.export`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from allium.client.database import export, pages
from allium.client.database.export import Imported
from allium.client.database.rows import Conversation
from allium.client.session.core import Work

if TYPE_CHECKING:
    from allium.client.session.core import Core
    from allium.client.session.worker import Worker


class Exports:
    """Messages in the clear: whoever has the files can read them. They raise `DatabaseError`.

    All is done in short steps, between which the session goes on.
    """

    def __init__(self, core: Core, worker: Worker) -> None:
        self._core = core
        self._worker = worker

    async def write_json(
        self,
        path: Path | str,
        *,
        conversation_id: str | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        """Conversations, profiles and messages into a file, a line of JSON each, all at once; or of one conversation.

        `progress` is told how many lines there are so far. `KeyError` if there is no conversation of this id.
        """
        database = self._core.database
        if conversation_id is None:
            await self._worker.run_steps(export.line_steps(database, Path(path)), progress)
            return
        conversation = await self._conversation(conversation_id)
        lines = (line + "\n" for line in export.conversation_lines(database, conversation))
        await self._worker.run_steps(export.write_steps(Path(path), lines), progress)

    async def write_html(
        self, directory: Path | str, *, progress: Callable[[int], object] | None = None
    ) -> Sequence[Path]:
        """A web page for each conversation that has messages, and one that lists them; the files, that one first.

        `progress` is told how many pages are done.
        """
        return await self._worker.run_steps(pages.page_steps(self._core.database, Path(directory)), progress)

    async def write_page(
        self,
        path: Path | str,
        conversation_id: str,
        *,
        files: Mapping[str, str] | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        """The web page of one conversation, all at once; `KeyError` if there is none of this id.

        `files` says of files, by where they lie on this machine, where they lie beside the page. `progress` is told how
        many pieces of it there are so far.
        """
        conversation = await self._conversation(conversation_id)
        steps = export.write_steps(Path(path), pages.page(self._core.database, conversation, files or {}))
        await self._worker.run_steps(steps, progress)

    async def _conversation(self, conversation_id: str) -> Conversation:
        for name in (conversation_id, conversation_id.lower()):
            found = await self._worker.run(self._core.database.conversations.get, name)
            if found is not None:
                return found
        raise KeyError(conversation_id)

    async def read_json(self, path: Path | str, *, progress: Callable[[Imported], object] | None = None) -> Imported:
        """Adds what `write_json` has written, perhaps of another account; what is there already stays as it is.

        Lines that are none of these are counted and left out. Nothing of it is sent, and nobody is told. What is read
        stays when it is cancelled.
        """
        found = Imported()

        def told(so_far: Imported) -> None:
            nonlocal found
            found = so_far
            if progress is not None:
                progress(so_far)

        await self._worker.run_steps(export.file_steps(self._core.database, Path(path)), told)
        # Some of it may be to disappear.
        await self._worker.run(self._core.run, _look)
        return found


def _look(work: Work) -> None:
    """Has the session see what there is now."""
