"""All accounts of one person on one machine: opened, locked, unlocked, made and forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from allium.client.account import Account
from allium.client.database import DatabaseError, keys
from allium.client.seeds import MAINNET
from allium.client.session import Session, restore_backup
from allium.client.transfers.transfer import FileServer
from allium.messenger import passwords
from allium.messenger.account import OpenAccount
from allium.messenger.errors import ApiError, unknown
from allium.messenger.hub import Hub
from allium.messenger.jobs import Jobs
from allium.messenger.keychain import Keychain
from allium.messenger.places import Places
from allium.messenger.views import AccountView, StateView
from allium.messenger.web_push import PushServer

_log = logging.getLogger(__name__)
MAX_ACCOUNTS = 32
#: How often it is looked whether to lock, seconds.
LOOK_SECONDS = 5.0


class Service:
    """The accounts, and what happens to them."""

    def __init__(
        self,
        places: Places,
        *,
        seeds: Sequence[str] = (),
        version: str = "",
        file_server: FileServer | None = None,
        push_server: PushServer | None = None,
        gif_provider: str = "",
    ) -> None:
        """Without `seeds` it is mainnet; `file_server` is where files are sent, if not where all clients do.

        `push_server` wakes browsers, if one is set; `gif_provider` is asked for moving pictures in GIPHY's place.
        """
        self.push_server, self._gif_provider = push_server, gif_provider
        self.places, self.version, self._file_server = places, version, file_server
        self._seeds = tuple(seeds) or MAINNET
        self.hub, self.keychain = Hub(), Keychain(places)
        self.jobs = Jobs(self.hub)
        self._open: dict[str, OpenAccount] = {}
        self._failed: dict[str, str] = {}
        self._changing = asyncio.Lock()
        self._locked = False
        self._started = asyncio.Event()
        self._used = asyncio.get_running_loop().time()
        self._watching = asyncio.create_task(self._watch())

    # --- its life

    async def start(self) -> None:
        """Opens all accounts, unless a password locks them."""
        try:
            async with self._changing:
                self._locked = self.has_password()
                if not self._locked:
                    await self._open_all(None)
            if self._locked and (password := await self.keychain.get()) is not None:
                # It may have been changed elsewhere; then it is typed.
                with contextlib.suppress(ApiError):
                    await self.unlock(password)
        finally:
            self._started.set()

    async def started(self) -> None:
        """Returns when the accounts are open, or locked."""
        await self._started.wait()

    async def close(self) -> None:
        """Closes everything."""
        self._watching.cancel()
        async with self._changing:
            self.hub.close()
            await self._close_all()

    def has_password(self) -> bool:
        """Whether a password locks the accounts."""
        return any(keys.has_password(self.places.database(each)) for each in self.places.known())

    async def _open_all(self, password: str | None) -> None:
        self._failed.clear()
        await asyncio.gather(*(self._open_one(each, password) for each in self.places.known()))

    async def _open_one(self, number: str, password: str | None) -> None:
        path = self.places.database(number)
        own = password if keys.has_password(path) else None
        try:
            session = await Session.open(path, password=own, seeds=self._seeds)
        except Exception as error:
            # One that cannot be opened hinders no other.
            _log.error("account %s cannot be opened: %s", number, type(error).__name__)
            self._failed[number] = str(error) if isinstance(error, DatabaseError) else type(error).__name__
            return
        await self._add(number, session)

    async def _add(self, number: str, session: Session) -> OpenAccount:
        if self._file_server is not None:
            await session.files.set_server(self._file_server)
        place = self.places.account(number)
        opened = self._open[number] = OpenAccount(number, place, session, self.hub, self._gif_provider)
        return opened

    async def _close_all(self) -> None:
        await self.jobs.close()
        accounts = list(self._open.values())
        self._open.clear()
        results = await asyncio.gather(*(each.close() for each in accounts), return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                _log.error("an account was closed badly: %s", type(result).__name__)

    # --- what there is

    @property
    def locked(self) -> bool:
        """Whether a password is wanted."""
        return self._locked

    def account(self, number: str) -> OpenAccount:
        """An open account; `ApiError` for any other."""
        if self._locked:
            raise ApiError("locked", "The messenger is locked; enter its password.")
        found = self._open.get(number)
        if found is None:
            if number in self._failed:
                raise ApiError("refused", f"This account cannot be opened: {self._failed[number]}.")
            raise unknown("account")
        return found

    @property
    def network(self) -> Literal["mainnet", "devnet"]:
        """Which network it is in."""
        return "mainnet" if self._seeds == MAINNET else "devnet"

    async def state(self) -> StateView:
        """Everything that a page asks for first."""
        async with self._changing:
            accounts = [] if self._locked else await self._views()
        return StateView(
            version=self.version,
            locked=self._locked,
            network=self.network,
            accounts=accounts,
            password=self.has_password(),
            keychain=self.keychain.is_on,
            auto_lock_minutes=self.auto_lock_minutes,
        )

    async def _views(self) -> list[AccountView]:
        found: list[AccountView] = []
        for number in self.places.known():
            if (opened := self._open.get(number)) is not None:
                found.append(await opened.view())
            elif (error := self._failed.get(number)) is not None:
                found.append(AccountView(id=number, account_id="", display_name="", open=False, error=error))
        return found

    # --- making accounts

    async def add(self, display_name: str, phrase: str | None, password: str | None) -> AccountView:
        """A new account, or a restored one, which keeps its name if none is given.

        `ApiError` if it is here, or the password is another one.
        """
        account = None if phrase is None else Account.from_phrase(phrase)
        if account is None and not display_name.strip():
            raise ApiError("invalid", "Give the account a name; others see it.")
        async with self._changing:
            await self._check_new(password)
            if account is not None:
                self._check_strange(account.account_id)
            number = self.places.new()
            path = self.places.database(number)
            try:
                if phrase is None:
                    session = await Session.create(path, display_name.strip(), seeds=self._seeds, password=password)
                else:
                    session = await Session.restore(path, phrase, seeds=self._seeds, password=password)
                    if display_name.strip():
                        await self._name(session, display_name.strip())
            except BaseException:
                await asyncio.to_thread(self.places.remove, number)
                raise
            opened = await self._add(number, session)
            if account is not None and display_name.strip():
                # What the network has of the account would have the last word.
                opened.start(opened.keep_name(display_name.strip()))
            shown = await opened.view()
        self.hub.tell("account_changed", number)
        return shown

    @staticmethod
    async def _name(session: Session, name: str) -> None:
        try:
            await session.set_display_name(name)
        except BaseException:
            await session.close()
            raise

    async def restore(
        self, backup: Path, *, phrase: str | None, backup_password: str | None, password: str | None
    ) -> AccountView:
        """The account of a backup, with all that was said; `ApiError` as `add`, `DatabaseError`."""
        async with self._changing:
            await self._check_new(password)
            number = self.places.new()
        path = self.places.database(number)
        try:
            # It may take long, and everything else goes on meanwhile.
            await restore_backup(backup, path, phrase=phrase, backup_password=backup_password, password=password)
            session = await Session.open(path, password=password, seeds=self._seeds)
            async with self._changing:
                try:
                    await self._check_new(password)
                    self._check_strange(session.account_id)
                except ApiError:
                    await session.close()
                    raise
                shown = await (await self._add(number, session)).view()
        except BaseException:
            await asyncio.to_thread(self.places.remove, number)
            raise
        self.hub.tell("account_changed", number)
        return shown

    async def _check_new(self, password: str | None) -> None:
        if self._locked:
            raise ApiError("locked", "The messenger is locked; enter its password.")
        if len(self.places.known()) >= MAX_ACCOUNTS:
            raise ApiError("refused", f"There are {MAX_ACCOUNTS} accounts already; remove one first.")
        await self._check_password(password)

    def _check_strange(self, account_id: str) -> None:
        if any(each.session.account_id == account_id for each in self._open.values()):
            raise ApiError("refused", "This account is on this device already.")

    async def _check_password(self, password: str | None) -> None:
        locked = [each for each in self.places.known() if keys.has_password(self.places.database(each))]
        if locked:
            if not await asyncio.to_thread(passwords.opens, self.places.database(locked[0]), password or ""):
                raise ApiError("forbidden", "This is not the messenger's password; all its accounts have the same one.")
        elif password is not None:
            for opened in self._open.values():
                await opened.session.set_password(password)

    async def remove(self, number: str, *, everywhere: bool) -> Sequence[str]:
        """Deletes an account from this device, with `everywhere` from the network first.

        The keys of nodes that did not prove that they deleted it: then it stays.
        """
        if everywhere and (left := await self.account(number).session.erase(everywhere=True)):
            return left
        async with self._changing:
            if self._failed.pop(number, None) is None:
                opened = self.account(number)
                del self._open[number]
                await self.jobs.end(number)
                await opened.close()
            await asyncio.to_thread(self.places.remove, number)
        self.hub.tell("account_changed", number)
        return ()

    # --- locking

    async def lock(self) -> None:
        """Closes all accounts until the password is given; `ApiError` without one."""
        async with self._changing:
            if self._locked:
                return
            if not self.has_password():
                raise ApiError("refused", "There is no password yet; set one first.")
            self._locked = True
            await self._close_all()
            self.hub.forget()
            self.hub.tell("locked")
        # What was shown is not kept longer than it must be.
        gc.collect()

    async def unlock(self, password: str) -> None:
        """Opens what this password opens; `ApiError` if that is nothing."""
        async with self._changing:
            if not self._locked:
                return
            locked = [each for each in self.places.known() if keys.has_password(self.places.database(each))]
            for each in locked:
                if await asyncio.to_thread(passwords.opens, self.places.database(each), password):
                    break
            else:
                raise ApiError("forbidden", "This is not the password; try again.")
            await self._open_all(password)
            self._locked = False
            self.used()
        self.hub.tell("unlocked")

    async def set_password(self, new: str, old: str | None) -> None:
        """One password for all accounts that are open."""
        async with self._changing:
            if self._locked:
                raise ApiError("locked", "The messenger is locked; enter its password.")
            if not self._open:
                raise ApiError("refused", "Make an account first.")
            for opened in self._open.values():
                path = self.places.database(opened.id)
                if keys.has_password(path) and not await asyncio.to_thread(passwords.opens, path, old or ""):
                    raise ApiError("forbidden", "This is not the password that is set; try again.")
            for opened in self._open.values():
                has = keys.has_password(self.places.database(opened.id))
                await opened.session.set_password(new, old=old if has else None)
            if self.keychain.is_on:
                await self.keychain.put(new)

    async def keep_password(self, password: str) -> None:
        """Puts the password into the system's keychain, which opens the messenger at its next starts."""
        locked = [each for each in self.places.known() if keys.has_password(self.places.database(each))]
        if not locked:
            raise ApiError("refused", "There is no password yet; set one first.")
        if not await asyncio.to_thread(passwords.opens, self.places.database(locked[0]), password):
            raise ApiError("forbidden", "This is not the password; try again.")
        await self.keychain.put(password)

    async def forget(self) -> None:
        """Removes all accounts and everything else that the messenger keeps on this machine."""
        async with self._changing:
            await self._close_all()
            self._failed.clear()
            self._locked = False
            await self.keychain.remove()
            await asyncio.to_thread(self.places.forget)
            self.hub.forget()
        self.hub.tell("account_changed")

    # --- locking by itself

    @property
    def auto_lock_minutes(self) -> int:
        """After so many minutes without a page; 0 never."""
        found = self.places.read_settings().get("auto_lock_minutes", 0)
        return found if isinstance(found, int) and found >= 0 else 0

    def set_auto_lock(self, minutes: int) -> None:
        """0: never."""
        self.places.change_settings(auto_lock_minutes=minutes)

    def used(self, ago: float = 0.0) -> None:
        """A page asked for something, so many seconds from now."""
        self._used = asyncio.get_running_loop().time() + ago

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            minutes = self.auto_lock_minutes
            if minutes and not self._locked and asyncio.get_running_loop().time() - self._used > minutes * 60:
                try:
                    # Without a password there is nothing to lock with; the setting waits for one.
                    if self.has_password():
                        await self.lock()
                except Exception as error:
                    # It is tried again.
                    _log.error("it was not locked: %s", type(error).__name__)
