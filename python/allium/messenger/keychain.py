"""The messenger's password in the keychain of the operating system, which is open while its user is logged in.

It needs the package `keyring` and a keychain. What goes wrong there only means that the password is typed.
"""

from __future__ import annotations

import asyncio
import logging

from allium.messenger.errors import ApiError
from allium.messenger.places import Places

_log = logging.getLogger(__name__)
_SERVICE = "allium messenger"
_ON = "keychain"


class Keychain:
    """Of one data directory."""

    def __init__(self, places: Places) -> None:
        self._places, self._user = places, str(places.directory.resolve())

    @property
    def is_on(self) -> bool:
        """Whether the password was put there."""
        return self._places.read_settings().get(_ON) is True

    async def get(self) -> str | None:
        """The password; None if it is not to be had."""
        if not self.is_on:
            return None
        try:
            return await asyncio.to_thread(_get, self._user)
        except Exception as error:
            # Every keychain has errors of its own.
            _log.error("the keychain does not answer: %s", type(error).__name__)
            return None

    async def put(self, password: str) -> None:
        """Keeps the password there. `ApiError` without a keychain."""
        try:
            await asyncio.to_thread(_put, self._user, password)
        except Exception as error:
            _log.error("the keychain keeps nothing: %s", type(error).__name__)
            raise ApiError(
                "refused", "This system has no keychain that can be used; enter the password instead."
            ) from None
        self._places.change_settings(**{_ON: True})

    async def remove(self) -> None:
        """Takes it away again."""
        if not self.is_on:
            return
        self._places.change_settings(**{_ON: False})
        try:
            await asyncio.to_thread(_remove, self._user)
        except Exception as error:
            _log.error("the keychain forgets nothing: %s", type(error).__name__)


def _get(user: str) -> str | None:
    import keyring

    found: str | None = keyring.get_password(_SERVICE, user)
    return found


def _put(user: str, password: str) -> None:
    import keyring

    keyring.set_password(_SERVICE, user, password)
    if keyring.get_password(_SERVICE, user) != password:
        raise RuntimeError


def _remove(user: str) -> None:
    import keyring

    keyring.delete_password(_SERVICE, user)
