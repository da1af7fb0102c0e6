"""What a device knows of its account's device group, in the database (`spec/protocol-v2` §5).

It lies among the database's secrets: its keys are in no backup, and gone when they have served.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from allium.client.account import Account
from allium.client.protocol_v2 import devices, linking
from allium.client.protocol_v2.account_keys import AccountKey, PublicKeys
from allium.client.protocol_v2.devices import DeviceRecord, Payload, read_payload
from allium.client.protocol_v2.messages import Reader
from allium.client.protocol_v2.primitives import KeyPair, bytes_at, read_dict

if TYPE_CHECKING:
    from allium.client.session.core import Work

_NAME, _PAYLOAD = "device", "device.payload"
#: Requests to be linked that are kept, of others and of our own, and groups that are seen: the newest ones.
MAX_REQUESTS, MAX_ASKED, MAX_GROUPS = 8, 8, 8
#: Messages of the group whose content is known, which the next one replaces.
MAX_HASHES = 200


class Standing(StrEnum):
    """What this device is to its account's device group."""

    #: Nobody has looked yet.
    UNKNOWN = "unknown"
    #: There was none when somebody looked. All devices may just have been away for a month.
    NO_GROUP = "no group"
    #: There is one, or several, of which this device is none.
    OUTSIDE = "outside"
    #: It has asked to be linked.
    WAITING = "waiting"
    MEMBER = "member"
    #: It leaves, and the others do not know yet.
    LEAVING = "leaving"
    #: Another device removed it; its keys are gone.
    REMOVED = "removed"
    #: The group goes on without it, and nobody said why. It writes nothing any more.
    DISPLACED = "displaced"
    #: The group's messages have expired, and there is another one.
    CUT_OFF = "cut off"


@dataclass(frozen=True, slots=True)
class VisibleGroup:
    """A device group of the account that this device is not in."""

    #: What a request to be linked is sealed for, 32 bytes.
    x25519: bytes
    #: When its newest message was stored, Unix milliseconds.
    timestamp: int


@dataclass(frozen=True, slots=True)
class AskedRequest:
    """A request of this device to be linked."""

    #: As the account signed it.
    encoded: bytes = field(repr=False)
    #: Unix seconds.
    time: int
    #: This device's user has seen the same emoji on the other one.
    confirmed: bool = False


@dataclass
class DeviceState:
    """All of it."""

    device_id: bytes
    #: Of the device's keys. Secret.
    seed: bytes = field(repr=False)
    standing: Standing = Standing.UNKNOWN
    #: 8 bytes; empty outside of any.
    group_id: bytes = b""
    payload: Payload = field(default_factory=Payload)
    #: Of messages that say nothing more than `payload`.
    hashes: list[str] = field(default_factory=list)
    #: When the newest message that could be read was stored, Unix milliseconds.
    newest: int = 0
    #: By group id.
    groups: dict[bytes, VisibleGroup] = field(default_factory=dict)
    #: What we asked, the newest last.
    asked: list[AskedRequest] = field(default_factory=list)
    #: What others ask, by device id: as the account signed it, and when it came (Unix seconds).
    requests: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    #: A group's message that admits us by a request which our user has not confirmed.
    held: bytes = field(default=b"", repr=False)
    #: How often something changed since the others were last told; 0 if they know all.
    unpushed: int = 0
    #: The X25519 half of the key that this device has published last; empty if none.
    published: bytes = b""

    @classmethod
    def fresh(cls) -> DeviceState:
        """A device that nobody knows."""
        return cls(secrets.token_bytes(devices.DEVICE_ID_BYTES), secrets.token_bytes(32))

    @classmethod
    def load(cls, work: Work) -> DeviceState:
        """As it was saved; a fresh one where nothing was."""
        stored = work.database.secrets.get(_NAME)
        return cls.fresh() if stored is None else _decoded(stored, work.database.secrets.get(_PAYLOAD) or b"")

    def save(self, work: Work) -> None:
        """In the transaction of what it came by. Keys that it has no longer are nowhere once that is committed."""
        before = {key.seed for key in work.readers.keys(work)}
        if before - {key.seed for key in self.payload.keys}:
            work.shred = True
        work.database.secrets.set(_NAME, _encoded(self))
        work.database.secrets.set(_PAYLOAD, self.payload.encode())
        work.devices_changed = True

    @property
    def pair(self) -> KeyPair:
        """The device's keys. Secret."""
        return devices.device_keys(self.seed)

    @property
    def in_group(self) -> bool:
        """Whether what it writes counts."""
        return self.standing is Standing.MEMBER

    def record(self, now: int, description: str, kind: str, version: tuple[int, ...]) -> DeviceRecord:
        """What it tells of itself at `now`, in Unix seconds."""
        return DeviceRecord.of(self.pair, 1, now, description, kind, version)

    def changed(self, payload: Payload) -> None:
        """Knows something that the others are to be told."""
        self.payload = payload
        self.unpushed += 1


