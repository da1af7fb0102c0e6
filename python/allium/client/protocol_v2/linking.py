"""How a new device comes into an account's group: it asks, people compare emoji on both, both say yes.

The account's signature shows only that who asks has the recovery password: without the emoji nobody is admitted
(`spec/protocol-v2` §6).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from nacl import bindings

from allium.client import bencode, crypto
from allium.client.account import Account
from allium.client.bencode import Value
from allium.client.protocol_v2 import emoji
from allium.client.protocol_v2.account_keys import AccountKey
from allium.client.protocol_v2.device_group import GROUP_ID_BYTES, LINK
from allium.client.protocol_v2.devices import (
    DEVICE_ID_BYTES,
    DeviceRecord,
    Payload,
    Tombstone,
    rotated,
)
from allium.client.protocol_v2.emoji import Emoji
from allium.client.protocol_v2.primitives import (
    PREFIX_BYTES,
    SIGNATURE,
    X25519_BYTES,
    Ephemeral,
    ProtocolError,
    UnopenedError,
    before,
    bytes_at,
    read_dict,
    x25519,
    xor,
)

#: Seconds that a request is stored.
TTL = 600
#: Shown at once, and on demand; and of a group's id.
SHOWN, ALL, OF_GROUP = 7, 21, 4
#: Of a request: today's has 1401, and a message of this size costs 16 MiB for its emoji however long it is.
MAX_BYTES = 16_384
_PASSES, _MEMORY, _SEED_BYTES = 2, 16 << 20, 16

Admission = Literal["join", "hold", "none"]


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """A device that asks to be linked, and how."""

    #: 32 bytes.
    device_id: bytes
    record: DeviceRecord
    #: As the account signed it, which is what the emoji are of.
    encoded: bytes = field(repr=False)

    @classmethod
    def make(cls, account: Account, device_id: bytes, record: DeviceRecord) -> LinkRequest:
        """That of a device of ours."""
        items: dict[bytes, Value] = {b"I": device_id, b"i": dict(record.fields)}
        return cls(device_id, record, bencode.encode({**items, SIGNATURE: account.sign(before(items))}))

    @classmethod
    def read(cls, account: Account, data: bytes) -> LinkRequest:
        """`ProtocolError` for anything that the account did not sign."""
        items = read_dict(data, MAX_BYTES)
        signature = bytes_at(items, SIGNATURE, crypto.SIGNATURE_BYTES)
        if not crypto.verify(account.ed25519_public, signature, before(items)):
            raise ProtocolError("the account did not sign this")
        fields = items.get(b"i")
        if not isinstance(fields, dict):
            raise ProtocolError("a request without a device")
        return cls(bytes_at(items, b"I", DEVICE_ID_BYTES), DeviceRecord(fields), data)

    def emoji_seed(self) -> bytes:
        """16 bytes. They take 16 MiB to compute, so that it is costly to look for a request with the same emoji."""
        salt = crypto.blake2b(_SEED_BYTES, self.encoded, person=b"SessionLinkEmoji")
        argon2id = bindings.crypto_pwhash_ALG_ARGON2ID13
        return bindings.crypto_pwhash_alg(_SEED_BYTES, self.encoded, salt, _PASSES, _MEMORY, argon2id)

    def emoji(self, count: int = ALL) -> list[Emoji]:
        """What people compare: the first seven (`SHOWN`), or all 21. See `emoji_seed` for what it costs."""
        return emoji.emoji(self.emoji_seed(), count)

    def seal(self, account: Account, group_x25519: bytes, ephemeral: Ephemeral | None = None) -> bytes:
        """What is stored in namespace 21 for the group with this current account key (32 bytes)."""
        ephemeral = ephemeral or Ephemeral()
        key, nonce = _keys(x25519(ephemeral.secret, group_x25519), ephemeral.public, group_x25519)
        shared = x25519(ephemeral.secret, account.x25519_public)
        told = xor(group_x25519[:PREFIX_BYTES], _kiss(shared, ephemeral.public, account))
        sealed = crypto.encrypt(self.encoded, nonce, key)
        return bencode.encode({b"": LINK, b"E": ephemeral.public, b"L": sealed, b"i": told})


def open_request(data: bytes, account: Account, keys: Iterable[AccountKey]) -> LinkRequest:
    """The request in a message of namespace 21.

    `UnopenedError` if it was sealed for another key; any other `ProtocolError` if it is none, or is not the account's.
    """
    items = read_dict(data, MAX_BYTES)
    if items.get(b"") != LINK:
        raise ProtocolError("not a request to be linked")
    ephemeral, sealed = bytes_at(items, b"E", X25519_BYTES), bytes_at(items, b"L")
    shared = x25519(account.x25519_secret, ephemeral)
    meant = xor(bytes_at(items, b"i", PREFIX_BYTES), _kiss(shared, ephemeral, account))
    for pair in (key.pair() for key in keys):
        if pair.x25519_public[:PREFIX_BYTES] != meant:
            continue
        key, nonce = _keys(x25519(pair.x25519_secret, ephemeral), ephemeral, pair.x25519_public)
        if (plaintext := crypto.decrypt(sealed, nonce, key)) is not None:
            return LinkRequest.read(account, plaintext)
    raise UnopenedError("a request that was sealed for another key")


def replaces(known: Payload, request: LinkRequest) -> bool:
    """Whether the request would take the place of a device that is in the group, which people are to be told."""
    return request.device_id in known.devices


def admit(known: Payload, request: LinkRequest, now: int) -> Payload:
    """The group with the device that asked, as of `now` in unix seconds, once people said that the emoji are the same.

    If it takes another's place, the account key that the other still has is replaced. `ProtocolError` for an id that is
    spent.
    """
    there = known.entries.get(request.device_id)
    if isinstance(there, Tombstone):
        raise ProtocolError("the id of a device that is gone")
    if there is None:
        return known.with_entry(request.device_id, request.record)
    record = request.record.numbered(max(there.seqno, request.record.seqno) + 1)
    return rotated(known.with_entry(request.device_id, record), now)


def admission(told: Payload, confirmed: Iterable[LinkRequest], newest: LinkRequest | None) -> Admission:
    """What a device that asked makes of a payload that it can open.

    It joins if the payload has it as a request said whose emoji its own user has confirmed. If its newest request said
    so, which nobody has confirmed yet, it holds the payload until that happens.
    """
    if any(_admitted(told, request) for request in confirmed):
        return "join"
    return "hold" if newest is not None and _admitted(told, newest) else "none"


def group_emoji(group_id: bytes) -> list[Emoji]:
    """What tells several groups apart, of an id of 8 bytes."""
    return emoji.emoji(group_seed(group_id), OF_GROUP)


def group_seed(group_id: bytes) -> bytes:
    """16 bytes, of which those emoji are made."""
    if len(group_id) != GROUP_ID_BYTES:
        raise ProtocolError(f"the id of a device group has {GROUP_ID_BYTES} bytes")
    return crypto.blake2b(_SEED_BYTES, group_id, person=b"SessionDvGrp_SAS")


def _admitted(told: Payload, request: LinkRequest) -> bool:
    entry, asked = told.devices.get(request.device_id), request.record
    return entry is not None and (entry.timestamp, entry.x25519) == (asked.timestamp, asked.x25519)


def _kiss(shared: bytes, ephemeral: bytes, account: Account) -> bytes:
    return crypto.blake2b(PREFIX_BYTES, ephemeral, account.x25519_public, key=shared, person=b"SessionDvGrpKISS")


def _keys(shared: bytes, ephemeral: bytes, group_x25519: bytes) -> tuple[bytes, bytes]:
    parts = (shared, ephemeral, group_x25519)
    wide = crypto.blake2b(crypto.KEY_BYTES + crypto.NONCE_BYTES, *parts, person=b"SessionDvGrpLink")
    return wide[: crypto.KEY_BYTES], wide[crypto.KEY_BYTES :]
