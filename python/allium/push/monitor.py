"""What nodes tell of new messages: each account is subscribed to at some of its swarm's (`spec/node-rpc` §4.17).

A subscription at a node lasts for 65 minutes and as long as its connection, so it is made again before that, and
whenever the connection or the swarm is another one. Its signature is the client's.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterable, Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import zmq
import zmq.asyncio

from allium import _native
from allium.base import log
from allium.base.endpoint import Endpoint
from allium.client import bencode
from allium.client.bencode import BencodeError, Value
from allium.membership.omq import OmqConnection, OmqError
from allium.push import payload
from allium.push.payload import Message
from allium.push.subscription import Subscription

if TYPE_CHECKING:
    from allium._native import Network, NodeEntry

#: Before a node forgets a subscription; some of it is left to chance, so that not all are renewed at once.
RENEW_SECONDS = 55 * 60.0
#: What a node takes in one request.
_BATCH = 100
_RETRY_SECONDS = 5.0
#: A node that is not connected to for so long is passed over, and for how long.
_PATIENCE_SECONDS, _AVOID_SECONDS = 30.0, 600.0
_LOOK_SECONDS = 5.0
#: Accounts whose swarm is computed in one go.
_STEP = 2000
_NO_SWARM = 2**64 - 1
#: Two for each connection.
_MOST_SOCKETS = 65_536

OnMessage = Callable[[Message], None]
Lookup = Callable[[bytes], Sequence[Subscription]]


class MonitorCounts:
    """What has become of subscriptions at nodes."""

    def __init__(self) -> None:
        self.made = self.refused = self.nonsense = 0


class _Place(NamedTuple):
    """A node, as it is connected to."""

    ed25519: str
    x25519: str
    ip: str
    port: int


class Monitor:
    """The subscriptions of all accounts at all swarms."""

    def __init__(self, lookup: Lookup, told: OnMessage, members: int, renew_seconds: float = RENEW_SECONDS) -> None:
        """`lookup`: an account's subscriptions. `told` is called with each message, once for each node."""
        self._lookup = lookup
        self._told = told
        self._members = members
        self._renew_seconds = renew_seconds
        self._context = zmq.asyncio.Context()
        self._context.set(zmq.MAX_SOCKETS, _MOST_SOCKETS)
        self._accounts: dict[int, set[bytes]] = {}
        self._swarm_ids: list[int] = []
        self._places: dict[int, list[_Place]] = {}
        self._links: dict[_Place, _Link] = {}
        self._avoided: dict[_Place, float] = {}
        self._changed = asyncio.Lock()
        self.counts = MonitorCounts()

    @property
    def connected(self) -> int:
        """Nodes that are connected to."""
        return sum(link.connection.connected for link in self._links.values())

    @property
    def wanted(self) -> int:
        """Nodes that are to be connected to."""
        return len(self._links)

    @property
    def swarms(self) -> int:
        """Swarms that have an account."""
        return sum(bool(accounts) for accounts in self._accounts.values())

    async def run(self, networks: AsyncIterable[Network], accounts: Iterable[bytes]) -> None:
        """Follows the network until cancelled, beginning with these accounts."""
        waiting = list(accounts)
        watching = asyncio.create_task(self._watch())
        try:
            async for network in networks:
                async with self._changed:
                    await self._replace(network, waiting)
                waiting = []
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await self._end(list(self._links))
            self._context.destroy(linger=0)

    async def add(self, account: bytes) -> None:
        """The account has another subscription; nodes hear of it at once."""
        async with self._changed:
            swarm = self._swarm_of(account)
            if swarm is None:
                # It is found once there is a network.
                self._accounts.setdefault(_NO_SWARM, set()).add(account)
                return
            self._accounts.setdefault(swarm, set()).add(account)
            await self._choose([swarm])
            for link in self._links_of(swarm):
                link.add(account)

    async def remove(self, account: bytes) -> None:
        """The account has no subscription any more. Nodes forget it by themselves."""
        async with self._changed:
            swarm = self._swarm_of(account)
            for known in (_NO_SWARM, swarm):
                if known is not None and account in self._accounts.get(known, ()):
                    self._accounts[known].discard(account)
                    if not self._accounts[known]:
                        await self._choose([known])

    def _swarm_of(self, account: bytes) -> int | None:
        return _native.swarm_of(account.hex(), self._swarm_ids) if self._swarm_ids else None

    def _links_of(self, swarm: int) -> Iterator[_Link]:
        return (self._links[place] for place in self._places.get(swarm, ()) if place in self._links)

    async def _replace(self, network: Network, waiting: Iterable[bytes]) -> None:
        places: dict[int, list[_Place]] = {}
        for node in sorted(network["nodes"], key=lambda node: node["pubkey_ed25519"]):
            if node["swarm_id"] != _NO_SWARM and node["omq_port"] and node["ip"] != "0.0.0.0":
                places.setdefault(node["swarm_id"], []).append(_place(node))
        self._places = places
        ids = sorted(places)
        accounts = [*waiting, *self._accounts.pop(_NO_SWARM, ())]
        if ids != self._swarm_ids:
            accounts += [account for each in self._accounts.values() for account in each]
            self._swarm_ids, self._accounts = ids, {}
        for start in range(0, len(accounts), _STEP):
            step = accounts[start : start + _STEP]
            for account, swarm in await asyncio.to_thread(_swarms, step, ids):
                self._accounts.setdefault(_NO_SWARM if swarm is None else swarm, set()).add(account)
        there = {place for each in places.values() for place in each}
        await self._end([place for place in self._links if place not in there])
        await self._choose(list(self._accounts))
        for swarm, held in self._accounts.items():
            for link in self._links_of(swarm):
                link.replace(held)

    async def _choose(self, swarms: Collection[int]) -> None:
        """Connects to as many nodes of these swarms as are to be, and to no others of them."""
        now = time.monotonic()
        for swarm in swarms:
            places = self._places.get(swarm, [])
            usable = sorted(places, key=lambda place: self._avoided.get(place, 0.0) > now)
            chosen = set(usable[: self._members]) if self._accounts.get(swarm) else set()
            await self._end([place for place in places if place in self._links and place not in chosen])
            for place in chosen - self._links.keys():
                self._links[place] = _Link(self, place, set(self._accounts[swarm]))
            if not self._accounts.get(swarm):
                self._accounts.pop(swarm, None)

    async def _end(self, places: Sequence[_Place]) -> None:
        await asyncio.gather(*(self._links.pop(place).end() for place in places))

    async def _watch(self) -> None:
        """Turns to other nodes where one is not to be reached."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            async with self._changed:
                now = time.monotonic()
                self._avoided = {place: until for place, until in self._avoided.items() if until > now}
                lost = {place for place, link in self._links.items() if link.lost_for(now) > _PATIENCE_SECONDS}
                if lost:
                    self._avoided |= dict.fromkeys(lost, now + _AVOID_SECONDS)
                    await self._choose([swarm for swarm, places in self._places.items() if lost & set(places)])

    # --- what links use

    def connection(self, place: _Place) -> OmqConnection:
        """A connection to a node, which tells us of messages."""
        endpoint = Endpoint(f"tcp://{place.ip}:{place.port}", bytes.fromhex(place.x25519))
        connection = OmqConnection(endpoint, self._context)
        connection.on_notify[b"notify.message"] = self._take
        return connection

    def _take(self, parts: list[bytes]) -> None:
        try:
            message = _message(parts)
        except (BencodeError, ValueError, KeyError, IndexError):
            self.counts.nonsense += 1
            return
        self._told(message)

    def requests(self, account: bytes) -> list[bytes]:
        """What a node is asked for an account: one for each signature that is needed to have all namespaces."""
        found = sorted(self._lookup(account), key=lambda one: (one.data, one.permission.signed_at), reverse=True)
        asked: list[bytes] = []
        covered: set[int] = set()
        for one in found:
            if not covered.issuperset(one.namespaces):
                covered.update(one.namespaces)
                asked.append(request(one))
        return asked

    @property
    def renew_seconds(self) -> float:
        """Until the next renewal."""
        return self._renew_seconds * random.uniform(0.9, 1.0)  # noqa: S311 - nobody has to guess it


class _Link:
    """A node, and the accounts that it tells of."""

    def __init__(self, monitor: Monitor, place: _Place, accounts: set[bytes]) -> None:
        self._monitor = monitor
        self._accounts = accounts
        #: Of which the node does not know yet.
        self._fresh: set[bytes] = set()
        self._wake = asyncio.Event()
        self._anew = True
        self._since = time.monotonic()
        self._log = log.get("push")
        self._place = place
        self.connection = monitor.connection(place)
        self.connection.on_connect.append(self._connected)
        self._task = asyncio.create_task(self._run(), name="push link")

    def lost_for(self, now: float) -> float:
        """Seconds without a connection."""
        if self.connection.connected:
            self._since = now
        return now - self._since

    def add(self, account: bytes) -> None:
        """The node has to hear of an account's subscriptions."""
        self._accounts.add(account)
        self._fresh.add(account)
        self._wake.set()

    def replace(self, accounts: set[bytes]) -> None:
        """The accounts of its swarm are these."""
        self._fresh |= accounts - self._accounts
        self._accounts = set(accounts)
        self._wake.set()

    def _connected(self) -> None:
        self._anew = True
        self._wake.set()

    async def end(self) -> None:
        """Hangs up."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        async with self.connection:
            pause = 0.0
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
                whole = self._anew or not self._wake.is_set()
                self._wake.clear()
                self._anew = False
                fresh, self._fresh = (set(self._accounts) if whole else self._fresh), set()
                try:
                    await self._subscribe(fresh)
                    pause = self._monitor.renew_seconds
                except OmqError as error:
                    self._log.debug("a node was not subscribed to", node=self._place.ed25519, reason=str(error))
                    self._fresh |= fresh
                    self._anew = self._anew or whole
                    pause = _RETRY_SECONDS

    async def _subscribe(self, accounts: Iterable[bytes]) -> None:
        batch: list[bytes] = []
        for account in accounts:
            batch += self._monitor.requests(account) if account in self._accounts else ()
            while len(batch) >= _BATCH:
                await self._ask(batch[:_BATCH])
                del batch[:_BATCH]
        if batch:
            await self._ask(batch)

    async def _ask(self, batch: Sequence[bytes]) -> None:
        parts = await self.connection.request("monitor.messages", b"l%be" % b"".join(batch))
        counts = self._monitor.counts
        try:
            told = bencode.decode(parts[0])
        except (BencodeError, IndexError):
            raise OmqError("its answer makes no sense") from None
        answers = told if isinstance(told, list) else [told]
        made = sum(isinstance(one, dict) and one.get(b"success") == 1 for one in answers)
        counts.made += made
        counts.refused += len(batch) - made
        for one in answers:
            if isinstance(one, dict) and b"errcode" in one:
                self._log.debug("a node refuses a subscription", node=self._place.ed25519, code=one[b"errcode"])


def request(subscription: Subscription) -> bytes:
    """A subscription as a node takes it."""
    given = subscription.permission
    fields: dict[bytes, object] = {
        b"d": int(subscription.data),
        b"n": list(subscription.namespaces),
        b"s": given.signature,
        b"t": given.signed_at,
    }
    if given.ed25519 is None:
        fields[b"p"] = given.account
    else:
        fields[b"P"] = given.ed25519
    if given.subaccount is not None:
        fields[b"T"], fields[b"S"] = given.subaccount
    return bencode.encode(fields)


def _message(parts: Sequence[bytes]) -> Message:
    fields = bencode.decode_dict(parts[0])
    account, name = _bytes(fields[b"@"]), _bytes(fields[b"h"])
    data = fields.get(b"~")
    if len(account) != 33 or len(name) > 100 or not (data is None or isinstance(data, bytes)):
        raise ValueError
    namespace, timestamp, expiry = (_whole(fields[key]) for key in (b"n", b"t", b"z"))
    message = Message(account, name.decode("ascii"), namespace, timestamp, expiry, data)
    if data is not None and not payload.is_named(message):
        # A node that lies must not keep the true one from being told.
        raise ValueError
    return message


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError
    return value


def _whole(value: Value) -> int:
    if not isinstance(value, int):
        raise ValueError
    return value


def _place(node: NodeEntry) -> _Place:
    return _Place(node["pubkey_ed25519"], node["pubkey_x25519"], node["ip"], node["omq_port"])


def _swarms(accounts: Sequence[bytes], ids: list[int]) -> list[tuple[bytes, int | None]]:
    return [(account, _native.swarm_of(account.hex(), ids) if ids else None) for account in accounts]
