"""The demo's last step: two people talk in the messenger, which is there to be opened then."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allium.devnet.layout import NetworkRecord

if TYPE_CHECKING:
    from allium.cli.demo_screen import DemoScreen

NAMES = ("Erin", "Frank")
#: Who of them says what.
TALK = (
    (0, "Frank? I have a messenger on my own machine now, and nobody's server in between."),
    (1, "So do I! Who carries this, then?"),
    (0, "Nodes that know nothing of us. Look into the settings, at the path."),
    (1, "Three of them, and not one knows us both."),
)
#: A message is stored and fetched in a second; on a busy machine it takes longer.
_SECONDS = 120.0
_PAUSE = 0.1
#: What it is made of that not everybody has installed.
_PACKAGES = ("starlette", "uvicorn", "websockets", "apsw")


class MessengerFailed(Exception):
    """The messenger did not start, or did not do what it was asked for."""


def missing() -> str:
    """Why there is no messenger to be opened, in one sentence; empty where there is."""
    for name in _PACKAGES:
        if importlib.util.find_spec(name) is None:
            return f"no messenger can be opened: {name} is not installed (pip install 'allium[messenger]')"
    from allium.messenger import app

    if not (app.PAGE / "index.html").exists():
        return "no messenger can be opened: its page is not built, which `make pages` does with Node.js 20 or newer"
    return ""


class DemoMessenger:
    """`allium messenger` in a process of its own, asked over its API as any program may."""

    def __init__(self, directory: Path, url: str) -> None:
        self.url = url
        self._token = (directory / "api-token").read_text().strip()

    def link(self) -> str:
        """What opens it in a browser, once and within ten minutes."""
        return str(self.ask("POST", "links")["url"])

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request; `MessengerFailed` where it is refused."""
        data = None if method == "GET" else json.dumps(body or {}).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/{path}", data, headers, method=method)  # noqa: S310, our own
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_SECONDS) as answer:
                return json.loads(answer.read())
        except (OSError, ValueError) as error:
            raise MessengerFailed(f"the messenger does not answer {method} {path}: {error}") from None


@contextlib.contextmanager
def serving(directory: Path, network: NetworkRecord) -> Iterator[DemoMessenger]:
    """The messenger in `network`, until the block ends; `MessengerFailed`."""
    environment = dict(os.environ)
    if network.files is not None:
        environment["ALLIUM_FILE_SERVER"] = f"{network.files.url}#{network.files.pubkey_ed25519}"
    command = [sys.executable, "-m", "allium", "messenger", "--data-dir", str(directory), "--seed", network.seed_url]
    process = subprocess.Popen(  # noqa: S603, our own program
        [*command, "--no-browser", "--port", "0"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            said = process.stdout.readline().strip() if process.stdout is not None else ""
            if not said.startswith("http"):
                raise MessengerFailed(f"the messenger does not start: {said}")
            yield DemoMessenger(directory, said.partition("/open")[0])
        finally:
            process.terminate()


def play(
    running: contextlib.ExitStack, directory: Path, network: NetworkRecord, view: DemoScreen
) -> DemoMessenger | None:
    """Shows the step; the messenger runs on until `running` ends. None where there is none (`missing`)."""
    if missing():
        return None
    with view.step(f"{NAMES[0]} and {NAMES[1]} talk in the messenger") as step:
        messenger = running.enter_context(serving(directory / "messenger", network))
        people = [messenger.ask("POST", "accounts", {"display_name": name}) for name in NAMES]
        for who, text in TALK:
            _say(messenger, people[who], people[1 - who], text)
            step.details.append(f"{NAMES[who]}: “{text}”")
        step.check(True, "each has read what the other wrote, over three hops")
    return messenger


def _say(messenger: DemoMessenger, sender: dict[str, Any], recipient: dict[str, Any], text: str) -> None:
    """One message, from being written to being there."""
    there = f"accounts/{sender['id']}"
    sent = messenger.ask("POST", f"{there}/conversations/{recipient['account_id']}/messages", {"text": text})
    end = time.monotonic() + _SECONDS
    while messenger.ask("GET", f"{there}/messages/{sent['id']}")["state"] != "sent":
        _wait(end, "it is not stored")
    here = f"accounts/{recipient['id']}"
    while True:
        messenger.ask("POST", f"{here}/sync")
        page = messenger.ask("GET", f"{here}/conversations/{sender['account_id']}/messages")
        if any(each["text"] == text for each in page["messages"]):
            return
        _wait(end, "it does not arrive")


def _wait(end: float, why: str) -> None:
    if time.monotonic() > end:
        raise MessengerFailed(f"a message was written, and {why}")
    time.sleep(_PAUSE)
