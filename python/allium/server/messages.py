"""Requests to a server and their answers, the same by HTTP and in onion requests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
#: How much of a body is in memory at once, unless it is wanted whole.
CHUNK_BYTES = 256 << 10


class BodyLostError(Exception):
    """The body of an answer cannot be read, or not to its end."""


class BodyReader(Protocol):
    """What the body of an answer is read from. It stays until it is closed, whoever deletes it meanwhile."""

    @property
    def file(self) -> BinaryIO | None:
        """The open file whose first bytes it is, where it is one."""

    async def read(self) -> bytes:
        """All of it."""

    def chunks(self) -> AsyncIterator[bytes]:
        """All of it, in pieces of about `CHUNK_BYTES`."""

    def close(self) -> None:
        """Lets it go."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, however it came."""

    method: str
    #: As it was sent, `%` and all.
    path: str
    query: str
    #: Names in lower case.
    headers: Mapping[str, str]
    #: Bytes of the body, where they were announced.
    length: int | None
    body: AsyncIterator[bytes]


@dataclass(slots=True)
class Answer:
    """Its answer: the body, or what to read it from, which has to be closed."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    reader: BodyReader | None = field(default=None)
    #: Bytes of the body.
    size: int = 0


#: Answers a request; raises only what reading the body raises.
Answerer = Callable[[Request], Awaitable[Answer]]


def failure(status: int) -> Answer:
    """A refusal, as clients know it."""
    return document(status, {"status_code": status})


def document(status: int, told: Any) -> Answer:
    """An answer in JSON."""
    body = json.dumps(told, separators=(",", ":")).encode()
    return Answer(status, {"content-type": JSON, "x-content-type-options": "nosniff"}, body, size=len(body))


def text(status: int, words: str) -> Answer:
    """An answer in words."""
    body = words.encode()
    return Answer(status, {"content-type": TEXT, "x-content-type-options": "nosniff"}, body, size=len(body))


def not_allowed(method: str) -> Answer:
    """The refusal of a method, which names the one that is taken."""
    refused = failure(405)
    refused.headers["allow"] = method
    return refused
