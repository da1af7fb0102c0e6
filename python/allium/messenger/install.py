"""An entry in the menu of programs that opens the messenger, and one that starts it with the session."""

from __future__ import annotations

import os
import plistlib
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from allium.base import files

NAME = "Allium Messenger"
_ID = "allium-messenger"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file to be made."""

    path: Path
    content: bytes
    mode: int = 0o644


def entries(
    command: Sequence[str],
    *,
    autostart: bool,
    platform: str = sys.platform,
    home: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> list[Entry]:
    """What opens `command` from the menu, and with `autostart` what runs it without a browser at each login."""
    home = home or Path.home()
    quiet = [*command, "--no-browser"]
    if platform == "win32":
        return _windows(command, quiet, autostart, home, environment)
    if platform == "darwin":
        return _macos(command, quiet, autostart, home)
    return _linux(command, quiet, autostart, home, environment)


def _linux(
    command: Sequence[str], quiet: Sequence[str], autostart: bool, home: Path, environment: Mapping[str, str]
) -> list[Entry]:
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    made = [Entry(data / "applications" / f"{_ID}.desktop", _desktop(command))]
    if autostart:
        made.append(Entry(config / "autostart" / f"{_ID}.desktop", _desktop(quiet)))
    made.append(Entry(data / "applications" / f"{_ID}-links.desktop", _links(command)))
    return made


def _links(command: Sequence[str]) -> bytes:
    """What `session:` links are opened with; no program of the menu."""
    run = " ".join(_quoted(each) for each in command)
    lines = [
        "[Desktop Entry]",
        "Type=Application",
        f"Name={NAME}",
        f"Exec={run} --open %u",
        "Icon=internet-chat",
        "Terminal=false",
        "NoDisplay=true",
        "MimeType=x-scheme-handler/session;",
    ]
    return ("\n".join(lines) + "\n").encode()


def _desktop(command: Sequence[str]) -> bytes:
    run = " ".join(_quoted(each) for each in command)
    lines = [
        "[Desktop Entry]",
        "Type=Application",
        f"Name={NAME}",
        "Comment=Private messages without a company in between",
        f"Exec={run}",
        "Icon=internet-chat",
        "Terminal=false",
        "Categories=Network;InstantMessaging;Chat;",
        "Keywords=chat;session;message;",
    ]
    return ("\n".join(lines) + "\n").encode()


def _quoted(argument: str) -> str:
    """As the rules for desktop entries want it: quotes, and every percent sign twice."""
    escaped = "".join(f"\\{each}" if each in '"`$\\' else each for each in argument)
    # A backslash is one of two layers of quoting.
    return '"' + escaped.replace("\\", "\\\\").replace("%", "%%") + '"'


def _windows(
    command: Sequence[str], quiet: Sequence[str], autostart: bool, home: Path, environment: Mapping[str, str]
) -> list[Entry]:
    roaming = Path(environment.get("APPDATA") or home / "AppData" / "Roaming")
    programs = roaming / "Microsoft" / "Windows" / "Start Menu" / "Programs"
    made = [Entry(programs / f"{NAME}.cmd", _batch(command))]
    if autostart:
        made.append(Entry(programs / "Startup" / f"{NAME}.cmd", _batch(quiet)))
    return made


def _batch(command: Sequence[str]) -> bytes:
    run = subprocess.list2cmdline(command).replace("%", "%%")
    return f'@echo off\r\nchcp 65001 >nul\r\nstart "{NAME}" /min {run}\r\n'.encode()


def _macos(command: Sequence[str], quiet: Sequence[str], autostart: bool, home: Path) -> list[Entry]:
    run = f"#!/bin/sh\nexec {shlex.join(command)}\n".encode()
    made = [Entry(home / "Applications" / f"{NAME}.command", run, 0o755)]
    if autostart:
        agent = {"Label": "org.allium.messenger", "ProgramArguments": list(quiet), "RunAtLoad": True}
        made.append(Entry(home / "Library" / "LaunchAgents" / "org.allium.messenger.plist", plistlib.dumps(agent)))
    return made


def install(made: Sequence[Entry]) -> None:
    """Writes them over what was there."""
    for each in made:
        files.make_directory(each.path.parent, 0o755)
        files.replace(each.path, each.content, each.mode)


def remove(made: Sequence[Entry]) -> list[Path]:
    """Removes those that are there, and says which."""
    gone = [each.path for each in made if each.path.exists()]
    for path in gone:
        path.unlink()
    return gone
