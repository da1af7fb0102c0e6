"""A request to the API, and the table of everything that can be asked: what it takes, what it answers, what it is for.

From the same table come the routes and their description (`describe`), so that neither can be without the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from allium.messenger.errors import ApiError, unknown
from allium.messenger.values import from_url
from allium.messenger.views import Nothing

if TYPE_CHECKING:
    from allium.client.database.rows import Message
    from allium.messenger.access import Access, Device
    from allium.messenger.account import OpenAccount
    from allium.messenger.pairing import Pairing
    from allium.messenger.service import Service

#: Of a body that is JSON, bytes; and of who is not known yet.
MAX_JSON, MAX_PUBLIC = 1 << 20, 4096
#: Nothing of a body for so long, seconds; and how much of one has to come in each second after that, bytes.
PATIENCE, SLOWEST = 20.0, 1024
_MAX_INTEGER = (1 << 63) - 1

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """One request."""

    service: Service
    access: Access
    pairing: Pairing
    request: Request
    #: What was sent, of the operation's type.
    body: Any
    #: The browser that asks; None for a program.
    device: Device | None

    @property
    def account(self) -> OpenAccount:
        """The account that the path names."""
        return self.service.account(self.request.path_params["account"])

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    @property
    def conversation(self) -> str:
        """The conversation that the path names, as the database has it."""
        return from_url(self.path("conversation"))

    def query(self, name: str, default: str = "") -> str:
        """What stands behind the question mark."""
        return self.request.query_params.get(name, default)

    def flag(self, name: str) -> bool:
        """The same, as yes or no."""
        return self.query(name).lower() in ("true", "1", "yes")

    def number(self, name: str, default: int | None = None, *, most: int = _MAX_INTEGER) -> int | None:
        """The same, as a number."""
        given = self.query(name)
        if not given:
            return default
        return min(integer(given), most)

    async def message(self) -> Message:
        """The message that the path names."""
        found = await self.account.session.conversations.message(integer(self.path("message")))
        if found is None:
            raise unknown("message")
        return found


def integer(given: str) -> int:
    """A number of digits; `ApiError` for anything else."""
    if not given.isascii() or not given.isdecimal() or len(given) > 19 or int(given) > _MAX_INTEGER:
        raise ApiError("invalid", f"{given[:40]!r} is no number.")
    return int(given)


Handler = Callable[[Call], Awaitable[Any]]
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True)
class Operation:
    """One row of the table."""

    method: str
    path: str
    summary: str
    handler: Handler
    #: The type of the JSON that is sent; None for none, `bytes` for a file.
    body: Any = None
    #: The type of what is answered; `Response` for a file.
    answer: Any = Nothing
    status: int = 200
    #: Names of what may stand behind the question mark -> what it is.
    query: Mapping[str, str] = field(default_factory=dict)
    #: Whether anybody may ask, who has not come in yet.
    public: bool = False


class Operations:
    """A part of the table; each module of `api` has one."""

    def __init__(self) -> None:
        self.all: list[Operation] = []

    def add(self, method: str, path: str, summary: str, **options: Any) -> Callable[[H], H]:
        """Puts a function into the table."""

        def added(handler: H) -> H:
            self.all.append(Operation(method, path, summary, handler, **options))
            return handler

        return added


async def read_json(request: Request, kind: type[T], most: int = MAX_JSON) -> T:
    """The body as a value of a type; `ApiError` for one that is too large, too slow, or none."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise ApiError("type", "Send JSON, with Content-Type: application/json.")
    data = bytearray()
    async for piece in pieces(request, most):
        data += piece
    try:
        return msgspec.json.decode(bytes(data) or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise ApiError("invalid", f"{error}.") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ApiError("invalid", "This is not JSON.") from None


async def pieces(request: Request, most: int) -> Any:
    """The body as it comes; `ApiError` for more than `most` bytes, before they are read where that is told."""
    told = request.headers.get("content-length", "")
    if told and (not told.isdecimal() or len(told) > 18 or int(told) > most):
        raise ApiError("too_large", f"This may have {most:,} bytes at most.")
    count, clock = 0, asyncio.get_running_loop().time
    begun = clock()
    stream = request.stream().__aiter__()
    while True:
        try:
            async with asyncio.timeout(min(PATIENCE, begun + PATIENCE + count / SLOWEST - clock())):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except ClientDisconnect:
            raise ApiError("invalid", "The rest did not come; send it again.") from None
        except TimeoutError:
            raise ApiError("slow", "Nothing more came; send it again.") from None
        count += len(piece)
        if count > most:
            raise ApiError("too_large", f"This may have {most:,} bytes at most.")
        yield piece


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as JSON."""
    told = {"Cache-Control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(value), status, media_type="application/json", headers=told)
