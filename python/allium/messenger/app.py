"""The application: the table of operations as routes, the events, the page, and the guard before all of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope
from starlette.websockets import WebSocket

from allium.messenger import describe
from allium.messenger.access import Access
from allium.messenger.api import OPERATIONS
from allium.messenger.calls import MAX_JSON, MAX_PUBLIC, Call, Operation, answer, read_json
from allium.messenger.cookies import set_cookie
from allium.messenger.errors import ApiError, of
from allium.messenger.guard import Guard
from allium.messenger.hub import Listener
from allium.messenger.pairing import Pairing
from allium.messenger.service import Service

_log = logging.getLogger(__name__)
PAGE = Path(__file__).parent / "page"
#: Requests that are carried out at the same time; and of those that bring a file, which may take long.
MAX_REQUESTS, MAX_UPLOADS = 64, 16
_MISSING = "The page is not built: run <code>make pages</code> in the source (it needs Node.js 20 or newer)."


def application(
    service: Service, access: Access, origins: Collection[str], pairing: Pairing | None = None, page: Path = PAGE
) -> ASGIApp:
    """What is served. `origins` are the addresses at which it is; without a `pairing` no telephone comes in."""
    pairing = pairing or Pairing()
    requests, uploads = asyncio.Semaphore(MAX_REQUESTS), asyncio.Semaphore(MAX_UPLOADS)
    routes: list[BaseRoute] = [
        Route(
            each.path,
            _endpoint(each, service, access, pairing, uploads if each.body is bytes else requests),
            methods=[each.method],
        )
        for each in OPERATIONS
    ]
    routes += [
        Route("/api/openapi.json", _description(service.version)),
        WebSocketRoute("/api/events", _events(service)),
        Route("/open", _open(access)),
        Route("/api/{rest:path}", _nothing, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]
    if (page / "index.html").exists():
        routes.append(Mount("/", _Page(page)))
    else:
        routes.append(Route("/", _no_page))
    app = Starlette(routes=routes, exception_handlers={HTTPException: _as_json})
    return Guard(app, access, origins)


def _endpoint(
    operation: Operation, service: Service, access: Access, pairing: Pairing, limit: asyncio.Semaphore
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            # Who sends slowly takes nobody's place meanwhile.
            body = None
            if operation.body not in (None, bytes):
                body = await read_json(request, operation.body, MAX_PUBLIC if operation.public else MAX_JSON)
            if limit.locked():
                raise ApiError("busy", "Too much is asked at once; try again.")
            async with limit:
                await service.started()
                device = getattr(request.state, "device", None)
                if device is not None:
                    service.used()
                found = await operation.handler(Call(service, access, pairing, request, body, device))
        except ClientDisconnect:
            # Nobody reads it; and who was let in may go at any time.
            return answer(ApiError("invalid", "This cannot be asked so.").body(), 400)
        except Exception as error:
            told = of(error)
            if told.word == "failed":
                _log.error("%s %s failed: %s", operation.method, operation.path, type(error).__name__)
            return answer(told.body(), told.status, told.headers)
        return found if isinstance(found, Response) else answer(found, operation.status)

    return endpoint


def _description(version: str) -> Callable[[Request], Awaitable[Response]]:
    async def description(_: Request) -> Response:
        return answer(describe.document(OPERATIONS, version))

    return description


def _open(access: Access) -> Callable[[Request], Awaitable[Response]]:
    async def opened(request: Request) -> Response:
        secure = request.url.scheme == "https"
        secret = access.follow(request.query_params.get("token", ""), _browser(request), remote=secure)
        if secret is None:
            text = "This link was used already, or is too old. Start <code>allium messenger</code> again for a new one."
            return _page_of(text, HTTPStatus.FORBIDDEN)
        given = request.query_params.get("open", "")
        where = f"/?open={quote(given, safe='')}" if given else "/"
        response = RedirectResponse(where, 303, headers={"Cache-Control": "no-store"})
        set_cookie(response, secret, secure=secure)
        return response

    return opened


def _browser(request: Request) -> str:
    """What a browser calls itself, as far as a person wants to know."""
    agent = request.headers.get("user-agent", "")
    known = ("Firefox", "Edg", "OPR", "Chrome", "Safari")
    systems = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux")
    name = next((each for each in known if f"{each}/" in agent), "")
    system = next((each for each in systems if each in agent), "")
    return " on ".join(filter(None, ({"Edg": "Edge", "OPR": "Opera"}.get(name, name), system))) or "A browser"


def _events(service: Service) -> Callable[[WebSocket], Awaitable[None]]:
    async def events(socket: WebSocket) -> None:
        given = socket.query_params.get("after", "")
        after = int(given) if given.isascii() and given.isdecimal() and len(given) < 17 else None
        listener = service.hub.listen(after)
        if listener is None:
            await socket.close(1013, "too many listen")
            return
        try:
            await socket.accept()
            await _feed(socket, listener)
        finally:
            service.hub.leave(listener)

    return events


async def _feed(socket: WebSocket, listener: Listener) -> None:
    """Sends until either side ends it; who takes nothing is not waited for."""

    async def send() -> None:
        while (frame := await listener.get()) is not None:
            await socket.send_text(frame)

    async def receive() -> None:
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass

    tasks = [asyncio.create_task(each) for each in (send(), receive(), listener.ended())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    with _whatever_it_says():
        await socket.close(1013 if listener.lost else 1000)


@contextlib.contextmanager
def _whatever_it_says() -> Iterator[None]:
    """The other side may be gone already."""
    with contextlib.suppress(Exception):
        yield


class _Page(StaticFiles):
    """The files of the page; what is named by its content is kept by browsers for ever."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, html=True)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file; only its own address leads to the first one, and nobody is sent anywhere."""
        if path == "." and not scope["path"].endswith("/"):
            raise HTTPException(404)
        return await super().get_response(path, scope)

    def file_response(self, *arguments: object, **options: object) -> Response:
        response = super().file_response(*arguments, **options)  # type: ignore[arg-type]
        fixed = "/assets/" in str(arguments[0])
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if fixed else "no-cache"
        return response


async def _no_page(_: Request) -> Response:
    return _page_of(_MISSING, HTTPStatus.NOT_FOUND)


def _page_of(text: str, status: HTTPStatus) -> Response:
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Allium</title><p>{text}</p></html>', status
    )


async def _nothing(_: Request) -> Response:
    raise HTTPException(404)


async def _as_json(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if not request.url.path.startswith("/api"):
        return _page_of("There is no such page.", HTTPStatus(status))
    word, text = (
        ("unknown", "There is nothing of this name.") if status == 404 else ("invalid", "This cannot be asked so.")
    )
    return answer({"error": word, "message": text}, status)
