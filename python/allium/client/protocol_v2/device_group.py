"""Messages between an account's devices, in namespace 21: sealed to each of them alone (`spec/protocol-v2` §5).

The account signs them, so that a stranger writes none, and a device that lost its keys, but still has the account, can
tell whether it was removed, without being able to read on.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterable, MutableSequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from allium.client import bencode, crypto
from allium.client.account import Account
from allium.client.bencode import Value
from allium.client.protocol_v2.devices import DeviceRecord, Payload, padded, read_payload
from allium.client.protocol_v2.primitives import (
    MAX_STORED,
    ML_KEM_CIPHERTEXT_BYTES,
    PREFIX_BYTES,
    SIGNATURE,
    X25519_BYTES,
    Encapsulation,
    Ephemeral,
    KeyPair,
    ProtocolError,
    before,
    bytes_at,
    read_dict,
    seed_of,
    x25519,
    xchacha20,
)

NAMESPACE = 21
#: Seconds that a message is stored.
TTL = 30 * 86_400
GROUP, LINK = b"G", b"L"
GROUP_ID_BYTES = 8
_KIND = b""
_ENTRY_BYTES = PREFIX_BYTES + crypto.KEY_BYTES
_NOTICE_BYTES = 16
#: For 64 notices, and what else there is of a message.
_ROOM = 2_048
#: Slots for devices, and for notices, come in this many, so that few devices do not show how many they are.
_ROUND = 4


def kind(data: bytes) -> Literal["group", "link"]:
    """Which of the two a message in namespace 21 is; `ProtocolError` for anything else."""
    match read_dict(data).get(_KIND):
        case b"G":
            return "group"
        case b"L":
            return "link"
    raise ProtocolError("neither a device group's message nor a request to be linked")


def new_group_id(now: int) -> bytes:
    """8 bytes: the minute (of unix seconds), and a random half."""
    return (now // 60 % 2**32).to_bytes(4, "little") + secrets.token_bytes(4)


@dataclass(frozen=True, slots=True)
class GroupMessage:
    """A message that the account signed, for whoever of its devices can open it."""

    #: 8 bytes.
    group_id: bytes
    #: The current account key's, 32 bytes: what a device that wants to be linked seals its request to.
    x25519_public: bytes
    ephemeral: bytes
    ciphertexts: tuple[bytes, ...] = field(repr=False)
    entries: tuple[bytes, ...] = field(repr=False)
    notices: tuple[bytes, ...] = field(repr=False)
    sealed: bytes = field(repr=False)

    @classmethod
    def read(cls, data: bytes, account: Account) -> GroupMessage:
        """`ProtocolError` for anything that is no such message, or that the account did not sign."""
        items = read_dict(data)
        if items.get(_KIND) != GROUP:
            raise ProtocolError("not a device group's message")
        signature = bytes_at(items, SIGNATURE, crypto.SIGNATURE_BYTES)
        if not crypto.verify(account.ed25519_public, signature, before(items)):
            raise ProtocolError("the account did not sign this")
        ephemeral = bytes_at(items, b"A", X25519_BYTES)
        ciphertexts = _split(bytes_at(items, b"C"), ML_KEM_CIPHERTEXT_BYTES)
        entries = _split(bytes_at(items, b"K"), _ENTRY_BYTES)
        if len(ciphertexts) != len(entries):
            raise ProtocolError("not as many keys as ciphertexts")
        notices = _split(bytes_at(items, b"k"), _NOTICE_BYTES) if b"k" in items else ()
        group_id = _masked_id(account, ephemeral, bytes_at(items, b"@", GROUP_ID_BYTES))
        x25519_public = bytes_at(items, b"X", X25519_BYTES)
        return cls(group_id, x25519_public, ephemeral, ciphertexts, entries, notices, bytes_at(items, b"d"))

    def open(self, keys: KeyPair) -> Payload | None:
        """The payload, with a device's keys; None if it is not for this device, `ProtocolError` if it is none."""
        shared = x25519(keys.x25519_secret, self.ephemeral)
        nonce = _payload_nonce(b"".join(self.ciphertexts), self.ephemeral)
        for ciphertext, entry in zip(self.ciphertexts, self.entries, strict=True):
            wrapped = entry[PREFIX_BYTES:]
            told = _prefix(self.ephemeral, keys.x25519_public, keys.ml_kem_public, ciphertext, wrapped)
            if entry[:PREFIX_BYTES] != told:
                continue
            secret = keys.decapsulate(ciphertext)
            key = _device_key(shared, self.ephemeral, keys.x25519_public, secret, keys.ml_kem_public)
            base = xchacha20(wrapped, key, _key_nonce(ciphertext, self.sealed, self.ephemeral))
            if (plaintext := crypto.decrypt(self.sealed, nonce, base)) is not None:
                return read_payload(plaintext)
        return None

    def removes(self, account: Account, device_id: bytes) -> bool:
        """Whether it says that another device removed this one."""
        notice = removal_notice(account, device_id, self.ephemeral)
        return any(hmac.compare_digest(notice, each) for each in self.notices)


@dataclass(frozen=True, slots=True)
class Randomness:
    """What is random in a message; only vectors give any of it."""

    ephemeral: Ephemeral = field(default_factory=Ephemeral)
    #: The payload's key, 32 bytes.
    base: bytes = field(default_factory=lambda: secrets.token_bytes(crypto.KEY_BYTES), repr=False)
    #: For a public key of ML-KEM-768.
    encapsulate: Callable[[bytes], Encapsulation] = Encapsulation.to
    #: So many bytes for a slot that is nobody's.
    filling: Callable[[int, int], bytes] = lambda slot, size: secrets.token_bytes(size)
    shuffle: Callable[[MutableSequence[Any]], None] = secrets.SystemRandom().shuffle


