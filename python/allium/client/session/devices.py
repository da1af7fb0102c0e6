"""`session.devices`: the account's device group, whose devices share keys that soon change (`spec/protocol-v2` §5, §6).

Nothing of it happens before the user creates a group, or has this device linked to one; that turns
`Settings.protocol_v2` on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from allium.client.errors import NetworkError, RefusedError
from allium.client.polling import poll_everyone
from allium.client.protocol_v2 import account_keys, device_group, linking
from allium.client.protocol_v2.emoji import Emoji
from allium.client.protocol_v2.linking import LinkRequest
from allium.client.session import device_inbound, device_steps, inbound
from allium.client.session.core import Work
from allium.client.session.device_state import DeviceState, Standing, exists
from allium.client.swarm import Delete, Outcome, Store, Stored, sequence, store

if TYPE_CHECKING:
    from allium.client.session.session import Session

#: Before what could not be stored is tried again, and at most; seconds.
_BACKOFF, _MOST_BACKOFF = 3.0, 300.0
#: Nothing is waited for longer, as the clock may be set meanwhile; seconds.
_LONGEST_WAIT = 600.0
#: Pushes of one round: each after the first because something changed during the one before.
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the group."""

    #: 64 hex digits.
    id: str
    #: What its user called it; of any text one line.
    description: str
    #: `i` for iOS, `a` for Android, `d` for desktop, another word, or none.
    kind: str
    version: tuple[int, int, int]
    #: When it was last told of, Unix seconds.
    timestamp: int
    #: Whether it is the one that this runs on.
    is_this: bool


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A device that asks to be linked: another one, or this one."""

    #: 64 hex digits.
    id: str
    description: str
    #: 21; the first seven are shown, all on demand. They have to be the same on both devices.
    emoji: tuple[Emoji, ...]
    #: Whether a device of the group has this id, whose place it would take: people are to be told.
    replaces: bool
    encoded: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeviceGroup:
    """What this device knows of the group."""

    standing: Standing
    devices: tuple[Device, ...]
    #: Other groups of the account that there are: by id, their four emoji. More than one is a warning.
    groups: dict[bytes, tuple[Emoji, ...]]


class Devices:
    """The account's devices that have agreed on one group. Ids are 64 hex digits."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._wanted = asyncio.Event()
        self._pushing = asyncio.Lock()

    # --- what there is

    async def group(self) -> DeviceGroup:
        """As it was last heard of; `sync` hears what is new."""
        return await self._session.run(_group)

    async def list(self) -> Sequence[Device]:
        """The devices of the group, this one first; none while it is in no group."""
        return (await self.group()).devices

    async def requests(self) -> Sequence[DeviceRequest]:
        """Devices that ask to be linked, for ten minutes each. Their emoji take a moment to compute."""
        found = await self._session.run(_requests)
        return [await asyncio.to_thread(_shown, request, replaces) for request, replaces in found]

    # --- what a user does

    async def create(self, description: str = "") -> None:
        """Makes a group of this device alone, on the account's first device; publishes keys.

        `description` has at most 64 bytes. Whoever of the account's devices is not in it cannot read what is sent to
        the account from then on. `ValueError` if this device is in a group already. Raises `NetworkError`.
        """
        await self._look()
        await self._session.run(device_steps.create, description)
        await self.push()

    async def link(self, description: str = "", *, group: bytes | None = None) -> DeviceRequest:
        """Asks to be linked to the group, of several the newest one, or that of the id `group`.

        Show the emoji of what this returns; once the user sees the same on a device of the group, call `confirm`.
        `ValueError` if there is no group, or this device is in one. Raises `NetworkError`.
        """
        await self._look()
        request, sealed = await self._session.run(device_steps.ask, description, group)
        session = self._session
        await store(
            session.network,
            session.account_id,
            Store(device_inbound.NAMESPACE, sealed, linking.TTL * 1000),
            session.credentials,
        )
        return await asyncio.to_thread(_shown, request, False)

    async def confirm(self, request: DeviceRequest) -> None:
        """The user of this device has seen the same emoji on the other one: this one joins once that has accepted."""
        await self._session.run(inbound.confirm_link, request.encoded, self._session.groups)

    async def accept(self, device_id: str) -> None:
        """The user has seen the same emoji on the device that asks: it is let in. `ValueError` if none of this id asks.

        Raises `NetworkError`; it is done as soon as it can be then.
        """
        await self._session.run(device_steps.accept, _id(device_id))
        await self.push()

    async def refuse(self, device_id: str) -> bool:
        """Forgets that a device asks; False if it did not."""
        return await self._session.run(device_steps.refuse, _id(device_id))

    async def remove(self, device_id: str) -> None:
        """Removes another device of the group and replaces the key that it has: it reads nothing that comes later.

        `ValueError` if it is not there. Raises `NetworkError`; it is done as soon as it can be then.
        """
        await self._session.run(device_steps.remove, _id(device_id))
        await self.push()

    async def leave(self) -> None:
        """Takes this device out of the group; the last one ends it and its record. Raises `NetworkError`."""
        await self._session.run(device_steps.leave)
        await self.push()

    # --- what goes on by itself

    async def sync(self) -> None:
        """Replaces keys whose time is over, and stores what is not in the swarm yet. Raises `NetworkError`."""
        await self._tend()
        await self.push()

    async def push(self) -> None:
        """Returns when all is in the swarm. Raises `NetworkError` or `RefusedError`; nothing is lost then."""
        async with self._pushing:
            for _ in range(_ROUNDS):
                push = await self._session.run(device_steps.begin)
                if push is None:
                    return
                await self._stored(push)

    async def _stored(self, push: device_steps.DevicePush) -> None:
        session = self._session
        steps: list[Store | Delete] = []
        if push.message:
            steps.append(Store(device_inbound.NAMESPACE, push.message, device_group.TTL * 1000))
        if push.record:
            steps.append(Store(account_keys.NAMESPACE, push.record, account_keys.RECORD_TTL * 1000))
        if push.obsolete:
            steps.append(Delete(push.obsolete))
        results = await sequence(session.network, session.credentials, steps)
        for result in results:
            if isinstance(result, Outcome) and not result.ok:
                raise RefusedError(result.code, result.reason)
        [told, *_] = [*(each for each in results if isinstance(each, Stored)), None]
        await session.run(device_steps.confirm_push, push, told.hash if told else "", told.timestamp if told else 0)

    async def _tend(self) -> None:
        session = self._session
        due = await session.run(device_steps.next_due)
        if due is not None and due <= session.network.now() / 1000:
            # Another device may have done it.
            await session.poll()
        await session.run(device_steps.tend)

    def wake(self) -> None:
        """Something changed."""
        self._wanted.set()

    async def run(self) -> None:
        """For ever: what `sync` does, when it is due."""
        failures = 0
        while True:
            self._wanted.clear()
            try:
                await self.sync()
                failures, wait = 0, await self._wait()
            except (NetworkError, RefusedError):
                wait = min(_BACKOFF * 2**failures, _MOST_BACKOFF)
                failures = min(failures + 1, 8)
            with contextlib.suppress(TimeoutError):
                # Not `wait_for`, which forgets that it was cancelled if the event comes at the same moment.
                async with asyncio.timeout(wait):
                    await self._wanted.wait()

    async def _wait(self) -> float | None:
        due = await self._session.run(device_steps.next_due)
        return None if due is None else min(max(1.0, due - self._session.network.now() / 1000), _LONGEST_WAIT)

    async def _look(self) -> None:
        """Reads what there is of groups, of all members of the swarm: none is trusted alone to have it all."""
        session = self._session
        results = await poll_everyone(session.network, session.credentials, (device_inbound.NAMESPACE,))
        await session.run(inbound.looked, results, session.groups)


