"""Entries in the menu of programs: to open the messenger, to start it with the session, to lead links to it."""

from __future__ import annotations

import os
import plistlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from allium.base import files

NAME = "Allium Messenger"
#: Links that the system is to have the messenger open.
SCHEMES = ("session", "web+session")
_ID = "allium-messenger"
_BUNDLE_ID = "org.allium.messenger"
_LAUNCH_SERVICES = (
    "/System/Library/Frameworks/CoreServices.framework/Frameworks/LaunchServices.framework/Support/lsregister"
)
#: Where Windows keeps what a user's links are opened with, in HKEY_CURRENT_USER.
_CLASSES = "Software\\Classes"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file to be made."""

    path: Path
    content: bytes
    mode: int = 0o644
    #: What the system has to run before it is written, and after.
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    #: The directory that goes with it.
    whole: Path | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """A text in the registry of Windows, in HKEY_CURRENT_USER; the one without a name is the key's own."""

    key: str
    name: str
    text: str


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
        f"MimeType={''.join(f'x-scheme-handler/{each};' for each in SCHEMES)}",
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
        agent = {"Label": _BUNDLE_ID, "ProgramArguments": list(quiet), "RunAtLoad": True}
        made.append(Entry(home / "Library" / "LaunchAgents" / f"{_BUNDLE_ID}.plist", plistlib.dumps(agent)))
    made.append(_bundle(command, home / "Applications" / f"{NAME} Links.app"))
    return made


def _bundle(command: Sequence[str], place: Path) -> Entry:
    """What `session:` links are opened with.

    macOS hands a link to a program as an event and not as an argument, which a program of AppleScript takes; the system
    makes one of a few lines. What it runs goes on by itself.
    """
    run = shlex.join(command)
    lines = [
        "on run",
        f"do shell script {_spoken(f'{run} >/dev/null 2>&1 &')}",
        "end run",
        "on open location theLink",
        f'do shell script {_spoken(f"{run} --open ")} & quoted form of theLink & " >/dev/null 2>&1 &"',
        "end open location",
    ]
    about = {
        "CFBundleExecutable": "applet",
        "CFBundleIconFile": "applet",
        "CFBundleIdentifier": f"{_BUNDLE_ID}.links",
        "CFBundleInfoDictionaryVersion": "6.0",
        "CFBundleName": NAME,
        "CFBundlePackageType": "APPL",
        "CFBundleShortVersionString": "1.0",
        "CFBundleSignature": "aplt",
        "LSUIElement": True,
        "CFBundleURLTypes": [
            {"CFBundleURLName": _BUNDLE_ID, "CFBundleTypeRole": "Viewer", "CFBundleURLSchemes": list(SCHEMES)}
        ],
    }
    return Entry(
        place / "Contents" / "Info.plist",
        plistlib.dumps(about),
        before=("osacompile", "-o", str(place), *(part for line in lines for part in ("-e", line))),
        after=(_LAUNCH_SERVICES, "-f", str(place)),
        whole=place,
    )


def _spoken(text: str) -> str:
    """A text of AppleScript."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def registry(command: Sequence[str], platform: str = sys.platform) -> list[Value]:
    """What has Windows open links by `command`, for this user alone; nothing on other systems."""
    if platform != "win32":
        return []
    # A link has no quote in it: whoever hands it on has to write that as %22.
    run = f'{subprocess.list2cmdline([*command, "--open"])} "%1"'
    found = []
    for scheme in SCHEMES:
        key = f"{_CLASSES}\\{scheme}"
        found += [
            Value(key, "", f"URL:{NAME}"),
            Value(key, "URL Protocol", ""),
            Value(f"{key}\\shell\\open\\command", "", run),
        ]
    return found


def install(
    made: Sequence[Entry], values: Sequence[Value] = (), run: Callable[[Sequence[str]], object] = subprocess.check_call
) -> None:
    """Writes them over what was there."""
    for each in made:
        files.make_directory((each.whole or each.path).parent, 0o755)
        if each.before:
            run(each.before)
        files.make_directory(each.path.parent, 0o755)
        files.replace(each.path, each.content, each.mode)
        if each.after:
            run(each.after)
    if sys.platform == "win32":
        import winreg

        for value in values:
            with winreg.CreateKey(winreg.HKEY_CURRENT_USER, value.key) as key:
                winreg.SetValueEx(key, value.name, 0, winreg.REG_SZ, value.text)


def remove(made: Sequence[Entry], values: Sequence[Value] = ()) -> list[Path]:
    """Removes those that are there, and says which. Links that lead to another program by now are left alone."""
    gone = [each for each in made if each.path.exists()]
    for each in gone:
        if each.whole is not None:
            shutil.rmtree(each.whole)
        else:
            each.path.unlink()
    if sys.platform == "win32":
        for value in values:
            if value.key.endswith("command") and _is(value):
                _remove_scheme(value.key)
    return [each.path for each in gone]


if sys.platform == "win32":

    def _is(value: Value) -> bool:
        import winreg

        try:
            return winreg.QueryValue(winreg.HKEY_CURRENT_USER, value.key) == value.text
        except OSError:
            return False

    def _remove_scheme(key: str) -> None:
        """A key is removed from its innermost outwards, up to the scheme."""
        import winreg

        while key != _CLASSES:
            winreg.DeleteKey(winreg.HKEY_CURRENT_USER, key)
            key = key.rpartition("\\")[0]
