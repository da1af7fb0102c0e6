"""Asks a running node over the socket in its data directory."""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any

from allium.base import complaint
from allium.base.admin_socket import SOCKET
from allium.errors import Complaint

#: A node that needs longer to say how it is, is not well.
_SECONDS = 5.0
_MAX_ANSWER = 16 << 20
#: What a server's settings are called: what does not run there, and what starts it.
_SERVERS = {
    "files.toml": ("no file server runs in {}", "allium files serve"),
    "push.toml": ("no push server runs in {}", "allium push serve"),
    "portal.toml": ("no portal runs in {}", "allium portal serve"),
}


class NoNodeError(Complaint):
    """No node answers there; the text says what to do."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, directory: Path) -> None:
        super().__init__("allium", timeout=_SECONDS)
        self._directory = directory

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        place = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sock.connect(f"/proc/self/fd/{place}/{SOCKET}")
        finally:
            os.close(place)


def ask(directory: Path, path: str) -> bytes:
    """The answer to a GET of `path`; raises `NoNodeError`."""
    connection = _Connection(directory)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(_MAX_ANSWER)
    except FileNotFoundError:
        if not directory.is_dir():
            raise NoNodeError(f"there is no {directory}; name the node's data directory") from None
        what, start = next(
            (each for name, each in _SERVERS.items() if (directory / name).exists()),
            ("no node runs in {}, or it still waits for its daemon", "allium node run"),
        )
        raise NoNodeError(
            f"{what.format(directory)}; start it (`{start}`, or systemctl start), and if it ends again, its log and "
            f"`allium doctor` say why"
        ) from None
    except ConnectionRefusedError:
        raise NoNodeError(
            f"the node in {directory} is not there any more and was not stopped: it was killed; its log and the "
            f"system's say why. Start it again"
        ) from None
    except PermissionError:
        if directory.is_dir() and directory.stat().st_uid == os.geteuid():
            raise NoNodeError(complaint.denied(directory / SOCKET)) from None
        raise NoNodeError(f"the node in {directory} answers only its own user and root; try sudo") from None
    except TimeoutError:
        raise NoNodeError(
            f"the node in {directory} runs and does not answer within {_SECONDS:.0f} s: it is stopped (SIGSTOP), or "
            f"hangs; restart it"
        ) from None
    except OSError as error:
        raise NoNodeError(f"the node in {directory} could not be asked: {complaint.sentence(error).text}") from None
    except http.client.HTTPException:
        raise NoNodeError(f"what answers in {directory} is no node of this version; restart it") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise NoNodeError(
            f"the node in {directory} cannot say how it is: {body[:500].decode(errors='replace').strip()}"
        )
    return body


def status(directory: Path) -> dict[str, Any]:
    """What the node says of itself; raises `NoNodeError`."""
    told: dict[str, Any] = json.loads(ask(directory, "/status"))
    return told
