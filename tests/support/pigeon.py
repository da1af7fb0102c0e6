"""Sessions' cores without a network: what one puts into its outbox another one's poll brings, by a set clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from allium.client.account import Account
from allium.client.database import Database
from allium.client.database.rows import OutboxItem
from allium.client.messages import delivery
from allium.client.messages.direct import seal
from allium.client.messages.kinds import Letter
from allium.client.polling import PollResult, Received
from allium.client.pool import Snode
from allium.client.protocol_v2 import account_keys, device_group
from allium.client.session import device_steps, inbound, peer_keys, pushing, sending
from allium.client.session.core import Core, Work
from allium.client.session.events import Event
from allium.client.session.group import GroupFeature
from allium.client.swarm import Stored, message_hash

P = ParamSpec("P")
T = TypeVar("T")

#: November 2023; Unix milliseconds.
BEGIN = 1_700_000_000_000
NODE = Snode("127.0.0.1", 1, bytes(32), bytes(32))


@dataclass
class Sky:
    """One clock, and all swarms, which keep what they get for as long as it is to be kept."""

    now: int = BEGIN
    swarms: dict[str, list[Received]] = field(default_factory=dict)

    def put(self, pubkey: str, namespace: int, data: bytes, ttl: int) -> Stored:
        """Stores bytes; twice the same are one message."""
        name = message_hash(pubkey, namespace, data)
        here = self.swarms.setdefault(pubkey, [])
        if not any(each.hash == name for each in here):
            here.append(Received(namespace, name, data, self.now, self.now + ttl))
        return Stored(name, self.now, self.now + ttl, ())


class NoGroups:
    """Of an account that is in none."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"no group is asked for {name}")


class Device:
    """A core, and what it has told."""

    def __init__(self, sky: Sky, path: Path, account: Account | None = None, name: str = "") -> None:
        self.sky = sky
        self.account = account or Account.new()
        self.path = path
        self.groups = cast(GroupFeature, NoGroups())
        self.events: list[Event] = []
        self.deletions: list[str] = []
        self.shortened: dict[str, int] = {}
        self.read_elsewhere: list[str] = []
        self._open()
        if name:
            self.run(lambda work: work.configs.profile.set_name(name, work.seconds))

    def _open(self) -> None:
        database = Database.open(self.path, None)
        # A restart is no power cut: what the system was given is there.
        database.connection.raw.pragma("synchronous", "off")
        self.core = Core(self.account, database, lambda: self.sky.now)
        self.core.committed = self._committed

    def _committed(self, work: Work) -> None:
        self.events += work.events
        self.deletions += work.deletions
        self.shortened |= work.shortened
        self.read_elsewhere += work.read_elsewhere

    @property
    def id(self) -> str:
        return self.account.account_id

    @property
    def database(self) -> Database:
        return self.core.database

    def restart(self) -> None:
        """As after a kill: only what is on disk is there."""
        self.core.close()
        self._open()

    def run(self, function: Callable[Concatenate[Work, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self.core.run(function, *args, **kwargs)

    def flush(self) -> int:
        """Stores what is in the outbox; how many items that were."""
        count = 0
        while items := self.run(sending.begin):
            for item in items:
                if item.unsealed:
                    item = self._sealed(item)
                self.run(sending.done, item, self.sky.put(item.pubkey, item.namespace, item.payload, item.ttl))
                count += 1
        return count

    def _sealed(self, item: OutboxItem) -> OutboxItem:
        """As `PeerKeys` does it."""
        if self.run(peer_keys.freshness, item.pubkey) == "old":
            there = [each for each in self.sky.swarms.get(item.pubkey, []) if each.namespace == account_keys.NAMESPACE]
            self.run(peer_keys.learn, item.pubkey, there[-1:], True)
        return self.run(peer_keys.reseal, item)

    def push_devices(self) -> None:
        """Stores what of the device group is to be stored, and deletes what that replaces."""
        self.run(device_steps.tend)
        while push := self.run(device_steps.begin):
            stored = self.sky.put(self.id, 21, push.message, device_group.TTL * 1000) if push.message else None
            here = self.sky.swarms.get(self.id, [])
            if push.record:
                here = [each for each in here if each.namespace != account_keys.NAMESPACE]
            self.sky.swarms[self.id] = [each for each in here if each.hash not in push.obsolete]
            if push.record:
                self.sky.put(self.id, account_keys.NAMESPACE, push.record, account_keys.RECORD_TTL * 1000)
            self.run(device_steps.confirm_push, push, stored.hash if stored else "", stored.timestamp if stored else 0)

    def push(self) -> None:
        """Stores configs, and deletes what they replace."""
        while pushes := self.run(pushing.begin):
            stored = [
                (
                    each,
                    [
                        self.sky.put(self.id, each.namespace, one, delivery.CONFIG_TTL).hash
                        for one in each.push.payloads
                    ],
                )
                for each in pushes
            ]
            gone = {hash_ for each in pushes for hash_ in each.push.obsolete}
            self.sky.swarms[self.id] = [each for each in self.sky.swarms[self.id] if each.hash not in gone]
            self.run(pushing.confirm, stored)

    def poll(self) -> list[Event]:
        """Everything in the own swarm; what it told."""
        before = len(self.events)
        wanted = self.run(inbound.namespaces)
        there = tuple(
            each for each in self.sky.swarms.get(self.id, []) if each.expiry > self.sky.now and each.namespace in wanted
        )
        cursors = {each.namespace: each.hash for each in there}
        self.run(inbound.receive, PollResult(there, cursors, NODE, False, {}), self.groups)
        return self.events[before:]

    def sync(self) -> list[Event]:
        events = self.poll()
        self.flush()
        self.push()
        return events

    def post(self, letter: Letter, recipient: str, ttl: int = delivery.TTL, rotating: bytes | None = None) -> str:
        """Any letter of this account, whatever its own client thinks of it; its hash. `rotating` is a key of Pro."""
        return self.sky.put(recipient, 0, seal(self.account, recipient, letter, rotating), ttl).hash
