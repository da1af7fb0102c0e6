"""Where the messenger's files are: all in one directory, which only its owner can enter."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from allium.base import files

_ACCOUNT = re.compile(r"a[1-9][0-9]{0,8}")


class Places:
    """A data directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        files.make_directory(directory)
        directory.chmod(0o700)

    @property
    def accounts(self) -> Path:
        """A directory for each account."""
        return self.directory / "accounts"

    @property
    def api_token(self) -> Path:
        """What programs of the owner show."""
        return self.directory / "api-token"

    @property
    def devices(self) -> Path:
        """Browsers and telephones that may come in."""
        return self.directory / "devices.json"

    @property
    def settings(self) -> Path:
        """What is set for the service."""
        return self.directory / "settings.json"

    @property
    def running(self) -> Path:
        """Where the service listens, while it does."""
        return self.directory / "running.json"

    def read_settings(self) -> dict[str, Any]:
        """What is set for the service."""
        found = read_json(self.settings)
        return found if isinstance(found, dict) else {}

    def change_settings(self, **changes: Any) -> None:
        """The rest stays."""
        write_json(self.settings, {**self.read_settings(), **changes})

    def known(self) -> list[str]:
        """Numbers of accounts, the oldest first."""
        if not self.accounts.is_dir():
            return []
        found = [each.name for each in self.accounts.iterdir() if _ACCOUNT.fullmatch(each.name)]
        return sorted((each for each in found if self.database(each).exists()), key=lambda each: int(each[1:]))

    def new(self) -> str:
        """A number that no account has."""
        numbers = [int(each.name[1:]) for each in self.accounts.glob("a*") if _ACCOUNT.fullmatch(each.name)]
        number = f"a{max(numbers, default=0) + 1}"
        files.make_directory(self.account(number))
        return number

    def account(self, number: str) -> Path:
        """The directory of one."""
        return self.accounts / number

    def database(self, number: str) -> Path:
        """The database of one."""
        return self.account(number) / "account.db"

    def remove(self, number: str) -> None:
        """Removes all files of an account, what opens them first."""
        directory = self.account(number)
        for each in (*directory.glob("*.key"), *directory.glob("*.phrase")):
            each.unlink(missing_ok=True)
        shutil.rmtree(directory, ignore_errors=True)

    def forget(self) -> None:
        """Removes everything that the messenger has written."""
        for number in [each.name for each in self.accounts.glob("a*")]:
            self.remove(number)
        shutil.rmtree(self.accounts, ignore_errors=True)
        for each in (self.devices, self.settings):
            each.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """What is in a file of ours; an empty object for one that is not there, or damaged."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}


def write_json(path: Path, value: Any) -> None:
    """All or nothing, for the owner alone."""
    files.replace(path, json.dumps(value).encode(), files.PRIVATE)


def private_directory(path: Path) -> Path:
    """Made if it is not there."""
    files.make_directory(path)
    if os.name == "posix":
        path.chmod(0o700)
    return path