def exists(work: Work) -> bool:
    """Whether this device has ever had to do with a group."""
    return work.database.secrets.get(_NAME) is not None


def current_keys(work: Work) -> PublicKeys | None:
    """The account's own, to seal for our other devices; None unless this device is in the group and that is wanted."""
    if not work.settings.protocol_v2 or not exists(work):
        return None
    state = DeviceState.load(work)
    if not state.in_group or not state.payload.keys:
        return None
    pair = work.readers.pair(state.payload.keys[0])
    return PublicKeys(pair.ml_kem_public, pair.x25519_public)


class Readers:
    """Keys that were derived, until they are others: it takes longer than opening a message."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._keys: tuple[AccountKey, ...] = ()
        self._reader: Reader | None = None
        self._pair: KeyPair | None = None

    def reader(self, work: Work) -> Reader:
        """What opens messages of protocol v2, with the keys that the device has now."""
        keys = self.keys(work)
        if self._reader is None or keys != self._keys:
            self._keys, self._reader = keys, Reader(self._account, keys)
        return self._reader

    def keys(self, work: Work) -> tuple[AccountKey, ...]:
        """All account keys of the device, the current one first. Secret."""
        stored = work.database.secrets.get(_PAYLOAD)
        return read_payload(stored).keys if stored else ()

    def pair(self, key: AccountKey) -> KeyPair:
        """Of the current key."""
        if self._pair is None or self._pair.seed != key.seed:
            self._pair = key.pair()
        return self._pair

    def forget(self) -> None:
        """What was derived of keys that may be gone."""
        self._keys, self._reader, self._pair = (), None, None


def request_id(encoded: bytes) -> bytes:
    """Of which device a request is that was read before."""
    return bytes_at(read_dict(encoded, linking.MAX_BYTES), b"I")


def _encoded(state: DeviceState) -> bytes:
    fields = {
        "id": state.device_id.hex(),
        "seed": state.seed.hex(),
        "standing": state.standing.value,
        "group": state.group_id.hex(),
        "hashes": state.hashes[-MAX_HASHES:],
        "newest": state.newest,
        "groups": [[each.hex(), group.x25519.hex(), group.timestamp] for each, group in _last(state.groups)],
        "asked": [[each.encoded.hex(), each.time, each.confirmed] for each in state.asked[-MAX_ASKED:]],
        "requests": [[encoded.hex(), time] for encoded, time in state.requests.values()],
        "held": state.held.hex(),
        "unpushed": state.unpushed,
        "published": state.published.hex(),
    }
    return json.dumps(fields).encode()


def _last(groups: Mapping[bytes, VisibleGroup]) -> list[tuple[bytes, VisibleGroup]]:
    return sorted(groups.items(), key=lambda item: item[1].timestamp)[-MAX_GROUPS:]


def _decoded(stored: bytes, payload: bytes) -> DeviceState:
    fields, read = json.loads(stored), bytes.fromhex
    state = DeviceState(read(fields["id"]), read(fields["seed"]), Standing(fields["standing"]), read(fields["group"]))
    state.payload = read_payload(payload) if payload else Payload()
    state.hashes, state.newest, state.unpushed = fields["hashes"], fields["newest"], fields["unpushed"]
    state.groups = {read(each): VisibleGroup(read(x25519), time) for each, x25519, time in fields["groups"]}
    state.asked = [AskedRequest(read(encoded), time, confirmed) for encoded, time, confirmed in fields["asked"]]
    state.requests = {request_id(read(encoded)): (read(encoded), time) for encoded, time in fields["requests"]}
    state.held, state.published = read(fields["held"]), read(fields["published"])
    return state
