"""What an account's devices tell each other: who they are, who is gone, the account's keys (`spec/protocol-v2` §5).

Payloads of any number of messages merge to the same in any order, so that devices agree without talking to each other.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from allium.client import bencode, crypto
from allium.client.bencode import Value
from allium.client.protocol_v2 import account_keys
from allium.client.protocol_v2.account_keys import AccountKey
from allium.client.protocol_v2.primitives import (
    ML_KEM_PUBLIC_BYTES,
    SEED_BYTES,
    X25519_BYTES,
    KeyPair,
    ProtocolError,
    bytes_at,
    read_dict,
)

DEVICE_ID_BYTES = 32
MAX_DESCRIPTION_BYTES = 64
#: Devices and those that are gone, after merging: far more than an account has, so that what is kept has an end.
MAX_ENTRIES = 1024
#: A padded payload: 2300 bytes, and one or more blocks.
_BASE_BYTES, _BLOCK_BYTES = 2300, 6400
#: Numbers and times end here, so that there is always a next one.
_END = 1 << 62
_DOMAIN = b"SessionDeviceKeys"


def device_keys(seed: bytes) -> KeyPair:
    """The keys of a device, of 32 random bytes that never leave it. Secret."""
    return KeyPair(seed, _DOMAIN)


class DeviceRecord:
    """What a device tells of itself. What it does not know of another's record, it keeps as it is."""

    __slots__ = ("_fields", "encoded")

    def __init__(self, fields: Mapping[bytes, Value]) -> None:
        """Of a dict as it is in a payload; `ProtocolError` for one without number, time and keys."""
        bytes_at(fields, b"M", ML_KEM_PUBLIC_BYTES)
        bytes_at(fields, b"X", X25519_BYTES)
        for name in (b"#", b"@"):
            number = fields.get(name)
            if not isinstance(number, int) or not 0 <= number < _END:
                raise ProtocolError("a device without a number or a time")
        self._fields = dict(fields)
        #: As it is in payloads and link requests.
        self.encoded = bencode.encode(self._fields)

    @classmethod
    def of(
        cls, keys: KeyPair, seqno: int, timestamp: int, description: str, kind: str = "", version: tuple[int, ...] = ()
    ) -> DeviceRecord:
        """Of a device of ours, at `timestamp` in unix seconds; `kind` and `version` as the properties have them.

        `ValueError` for a description of more than 64 bytes.
        """
        if len(description.encode()) > MAX_DESCRIPTION_BYTES:
            raise ValueError(f"a device's description has at most {MAX_DESCRIPTION_BYTES} bytes")
        fields: dict[bytes, Value] = {b"#": seqno, b"@": timestamp, b"M": keys.ml_kem_public, b"X": keys.x25519_public}
        fields[b"d"] = description.encode()
        major, minor, patch = (*version, 0, 0, 0)[:3]
        optional: dict[bytes, Value] = {b"t": kind.encode(), b"v": major * 10**6 + minor * 10**3 + patch}
        return cls(fields | {name: value for name, value in optional.items() if value})

    def numbered(self, seqno: int) -> DeviceRecord:
        """The same with another number."""
        return DeviceRecord(self._fields | {b"#": seqno})

    @property
    def fields(self) -> Mapping[bytes, Value]:
        """All of it, as it is in a payload."""
        return self._fields

    @property
    def seqno(self) -> int:
        """The record with the highest one is the device's."""
        return self._number(b"#")

    @property
    def timestamp(self) -> int:
        """Unix seconds."""
        return self._number(b"@")

    @property
    def ml_kem(self) -> bytes:
        """1184 bytes."""
        return bytes_at(self._fields, b"M")

    @property
    def x25519(self) -> bytes:
        """32 bytes."""
        return bytes_at(self._fields, b"X")

    @property
    def description(self) -> str:
        """What people know it by, at most 64 bytes of UTF-8; it may be any text."""
        return self._text(b"d")

    @property
    def kind(self) -> str:
        """`i` for iOS, `a` for Android, `d` for desktop; or any text, or none."""
        return self._text(b"t")

    @property
    def version(self) -> tuple[int, int, int]:
        """Of the program that it runs; zeros if it does not say."""
        number = self._number(b"v")
        return number // 10**6, number // 10**3 % 10**3, number % 10**3

    @property
    def rank(self) -> tuple[int, int, bytes, bytes]:
        """Of two records of one device the higher one is what it is now."""
        # Upstream's rules end with the digest; between it and the number, the time is our guess.
        return self.seqno, self.timestamp, crypto.blake2b(8, self.encoded), self.encoded

    def _number(self, name: bytes) -> int:
        value = self._fields.get(name)
        return value if isinstance(value, int) and value > 0 else 0

    def _text(self, name: bytes) -> str:
        value = self._fields.get(name)
        return value[:MAX_DESCRIPTION_BYTES].decode(errors="replace") if isinstance(value, bytes) else ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DeviceRecord) and self.encoded == other.encoded

    def __hash__(self) -> int:
        return hash(self.encoded)

    def __repr__(self) -> str:
        return f"DeviceRecord(#{self.seqno}, {self.description!r})"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A device that is gone for good: its id is never used again."""

    #: Unix seconds.
    time: int
    #: By another device; else it left by itself.
    removed: bool

    def __post_init__(self) -> None:
        if self.time <= 0:
            raise ProtocolError("a device that is gone since no time")

    @property
    def number(self) -> int:
        """As it is in payloads."""
        return self.time if self.removed else -self.time

    @property
    def rank(self) -> tuple[bool, int]:
        """Of two, the higher one is true: removal beats departure, later beats earlier."""
        return self.removed, self.time


Entry: TypeAlias = DeviceRecord | Tombstone


@dataclass(frozen=True, slots=True)
class Payload:
    """What one device knows of the group."""

    #: By device id, 32 bytes. A device that is not in it is as it was.
    entries: Mapping[bytes, Entry] = field(default_factory=dict)
    #: The current one first. Secret.
    keys: tuple[AccountKey, ...] = field(default=(), repr=False)

    @property
    def devices(self) -> dict[bytes, DeviceRecord]:
        """Those that are there, by id."""
        return {each: entry for each, entry in self.entries.items() if isinstance(entry, DeviceRecord)}

    @property
    def gone(self) -> dict[bytes, Tombstone]:
        """Those that are not any more, by id."""
        return {each: entry for each, entry in self.entries.items() if isinstance(entry, Tombstone)}

    def with_entry(self, device_id: bytes, entry: Entry) -> Payload:
        """With one device's entry, if that is newer than what there is of it; see `merged`."""
        return merged(self, Payload({device_id: entry}))

    def encode(self) -> bytes:
        """As it is before it is padded."""
        items: dict[bytes, Value] = {
            b"D": {
                each: entry.number if isinstance(entry, Tombstone) else dict(entry.fields)
                for each, entry in self.entries.items()
            }
        }
        if self.keys:
            items[b"K"] = [_key_fields(key) for key in self.keys]
        return bencode.encode(items)


