"""What the API answers when something cannot be: one word for programs, one sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allium.client.database import DatabaseError
from allium.client.database.errors import WrongKeyError
from allium.client.errors import NetworkError, RefusedError
from allium.client.files.legacy import FileError
from allium.client.files.urls import FileUrlError
from allium.client.session.calling import CallError
from allium.client.session.worker import ClosedError
from allium.client.transfers.images import ImageError
from allium.client.words import PhraseError

#: Word -> HTTP status.
STATUS: Mapping[str, int] = {
    "invalid": 400,
    "phrase": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "unknown": 404,
    "slow": 408,
    "refused": 409,
    "too_large": 413,
    "range": 416,
    "type": 415,
    "host": 421,
    "locked": 423,
    "many": 429,
    "failed": 500,
    "offline": 503,
    "busy": 503,
}


class ApiError(Exception):
    """An answer that is no success."""

    def __init__(self, word: str, message: str, /, **more: Any) -> None:
        """`word` is one of `STATUS`; `more` are further members of the answer."""
        super().__init__(message)
        self.word, self.message, self.more = word, message, more
        self.status = STATUS[word]
        #: Of the answer.
        self.headers: dict[str, str] = {}

    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {"error": self.word, "message": self.message, **self.more}


def unknown(what: str) -> ApiError:
    """Something that is asked for is not there."""
    return ApiError("unknown", f"There is no such {what}; load the page anew.")


def of(error: Exception) -> ApiError:
    """The answer to whatever an operation raised; `failed` for what nobody thought of."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, PhraseError):
        return ApiError("phrase", _sentence(error), word=None)
    if isinstance(error, ClosedError):
        return ApiError("locked", "This account is locked; unlock it first.")
    if isinstance(error, WrongKeyError):
        return ApiError("forbidden", "This is not the password; try again.")
    if isinstance(error, RefusedError | DatabaseError | CallError):
        return ApiError("refused", _sentence(error))
    if isinstance(error, NetworkError):
        return ApiError("offline", f"The network cannot be reached now ({error}); try again in a while.")
    if isinstance(error, FileUrlError | FileError | ImageError | ValueError):
        return ApiError("invalid", _sentence(error))
    if isinstance(error, KeyError):
        return unknown("message")
    if isinstance(error, OSError):
        return ApiError("refused", f"A file cannot be read or written ({error.strerror}); look at the disk.")
    return ApiError("failed", "Something went wrong inside; the service's log says what.")


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
