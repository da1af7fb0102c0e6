"""The command line as a person runs it: in a process of its own, with their directory, environment and user."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from allium import _native

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root works as other users")

#: A user without rights that every system has.
NOBODY = 65534
#: Another user's command. Where the interpreter is root's alone, they cannot start it: what it needs is loaded before.
_AS_USER = """
import importlib, os, pkgutil, sys
import allium.cli
names = "client.account node.node settings.keys base.complaint base.sealed operate.server operate.pages operate.doctor"
for name in (*names.split(), *(f"cli.{each.name}" for each in pkgutil.iter_modules(allium.cli.__path__)), "_native"):
    importlib.import_module(f"allium.{name}")
for name in ("difflib", "getpass", "nacl.pwhash", "typer._adapters", "typer.rich_utils"):
    importlib.import_module(name)
"".encode("utf-8-sig")
number = int(sys.argv.pop(1))
os.setgroups([]), os.setresgid(number, number, number), os.setresuid(number, number, number)
from allium.__main__ import main
sys.exit(main())
"""


def allium(
    *arguments: str, env: Mapping[str, str | None] | None = None, uid: int | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Runs a command, as the user `uid` if that is given; whatever happens, no traceback reaches the person."""
    program = ["-m", "allium"] if uid is None else ["-c", _AS_USER, str(uid)]
    environment = {**os.environ, **(env or {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    done = subprocess.run(
        [sys.executable, *program, *arguments],
        text=True,
        timeout=120,
        check=False,
        env={name: value for name, value in environment.items() if value is not None},
        **{**pipes, **options},
    )
    assert "Traceback" not in done.stderr and "panicked" not in done.stderr, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr
    return done


def filled(directory: Path, count: int = 20) -> Path:
    """A message store with some messages."""
    store = _native.Store(directory, 1 << 30, 1 << 30, 1 << 20, "async")
    account, expiry = "05" + "11" * 32, time.time_ns() // 1_000_000 + 86_400_000
    for start in range(0, count, 1000):
        store.put([(account, 0, 1, expiry, os.urandom(2000)) for _ in range(start, min(count, start + 1000))])
    store.close()
    return directory
