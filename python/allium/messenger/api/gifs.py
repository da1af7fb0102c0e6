"""Moving pictures: those of one's conversations, and what a provider finds for who wants to ask it."""

from __future__ import annotations

from starlette.responses import Response

from allium.client.session.core import Work
from allium.messenger import requests, serving, uploads
from allium.messenger.calls import Call, Operations, integer
from allium.messenger.errors import ApiError, unknown
from allium.messenger.facts import GifKey
from allium.messenger.gif_views import FoundGifsView, FoundGifView, GifsView, GifView
from allium.messenger.showing import attachment
from allium.messenger.views import Nothing, UploadView

table = Operations()
_GIFS = "/api/accounts/{account}/gifs"
_SEARCH = "/api/accounts/{account}/gif-search"


@table.add(
    "GET",
    _GIFS,
    "Moving pictures that were sent or received, the newest first, each once",
    answer=GifsView,
    query={"before": "`next`"},
)
async def own(call: Call) -> GifsView:
    account = call.account
    found, following = await account.gif_library.page(call.number("before"))
    shown = [GifView(name=each.name, file=attachment(account.prefix, each.stored, None)) for each in found]
    return GifsView(gifs=shown, next=following)


@table.add(
    "POST",
    f"{_GIFS}/{{attachment}}",
    "Take one of them up, to be sent again",
    answer=UploadView,
    status=201,
)
async def again(call: Call) -> UploadView:
    found = await call.account.gif_library.get(integer(call.path("attachment")))
    if found is None:
        raise unknown("picture")
    gif, data = found
    return await uploads.put(call.account, data, gif.stored.attachment.name)


@table.add("DELETE", f"{_GIFS}/{{attachment}}", "Show it among them no longer; messages keep it")
async def hide(call: Call) -> Nothing:
    found = await call.account.gif_library.get(integer(call.path("attachment")))
    if found is None:
        raise unknown("picture")
    await call.account.gif_library.hide(found[0].name)
    return Nothing()


@table.add(
    "PUT",
    _SEARCH,
    "Have GIPHY searched with a key of one's own; `agreed` says that one knows what it learns",
    body=requests.GifSearchWanted,
)
async def allow(call: Call) -> Nothing:
    if not call.body.agreed:
        raise ApiError("invalid", "GIPHY is asked only for who agrees to that.")
    await _keep(call, call.body.key)
    return Nothing()


@table.add("DELETE", _SEARCH, "Have it asked no longer, and forget the key")
async def forbid(call: Call) -> Nothing:
    await _keep(call, "")
    await call.account.gif_search.close()
    return Nothing()


async def _keep(call: Call, key: str) -> None:
    await call.account.session.run(lambda work: GifKey.store(work, key))
    call.service.hub.tell("account_changed", call.account.id)


@table.add(
    "GET",
    _SEARCH,
    "What GIPHY has for some words, or what many look at now",
    answer=FoundGifsView,
    query={"q": "words", "offset": "`next`"},
)
async def search(call: Call) -> FoundGifsView:
    account, key = call.account, await _key(call)
    found, following = await account.gif_search.find(key, call.query("q"), call.number("offset", 0) or 0)
    return FoundGifsView(
        gifs=[
            FoundGifView(
                id=each.id,
                title=each.title,
                width=each.width,
                height=each.height,
                preview=f"{account.prefix}/gif-search/{each.id}",
            )
            for each in found
        ],
        next=following,
    )


async def _key(call: Call) -> str:
    def found(work: Work) -> str:
        return GifKey.load(work)

    key = await call.account.session.run(found)
    if not key:
        raise ApiError("forbidden", "GIPHY is not asked before you set a key and agree to it.")
    return key


@table.add("GET", f"{_SEARCH}/{{gif}}", "The small picture of what was found", answer=Response)
async def preview(call: Call) -> Response:
    await _key(call)
    return serving.picture(await call.account.gif_search.preview(call.path("gif")))


@table.add("POST", f"{_SEARCH}/{{gif}}", "Fetch what was found, to be sent", answer=UploadView, status=201)
async def take(call: Call) -> UploadView:
    await _key(call)
    found, data = await call.account.gif_search.whole(call.path("gif"))
    if not data.startswith((b"GIF87a", b"GIF89a")):
        raise unknown("picture")
    return await uploads.put(call.account, data, f"{found.title or 'picture'}.gif")
