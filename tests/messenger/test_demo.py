"""The demo's step with the messenger, on a real network; the whole demo is `make demo`."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from rich.console import Console

from allium.base.pidfile import pid_file
from allium.cli import demo_messenger
from allium.cli.demo_screen import DemoScreen
from allium.devnet.layout import Layout
from allium.messenger import app
from tests.support.devnet import Devnet


def test_two_people_have_talked_before_it_is_opened(messenger_devnet: Devnet, tmp_path: Path) -> None:
    network = Layout(messenger_devnet.directory).read_network()
    view = DemoScreen(Console(file=io.StringIO(), width=120))
    with contextlib.ExitStack() as running:
        messenger = demo_messenger.play(running, tmp_path, network, view)
        assert messenger is not None
        [step] = view.steps
        assert step.failure is None
        accounts = messenger.ask("GET", "state")["accounts"]
        assert [each["display_name"] for each in accounts] == list(demo_messenger.NAMES)
        for each, other in (accounts, accounts[::-1]):
            page = messenger.ask("GET", f"accounts/{each['id']}/conversations/{other['account_id']}/messages")
            assert [one["text"] for one in page["messages"] if one["text"]] == [text for _, text in demo_messenger.TALK]
        link = urlsplit(messenger.link())
        assert (link.hostname, link.path) == ("127.0.0.1", "/open")
    with pytest.raises(demo_messenger.MessengerFailed):
        messenger.link()


def test_one_that_does_not_start_fails_in_words(messenger_devnet: Devnet, tmp_path: Path) -> None:
    network = Layout(messenger_devnet.directory).read_network()
    view = DemoScreen(Console(file=io.StringIO(), width=120))
    with (
        pid_file(tmp_path / "messenger"),
        contextlib.ExitStack() as running,
        pytest.raises(demo_messenger.MessengerFailed),
    ):
        demo_messenger.play(running, tmp_path, network, view)
    [step] = view.steps
    assert step.failure is not None and "another process serves" in step.failure


def test_without_a_page_it_is_said_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert demo_messenger.missing() == ""
    monkeypatch.setattr(app, "PAGE", tmp_path)
    assert "Node.js" in demo_messenger.missing() and demo_messenger.missing().count("\n") == 0
    monkeypatch.setattr(demo_messenger, "_PACKAGES", ("no_such_package",))
    assert "no_such_package is not installed" in demo_messenger.missing()
