"""That the messenger asks nothing of the system that Windows has not.

There is no Windows here: what it lacks is taken away before anything of ours is imported, and what it has in place of
it, such as its lock, is made of what is here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

#: Modules and names that Python has on POSIX alone, of those that programs such as this use.
MODULES = ("fcntl", "grp", "pwd", "resource", "termios", "uvloop", "zmq")
NAMES = (
    *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "chown", "fchmod", "fchown", "fork", "geteuid", "getuid", "killpg"),
    *("lchown", "pread", "preadv", "pwrite", "sched_getaffinity", "sysconf", "uname"),
)

_WINDOWS = f"""
import fcntl, os, signal, sys, types

def locking(descriptor, mode, count):
    assert os.lseek(descriptor, 0, os.SEEK_CUR) >= 1 << 30 and (mode, count) == (2, 1)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise PermissionError(13, "Permission denied") from error

# What others than we have of it, they have by now.
import asyncio, concurrent.futures.thread, http.server, logging.handlers, shutil, subprocess, tempfile, webbrowser
import aiohttp, cryptography, uvicorn

sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
for name in {MODULES!r}:
    sys.modules[name] = None
for name in {NAMES!r}:
    delattr(os, name)
for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL", "sigwait", "pthread_sigmask"):
    delattr(signal, name)
os.supports_follow_symlinks = os.supports_effective_ids = frozenset()

def no_signals(*_):
    raise NotImplementedError

asyncio.SelectorEventLoop.add_signal_handler = asyncio.SelectorEventLoop.remove_signal_handler = no_signals
asyncio.get_event_loop_policy().get_child_watcher = no_signals

from allium.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


class OnWindows:
    """`allium messenger` there."""

    def __init__(self, directory: Path) -> None:
        command = [sys.executable, "-c", _WINDOWS, "messenger", "--data-dir", str(directory), "--no-browser"]
        self.process = subprocess.Popen(
            [*command, "--port", "0", "--seed", "http://127.0.0.1:1/"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline().strip()

    def end(self) -> None:
        """Ends it, as Ctrl-C does."""
        self.process.terminate()
        self.process.communicate(timeout=60)


@pytest.fixture
def started(tmp_path: Path) -> Any:
    made = OnWindows(tmp_path / "data")
    yield made
    made.end()


def ask(directory: Path, method: str, path: str, body: Any = None) -> Any:
    """What the service of a directory answers."""
    import urllib.request

    url = json.loads((directory / "running.json").read_text())["url"]
    token = (directory / "api-token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url + path, data, headers, method=method), timeout=60) as answer:
        return json.loads(answer.read())


def test_it_starts_and_keeps_what_is_written(started: OnWindows, tmp_path: Path) -> None:
    directory = tmp_path / "data"
    assert started.said.startswith("http://127.0.0.1:"), started.process.communicate(timeout=60)
    account = ask(directory, "POST", "/api/accounts", {"display_name": "Wanda"})
    notes = f"/api/accounts/{account['id']}/conversations/{account['account_id']}/messages"
    ask(directory, "POST", notes, {"text": "kept"})
    # Who starts it a second time is led to the first.
    again = OnWindows(directory)
    assert "/open?token=" in again.said
    assert again.process.wait(60) == 0
    again.end()
    backup = {"path": str(tmp_path / "backup"), "password": "a password"}
    ask(directory, "POST", f"/api/accounts/{account['id']}/backups", backup)
    started.end()
    back = OnWindows(directory)
    try:
        assert [each["text"] for each in ask(directory, "GET", notes)["messages"]] == ["kept"]
    finally:
        back.end()
