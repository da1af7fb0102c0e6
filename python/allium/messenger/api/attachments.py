"""Files: given to be sent, fetched, shown; previews of links."""

from __future__ import annotations

import asyncio
from pathlib import Path

from starlette.responses import Response

from allium.client.database.rows import StoredAttachment
from allium.client.session import letters
from allium.client.session.core import Work
from allium.messenger import downloads, pictures, requests, serving, uploads
from allium.messenger.calls import Call, Operations, integer
from allium.messenger.errors import ApiError, unknown
from allium.messenger.facts import Facts
from allium.messenger.views import MessageView, Nothing, PreviewView, UploadView

table = Operations()
_ACCOUNT = "/api/accounts/{account}"


@table.add(
    "POST",
    f"{_ACCOUNT}/uploads",
    "Give a file that is to be sent",
    body=bytes,
    answer=UploadView,
    status=201,
    query={"name": "what to call it", "voice": "true: a voice message", "type": "its media type"},
)
async def upload(call: Call) -> UploadView:
    if call.request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/octet-stream":
        raise ApiError("type", "Send the file's bytes, with Content-Type: application/octet-stream.")
    return await uploads.take(call.account, call.request, call.query("name"), voice=call.flag("voice"))


@table.add("DELETE", f"{_ACCOUNT}/uploads/{{upload}}", "Delete a file that was not sent")
async def remove_upload(call: Call) -> Nothing:
    uploads.remove(call.account, call.path("upload"))
    return Nothing()


@table.add(
    "POST",
    f"{_ACCOUNT}/previews",
    "What is behind the first link of a text; null if there is none, or the user wants none",
    body=requests.PreviewWanted,
    answer=PreviewView | None,
)
async def preview(call: Call) -> PreviewView | None:
    session = call.account.session
    if not (await session.run(Facts.load)).link_previews:
        return None
    kept = await call.account.previews.find(session, call.body.text)
    if kept is None:
        return None
    name, found = kept
    image = f"{call.account.prefix}/previews/{name}" if found.image is not None else None
    return PreviewView(url=found.url, title=found.title, image=image)


@table.add("GET", f"{_ACCOUNT}/previews/{{preview}}", "The image of a preview that was found", answer=Response)
async def found_image(call: Call) -> Response:
    found = call.account.previews.get(call.path("preview"))
    if found is None or found.image is None:
        raise unknown("preview")
    return serving.picture(found.image.data)


@table.add("GET", f"{_ACCOUNT}/messages/{{message}}/preview", "The image of a message's preview", answer=Response)
async def preview_image(call: Call) -> Response:
    preview = letters.preview_of((await call.message()).extra.get("preview"))
    if preview is None or preview.image is None:
        raise unknown("preview")
    return serving.picture(await pictures.of_preview(call.account, preview.image))


@table.add(
    "POST",
    f"{_ACCOUNT}/messages/{{message}}/attachments/{{attachment}}/download",
    "Fetch a file; `attachment_progress` and `message_changed` tell how far it is",
    answer=MessageView,
    status=202,
)
async def download(call: Call) -> MessageView:
    message, stored = await call.message(), await _stored(call)
    if stored.message != message.id:
        raise unknown("file")
    downloads.begin(call.account, stored)
    [shown] = await call.account.messages([message])
    return shown


@table.add(
    "DELETE",
    f"{_ACCOUNT}/messages/{{message}}/attachments/{{attachment}}/download",
    "Fetch it no further",
    answer=MessageView,
)
async def cancel(call: Call) -> MessageView:
    message, stored = await call.message(), await _stored(call)
    await downloads.cancel(call.account, stored.id)
    [shown] = await call.account.messages([message])
    return shown


@table.add("GET", f"{_ACCOUNT}/attachments/{{attachment}}", "A file that is here, whole or a range", answer=Response)
async def show(call: Call) -> Response:
    stored = await _stored(call)
    try:
        return await _served(call, stored)
    except ApiError:
        # It may just have been sealed, and lie under another name.
        again = await _stored(call)
        if again.path == stored.path:
            raise
        return await _served(call, again)


async def _served(call: Call, stored: StoredAttachment) -> Response:
    if not stored.path:
        raise ApiError("unknown", "The file is not here yet; fetch it first.")
    path = Path(stored.path)
    keeper, told = call.account.keeper, stored.attachment
    if not await asyncio.to_thread(keeper.has, path):
        raise unknown("file")
    return await serving.file(call.request, path, keeper.key, told.name or "file", told.content_type)


async def _stored(call: Call) -> StoredAttachment:
    number = integer(call.path("attachment"))

    def found(work: Work) -> StoredAttachment | None:
        return work.database.attachments.get(number)

    stored = await call.account.session.run(found)
    if stored is None:
        raise unknown("file")
    return stored