def _id(device_id: str) -> bytes:
    try:
        found = bytes.fromhex(device_id)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise ValueError("a device's id is 64 hex digits")
    return found


def _group(work: Work) -> DeviceGroup:
    if not exists(work):
        return DeviceGroup(Standing.UNKNOWN, (), {})
    state = DeviceState.load(work)
    listed = [
        Device(
            each.hex(),
            device_steps.described(record),
            " ".join(record.kind.split()),
            record.version,
            record.timestamp,
            each == state.device_id,
        )
        for each, record in state.payload.devices.items()
    ]
    groups = {each: tuple(linking.group_emoji(each)) for each in state.groups}
    return DeviceGroup(state.standing, tuple(sorted(listed, key=lambda each: (not each.is_this, each.id))), groups)


def _requests(work: Work) -> Sequence[tuple[LinkRequest, bool]]:
    if not exists(work):
        return []
    state = DeviceState.load(work)
    if not state.in_group:
        return []
    read = [
        LinkRequest.read(work.account, encoded)
        for encoded, time in state.requests.values()
        if time + linking.TTL > work.seconds
    ]
    return [(request, linking.replaces(state.payload, request)) for request in read]


def _shown(request: LinkRequest, replaces: bool) -> DeviceRequest:
    described = device_steps.described(request.record)
    return DeviceRequest(request.device_id.hex(), described, tuple(request.emoji()), replaces, request.encoded)
