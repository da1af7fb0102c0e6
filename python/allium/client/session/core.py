"""An account's state between the network and its user: database, configs, and the transactions over both.

Everything in here runs on the session's worker, knows no socket and takes its clock from outside. One transaction is
one `Work`: what it changed in the database and the configs is committed together or not at all, and only then do its
events become known.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec, TypeVar

from allium.client.account import Account
from allium.client.database import Database, DatabaseError
from allium.client.messages import pro
from allium.client.messages.kinds import Call, Profile
from allium.client.session.configs import AccountConfigs
from allium.client.session.device_state import Readers
from allium.client.session.events import Event
from allium.client.session.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Work:
    """One transaction."""

    account: Account
    database: Database
    configs: AccountConfigs
    #: Unix milliseconds by the nodes' clocks.
    now: int
    #: What opens messages of protocol v2.
    readers: Readers
    #: The Ed25519 key of who makes proofs of Session Pro.
    pro_backend: bytes = pro.BACKEND
    events: list[Event] = field(default_factory=list)
    #: Whether something was put into the outbox.
    queued: bool = False
    #: Hashes that the own swarm need not keep any longer.
    deletions: list[str] = field(default_factory=list)
    #: Hashes that the own swarm is to delete earlier: -> Unix milliseconds.
    shortened: dict[str, int] = field(default_factory=dict)

    #: Steps of calls that are sent when what came is taken: Account ID and step.
    replies: list[tuple[str, Call]] = field(default_factory=list)
    #: Messages that another device has read, and whose timers it began: the own swarm has been told when they end.
    read_elsewhere: list[str] = field(default_factory=list)
    #: Whether something of the device group changed, and whether secrets were deleted.
    devices_changed: bool = False
    shred: bool = False

    #: After the commit: whether a config is to be pushed, our profile, and when the next message disappears.
    needs_push: bool = False
    profile: Profile | None = None
    next_expiry: int | None = None

    @property
    def own_id(self) -> str:
        """Our Account ID."""
        return self.account.account_id

    @property
    def seconds(self) -> int:
        """Now in Unix seconds, as configs have it."""
        return self.now // 1000

    @property
    def settings(self) -> Settings:
        """What the user has set on this device."""
        return Settings.load(self.database.facts)

    def tell(self, event: Event) -> None:
        """The event becomes known when the transaction is committed."""
        self.events.append(event)


class Core:
    """Owns the database and the configs. Every method runs on the worker."""

    def __init__(self, account: Account, database: Database, now: Callable[[], int]) -> None:
        """`now` gives Unix milliseconds by the nodes' clocks."""
        self.account = account
        self.database = database
        self.now = now
        self.configs = AccountConfigs(account)
        self.readers = Readers(account)
        self.pro_backend = pro.BACKEND
        #: Called after each commit.
        self.committed: Callable[[Work], None] = lambda work: None
        self._load()

    def _load(self) -> None:
        self.configs = AccountConfigs(self.account)
        self.configs.load(self.database.configs.of(self.account.account_id))

    def run(self, function: Callable[Concatenate[Work, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One transaction: what `function` returns; what it raises leaves everything as it was."""
        work = Work(self.account, self.database, self.configs, self.now(), self.readers, self.pro_backend)
        try:
            with self.database.transaction():
                result = function(work, *args, **kwargs)
                for namespace, dump in self.configs.dirty().items():
                    self.database.configs.set(self.account.account_id, namespace, dump)
                work.next_expiry = self.database.messages.next_expiry()
        except BaseException:
            # The configs may have been edited; what is in the database was not.
            self._load()
            raise
        if work.shred:
            self.readers.forget()
            with contextlib.suppress(DatabaseError):
                # What was committed is; the log is emptied sooner or later.
                self.database.secrets.shred()
        work.needs_push = self.configs.needs_push
        work.profile = self.configs.shown_profile
        self.committed(work)
        return result

    def close(self) -> None:
        """Closes the database."""
        self.database.close()