def padded(payload: bytes) -> bytes:
    """A payload with what hides how much is in it."""
    blocks = max(1, -(-(len(payload) - _BASE_BYTES) // _BLOCK_BYTES))
    return payload.ljust(_BASE_BYTES + blocks * _BLOCK_BYTES, b"\0")


def read_payload(data: bytes) -> Payload:
    """A payload, padded or not; `ProtocolError` for bytes that are none.

    A device or a key in it that cannot be read is left out, which says nothing about it, so that what a newer version
    writes does not hide the rest.
    """
    items = read_dict(data.rstrip(b"\0"))
    listed, keys = items.get(b"D"), items.get(b"K", [])
    if not isinstance(listed, dict) or not isinstance(keys, list):
        raise ProtocolError("a payload without devices")
    entries = {each: entry for each, value in listed.items() if (entry := _entry(each, value)) is not None}
    found = (key for value in keys if (key := _key(value)) is not None)
    return _bounded(Payload(entries, account_keys.merged(found)))


def merged(*payloads: Payload) -> Payload:
    """What several payloads say together: in any order, and in any grouping, the same.

    `ProtocolError` if that is more devices than anybody has.
    """
    entries: dict[bytes, Entry] = {}
    for payload in payloads:
        for each, entry in payload.entries.items():
            other = entries.get(each)
            entries[each] = entry if other is None else _later(other, entry)
    ordered = {each: entries[each] for each in sorted(entries)}
    return _bounded(Payload(ordered, account_keys.merged(*(payload.keys for payload in payloads))))


def returning(known: Payload, told: Payload) -> list[bytes]:
    """The ids that `told` has a record of, though `known` has that they are gone.

    A message older than the tombstone may have one. Of a newer one, `spent` says again that the device is gone.
    """
    return [each for each in told.devices if isinstance(known.entries.get(each), Tombstone)]


def spent(known: Payload, device_ids: Iterable[bytes], now: int) -> Payload:
    """With the tombstones of these ids stated again as of `now` (unix seconds), of the kind that they were."""
    restated = {each: Tombstone(now, known.gone[each].removed) for each in device_ids if each in known.gone}
    return merged(known, Payload(restated))


def without(known: Payload, device_id: bytes, now: int) -> Payload:
    """With a device removed by another at `now`, and the account key replaced, which the device still has."""
    removed = known.with_entry(device_id, Tombstone(now, removed=True))
    return rotated(removed, now)


def rotated(known: Payload, now: int, seed: bytes | None = None) -> Payload:
    """With a new account key as of `now` (unix seconds), and without those that nobody needs any more."""
    # Later than the current one, also if that was made by a device whose clock is ahead: the newest one is current.
    created = max([now, *(key.created + 1 for key in known.keys[:1])])
    key = AccountKey(seed or secrets.token_bytes(SEED_BYTES), created)
    return Payload(known.entries, account_keys.kept(account_keys.merged(known.keys, (key,)), now))


def _later(one: Entry, other: Entry) -> Entry:
    match one, other:
        case Tombstone(), Tombstone():
            return max(one, other, key=lambda entry: entry.rank)
        case DeviceRecord(), DeviceRecord():
            return max(one, other, key=lambda entry: entry.rank)
        case Tombstone(), _:
            return one
    return other


def _bounded(payload: Payload) -> Payload:
    if len(payload.entries) > MAX_ENTRIES:
        raise ProtocolError(f"more than {MAX_ENTRIES} devices")
    return payload


def _entry(device_id: bytes, value: Value) -> Entry | None:
    if len(device_id) != DEVICE_ID_BYTES:
        return None
    try:
        if isinstance(value, int):
            return Tombstone(abs(value), removed=value > 0)
        return DeviceRecord(value) if isinstance(value, dict) else None
    except ProtocolError:
        return None


def _key(value: Value) -> AccountKey | None:
    if not isinstance(value, dict):
        return None
    seed, created, rotated_at = value.get(b"s"), value.get(b"c"), value.get(b"r")
    if not isinstance(seed, bytes) or len(seed) != SEED_BYTES or not isinstance(created, int):
        return None
    if not 0 <= created < _END:
        return None
    return AccountKey(seed, created, rotated_at if isinstance(rotated_at, int) and rotated_at > 0 else None)


def _key_fields(key: AccountKey) -> dict[bytes, Value]:
    fields: dict[bytes, Value] = {b"c": key.created, b"s": key.seed}
    return fields if key.rotated is None else fields | {b"r": key.rotated}