def seal(
    account: Account, group_id: bytes, payload: Payload, removed: Iterable[bytes] = (), given: Randomness | None = None
) -> bytes:
    """What is stored for the devices that `payload` has, and to tell the ids in `removed` that another removed them.

    `ValueError` without a device or an account key, or for more than a node stores.
    """
    given = given or Randomness()
    ephemeral, made = given.ephemeral.public, list[tuple[DeviceRecord, bytes, Encapsulation]]()
    for device in payload.devices.values():
        # A device that told keys which are none reads nothing, and keeps nobody else from it.
        with suppress(ProtocolError):
            made.append((device, x25519(given.ephemeral.secret, device.x25519), given.encapsulate(device.ml_kem)))
    if not payload.keys or not made:
        raise ValueError("a device group has devices and an account key")
    total = _rounded(len(made))
    slots = [*range(total)]
    given.shuffle(slots)
    ciphertexts = [encapsulation.ciphertext for _, _, encapsulation in made]
    ciphertexts += [given.filling(slot, ML_KEM_CIPHERTEXT_BYTES) for slot in range(len(made), total)]
    packed = b"".join(ciphertexts[slot] for slot in slots)
    sealed = crypto.encrypt(padded(payload.encode()), _payload_nonce(packed, ephemeral), given.base)
    entries = []
    for device, shared, (ciphertext, secret) in made:
        key = _device_key(shared, ephemeral, device.x25519, secret, device.ml_kem)
        wrapped = xchacha20(given.base, key, _key_nonce(ciphertext, sealed, ephemeral))
        entries.append(_prefix(ephemeral, device.x25519, device.ml_kem, ciphertext, wrapped) + wrapped)
    entries += [given.filling(slot, _ENTRY_BYTES) for slot in range(len(made), total)]
    items: dict[bytes, Value] = {
        _KIND: GROUP,
        b"@": _masked_id(account, ephemeral, group_id),
        b"A": ephemeral,
        b"C": packed,
        b"K": b"".join(entries[slot] for slot in slots),
        b"X": payload.keys[0].pair().x25519_public,
        b"d": sealed,
    }
    if notices := [removal_notice(account, each, ephemeral) for each in removed]:
        notices += [given.filling(slot, _NOTICE_BYTES) for slot in range(len(notices), _rounded(len(notices)))]
        given.shuffle(notices)
        items[b"k"] = b"".join(notices)
    message = bencode.encode({**items, SIGNATURE: account.sign(before(items))})
    if len(message) > MAX_STORED:
        raise ValueError(f"a device group's message is {len(message)} bytes, and nodes store {MAX_STORED}")
    return message


def fits(payload: Payload) -> bool:
    """Whether nodes store what `seal` makes of it, with some removed devices to be told."""
    slots = _rounded(len(payload.devices)) * (ML_KEM_CIPHERTEXT_BYTES + _ENTRY_BYTES)
    return slots + len(padded(payload.encode())) + _ROOM <= MAX_STORED


def removal_notice(account: Account, device_id: bytes, ephemeral: bytes) -> bytes:
    """16 bytes that only a device which has the account can compare with its id."""
    return crypto.blake2b(_NOTICE_BYTES, seed_of(account), device_id, key=ephemeral, person=b"SessionDevKicked")


def _masked_id(account: Account, ephemeral: bytes, group_id: bytes) -> bytes:
    """A group id as it is in a message, and back."""
    key = crypto.blake2b(crypto.KEY_BYTES, seed_of(account), person=b"SessionDvGrpID_K")
    return xchacha20(group_id, key, crypto.blake2b(crypto.NONCE_BYTES, ephemeral, person=b"SessionDvGrpID_N"))


def _payload_nonce(ciphertexts: bytes, ephemeral: bytes) -> bytes:
    return crypto.blake2b(crypto.NONCE_BYTES, ciphertexts, key=ephemeral, person=b"SessionDevDNonce")


def _key_nonce(ciphertext: bytes, sealed: bytes, ephemeral: bytes) -> bytes:
    return crypto.blake2b(crypto.NONCE_BYTES, ciphertext, sealed, key=ephemeral, person=b"SessionDevKNonce")


def _device_key(shared: bytes, ephemeral: bytes, x25519_public: bytes, secret: bytes, ml_kem: bytes) -> bytes:
    parts = (shared, ephemeral, x25519_public, secret, ml_kem)
    return crypto.blake2b(crypto.KEY_BYTES, *parts, person=b"SessionDevKeyKey")


def _prefix(ephemeral: bytes, x25519_public: bytes, ml_kem: bytes, ciphertext: bytes, wrapped: bytes) -> bytes:
    parts = (ephemeral, x25519_public, ml_kem, ciphertext, wrapped)
    return crypto.blake2b(PREFIX_BYTES, *parts, person=b"SessionDevKeyIdx")


def _rounded(number: int) -> int:
    return -(-number // _ROUND) * _ROUND


def _split(packed: bytes, size: int) -> tuple[bytes, ...]:
    if len(packed) % size:
        raise ProtocolError("what is packed is cut off")
    return tuple(packed[start : start + size] for start in range(0, len(packed), size))
