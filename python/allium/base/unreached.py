"""Why a server gave no answer, in words that a person can act on: of the system's errors, aiohttp's and httpx's.

It imports neither of these two, which many commands need none of; their errors say by attributes what was below.
"""

from __future__ import annotations

import os
import socket
import ssl

#: Characters of what somebody else's program said.
_LONGEST = 200


def words(error: BaseException) -> str:
    """One clause, without the name of an error's class, and without the URL that was asked."""
    below = _below(error)
    match below:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not valid ({getattr(below, 'verify_message', 'by nobody known')})"
        case ssl.SSLError():
            return "it does not speak TLS; http:// may be what is meant"
        case socket.gaierror():
            return "there is no machine of that name, or nobody who knows names answers"
        case TimeoutError():
            return "it does not answer in time"
        case ConnectionRefusedError():
            return "nothing listens there"
        case OSError() if below.errno is not None:
            return os.strerror(below.errno)
    status = getattr(error, "status", None)
    if isinstance(status, int):
        # What cannot be read as HTTP at all is told as a status of 400, with more than a status' words.
        spoken = "\n" not in str(getattr(error, "message", ""))
        return f"it answers with status {status}" if spoken else "it does not speak HTTP; https:// may be what is meant"
    text = " ".join(str(below).split())[:_LONGEST]
    return text if text and "://" not in text else "it hung up, or what it says cannot be read"


def _below(error: BaseException) -> BaseException:
    """The system's error that another one was made of, or itself."""
    for name in ("certificate_error", "os_error"):
        below = getattr(error, name, None)
        if isinstance(below, BaseException):
            return below
    if isinstance(error, OSError):
        return error
    inner: BaseException | None = error
    for _ in range(8):
        inner = inner.__cause__ or inner.__context__ if inner is not None else None
        if isinstance(inner, OSError):
            return inner
    return error
