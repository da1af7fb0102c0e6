"""The messenger's service in a process of its own, asked over HTTP and WebSocket as a page or a program does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from email.message import Message
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

from tests.support.devnet import Devnet

_SECONDS = 60.0
#: The command, with polls that follow each other without much of a pause.
_HURRIED = """
import sys
from allium.cli.main import main
from allium.client import schedule
from allium.client.session import calling
# What waits for people waits for a machine that does much else, too.
calling.RING_MS = calling.CONNECT_MS = calling.LEASE_MS = 600_000
schedule.ACCOUNT_SECONDS, schedule.GROUP_SECONDS = 0.2, ((float("inf"), 0.2),)
sys.exit(main(sys.argv[1:]))
"""


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: Message, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Messenger:
    """`allium messenger` over a data directory; it may be killed and started again. Without a `net` it is offline."""

    def __init__(self, directory: Path, net: Devnet | None, *options: str) -> None:
        self.directory = directory
        self._environment = dict(os.environ)
        self.joins(net)
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.link = ""
        #: What it said after the link.
        self.told: list[str] = []

    def joins(self, net: Devnet | None) -> None:
        """Which network it is in from its next start on."""
        self._environment["ALLIUM_SEED"] = net.network["seed_url"] if net else "http://127.0.0.1:1/"
        if net is not None and (files := net.network["files"]):
            self._environment["ALLIUM_FILE_SERVER"] = f"{files['url']}#{files['pubkey_ed25519']}"

    def start(self, lines: int = 1) -> Self:
        """Returns when it serves, and has said so many lines."""
        command = [sys.executable, "-c", _HURRIED, "messenger", "--data-dir", str(self.directory), "--no-browser"]
        self._process = subprocess.Popen(
            [*command, *self._options], env=self._environment, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.link, *self.told = [self._process.stdout.readline().strip() for _ in range(lines)]
        assert self.link.startswith("http://127.0.0.1:"), "it did not start"
        return self

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ends it by a signal; its exit code."""
        assert self._process is not None and self._process.stdout is not None
        self._process.send_signal(number)
        code = self._process.wait(_SECONDS)
        self._process.stdout.close()
        self._process = None
        return code

    def restart(self, number: int = signal.SIGKILL) -> None:
        """Ends it and starts it again where it was, as long as nobody else took the port."""
        self._options = ("--port", self.host.rpartition(":")[2])
        if self._process is not None:
            self.end(number)
        self.start()

    def close(self) -> None:
        if self._process is not None:
            self.end(signal.SIGKILL)

    @property
    def url(self) -> str:
        parts = urlsplit(self.link)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def host(self) -> str:
        return urlsplit(self.link).netloc

    @property
    def token(self) -> str:
        return (self.directory / "api-token").read_text().strip()

    # --- asked as a program

    def ask(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, known: bool = True
    ) -> Answer:
        """One request; `body` is JSON, or bytes of a file."""
        sent = dict(headers or {})
        data = None
        if isinstance(body, bytes):
            data, kind = body, "application/octet-stream"
        else:
            data, kind = (None if body is None else json.dumps(body).encode()), "application/json"
        if data is not None:
            sent.setdefault("Content-Type", kind)
        if known:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        opener = urllib.request.build_opener(_Stay())
        try:
            with opener.open(request, timeout=_SECONDS) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def get(self, path: str) -> Any:
        """What there is; a failed test if there is not."""
        answer = self.ask("GET", path)
        assert answer.status == 200, answer.body
        return answer.json

    def do(self, method: str, path: str, body: Any = None) -> Any:
        """What comes of it; a failed test if it cannot be."""
        answer = self.ask(method, path, {} if body is None and method != "DELETE" else body)
        assert answer.status in (200, 201, 202), (answer.status, answer.body)
        return answer.json

    def events(self, after: int | None = None, **options: Any) -> Events:
        """The events, from now or from behind a number."""
        query = "" if after is None else f"?after={after}"
        headers = {"Authorization": f"Bearer {self.token}"}
        return Events(connect(f"ws://{self.host}/api/events{query}", additional_headers=headers, **options))

    def browser(self) -> urllib.request.OpenerDirector:
        """What keeps cookies, as a browser does."""
        return urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))


class Events:
    """A WebSocket of the service, as a context manager."""

    def __init__(self, opening: AbstractContextManager[ClientConnection]) -> None:
        self._opening = opening
        self.hello: dict[str, Any] = {}
        self.cursor = 0

    def __enter__(self) -> Self:
        self.socket = self._opening.__enter__()
        self.hello = json.loads(self.socket.recv(_SECONDS))
        self.cursor = self.hello["cursor"]
        return self

    def __exit__(self, *_: object) -> None:
        self._opening.__exit__(None, None, None)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            event = json.loads(self.socket.recv(_SECONDS))
            self.cursor = event["cursor"]
            yield event

    def until(self, kind: str, matches: Callable[[dict[str, Any]], bool] = lambda event: True) -> dict[str, Any]:
        """The next event of a kind."""
        for event in self:
            if event["type"] == kind and matches(event):
                return event
        raise AssertionError


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nothing."""

    def redirect_request(self, *arguments: Any, **options: Any) -> None:
        return None
