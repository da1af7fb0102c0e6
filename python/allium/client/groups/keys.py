"""The keys of a group: who has which, and the messages by which admins give them out (`spec/groups` §2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from nacl import bindings

from allium.client import bencode, crypto
from allium.client.account import Account
from allium.client.bencode import Value
from allium.client.groups.identity import KEYS, GroupIdentity

NAMESPACE = 12
KEY_BYTES = 32
#: How many entries a message has is a multiple of this, so that it says little of how many members there are.
PAGE = 45
#: A key is forgotten this long after a newer generation came.
KEPT_MS = 60 * 86_400_000
_ENTRY_BYTES = KEY_BYTES + crypto.TAG_BYTES
_MAX_ENTRIES = 10_000
_MAX_SUPPLEMENT = 1_000
_MAX_GENERATION = 1 << 62
_VERSION = 1


class KeysError(ValueError):
    """Bytes that are no keys message of this group. Whoever can write there may have stored them."""


@dataclass(frozen=True, order=True)
class GroupKey:
    """One key of a group. They are in order: the last one encrypts."""

    generation: int
    #: When its message was stored, in Unix milliseconds.
    timestamp: int
    #: 32 bytes. Secret.
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Rekey:
    """A new key, and the message that gives it to admins and members."""

    key: GroupKey
    #: What is stored in the group's namespace 12.
    payload: bytes


class GroupKeys:
    """What an account has of a group's keys."""

    def __init__(self, account: Account, group: GroupIdentity) -> None:
        """None yet."""
        self._account = account
        self._group = group
        self._keys: list[GroupKey] = []
        #: Storage hash -> generation, of messages that were for us.
        self._hashes: dict[str, int] = {}
        self._pending: Rekey | None = None
        self._needs_dump = False

    @property
    def keys(self) -> list[bytes]:
        """All keys, the current one first, as configs and messages try them."""
        newest_first = [each.key for each in reversed(self._keys)]
        pending = [self._pending.key.key] if self._pending else []
        return list(dict.fromkeys([*pending, *newest_first]))

    @property
    def generation(self) -> int:
        """The current key's, or -1 if there is none."""
        if self._pending is not None:
            return self._pending.key.generation
        return self._keys[-1].generation if self._keys else -1

    @property
    def pending(self) -> bytes | None:
        """A keys message of ours that was not yet seen in the swarm."""
        return self._pending.payload if self._pending else None

    @property
    def needs_rekey(self) -> bool:
        """Whether two admins made keys at once, so that one of them has to do it again."""
        return (
            self._pending is None and len({each.key for each in self._keys if each.generation == self.generation}) > 1
        )

    @property
    def needs_dump(self) -> bool:
        """Whether something changed since `dump`."""
        return self._needs_dump

    def is_for(self, members: Iterable[str]) -> bool:
        """Whether the current key was made for exactly these Account IDs; `ValueError` without the seed."""
        return self.generation >= 0 and derived(self._group, members, self.generation)[0] == self.keys[0]

    def generations_after(self, timestamp: int) -> int:
        """How many keys were given out after a time in Unix milliseconds."""
        return len({each.generation for each in self._keys if each.timestamp > timestamp})

    @property
    def active_hashes(self) -> list[str]:
        """Storage hashes of the messages whose keys are still in use: renew these."""
        return sorted(self._hashes)

    def promote(self, group: GroupIdentity) -> None:
        """We are an admin: the group with its seed."""
        self._group = group

    def lost(self, storage_hash: str) -> bool:
        """The swarm no longer has this of `active_hashes`; whether the current key went with it, and no other has it.

        Nobody can store such a message again: an admin makes a new key (`spec/configs` §14).
        """
        generation = self._hashes.pop(storage_hash, None)
        self._needs_dump |= generation is not None
        return generation == self.generation and generation not in self._hashes.values()

    # Giving out

    def rekey(self, members: Iterable[str]) -> Rekey:
        """A key of the next generation for these Account IDs; who is an admin has to be among them too.

        It is the current one at once, and confirmed when `load` meets its message. `ValueError` without the seed.
        """
        made = make_key(self._group, members, self.generation + 1)
        self._pending = made
        self._needs_dump = True
        return made

    def supplement(self, new_members: Sequence[str]) -> bytes:
        """The message that gives all keys there are to new members (Account IDs): they can read what was before."""
        known: list[Value] = [{b"g": each.generation, b"k": each.key, b"t": each.timestamp} for each in self._keys]
        if not known or not new_members:
            raise ValueError("no keys, or nobody to give them to")
        plaintext = bencode.encode(known)
        names = [each.encode() for each in new_members]
        nonce = crypto.blake2b(24, *names, plaintext, _seed_hash(self._group), key=b"SessionGroupKeyGen")
        sealed: list[Value] = [
            crypto.encrypt(plaintext, nonce, key)
            for member in new_members
            if (key := self._group.key_for(member, KEYS)) is not None
        ]
        return _signed(self._group, {b"#": nonce, b"+": sealed, b"G": self._keys[-1].generation})

    # Taking in

    def load(self, storage_hash: str, payload: bytes, timestamp: int) -> bool:
        """Takes a keys message that was retrieved, stored at `timestamp` (Unix milliseconds); whether it was for us.

        `KeysError` if it is none of this group's.
        """
        message = _read(self._group, payload)
        nonce, generation = message.get(b"#"), message.get(b"G")
        if not isinstance(nonce, bytes) or len(nonce) != crypto.NONCE_BYTES:
            raise KeysError("no nonce")
        if not isinstance(generation, int) or not 0 <= generation < _MAX_GENERATION:
            raise KeysError("no generation")
        if b"+" in message:
            found = self._open_supplement(message[b"+"], nonce)
        else:
            found = self._open_rekey(message, nonce, GroupKey(generation, timestamp, b""))
        if not found:
            return False
        self._keys = sorted({*self._keys, *found})
        self._hashes[storage_hash] = generation
        if self._pending is not None and (
            self._pending.payload == payload or self._keys[-1].generation > self._pending.key.generation
        ):
            self._pending = None
        self._expire(timestamp)
        self._needs_dump = True
        return True

    def _open_rekey(self, message: dict[bytes, Value], nonce: bytes, shape: GroupKey) -> list[GroupKey]:
        for_admins, for_members = message.get(b"K"), message.get(b"k")
        if not isinstance(for_admins, bytes) or len(for_admins) != _ENTRY_BYTES:
            raise KeysError("no key for admins")
        if not isinstance(for_members, list) or len(for_members) > _MAX_ENTRIES:
            raise KeysError("no keys for members")
        if any(not isinstance(each, bytes) or len(each) != _ENTRY_BYTES for each in for_members):
            raise KeysError("an entry of another size")
        if self._group.seed is not None:
            key = crypto.decrypt(for_admins, nonce, _admin_key(self._group))
            if key is None:
                raise KeysError("a key that no admin can open")
        else:
            key = self._open_one(for_members, nonce)
        return [] if key is None else [GroupKey(shape.generation, shape.timestamp, key)]

    def _open_one(self, entries: Sequence[Value], nonce: bytes) -> bytes | None:
        own = self._group.key_of(self._account, KEYS)
        if own is None:
            return None
        opened = (crypto.decrypt(each, nonce, own) for each in entries if isinstance(each, bytes))
        return next((each for each in opened if each is not None), None)

    def _open_supplement(self, entries: Value, nonce: bytes) -> list[GroupKey]:
        if not isinstance(entries, list) or len(entries) > _MAX_ENTRIES:
            raise KeysError("not a supplement")
        plaintext = self._open_one(entries, nonce)
        if plaintext is None:
            return []
        try:
            keys = bencode.decode(plaintext)
        except bencode.BencodeError:
            raise KeysError("not keys") from None
        found = []
        for item in keys if isinstance(keys, list) else []:
            match item:
                case {b"g": int(generation), b"k": bytes(key), b"t": int(timestamp)} if len(key) == KEY_BYTES:
                    if 0 <= generation < _MAX_GENERATION and timestamp >= 0:
                        found.append(GroupKey(generation, timestamp, key))
        return found[:_MAX_SUPPLEMENT]

    def _expire(self, now: int) -> None:
        """Forgets keys that a newer generation replaced 60 days before `now`."""
        kept = []
        for each in self._keys:
            newer = [other.timestamp for other in self._keys if other.generation > each.generation]
            if not newer or min(newer) > now - KEPT_MS:
                kept.append(each)
        self._keys = kept
        generations = {each.generation for each in kept}
        oldest = min(generations)
        self._hashes = {name: number for name, number in self._hashes.items() if number >= oldest}

    # Keeping them

    def dump(self) -> bytes:
        """All of it, for `restore`; it holds secrets, and is not encrypted."""
        self._needs_dump = False
        fields: dict[bytes, Value] = {
            b"": _VERSION,
            b"hashes": {name.encode(): number for name, number in self._hashes.items()},
            b"keys": [[each.generation, each.timestamp, each.key] for each in self._keys],
        }
        if self._pending is not None:
            fields[b"pending"] = [self._pending.key.generation, self._pending.key.key, self._pending.payload]
        return bencode.encode(fields)

    def restore(self, dump: bytes) -> None:
        """Becomes what was dumped; `KeysError` if that cannot be read."""
        try:
            fields = bencode.decode_dict(dump)
        except bencode.BencodeError:
            raise KeysError("not a dump") from None
        match fields:
            case {b"": int(version), b"hashes": dict(hashes), b"keys": list(keys)} if version == _VERSION:
                pass
            case _:
                raise KeysError("not a dump of this version")
        self._keys, self._pending = [], None
        for item in keys:
            match item:
                case [int(generation), int(timestamp), bytes(key)]:
                    self._keys.append(GroupKey(generation, timestamp, key))
        self._keys.sort()
        self._hashes = {name.decode("utf-8", "replace"): each for name, each in hashes.items() if isinstance(each, int)}
        match fields.get(b"pending"):
            case [int(generation), bytes(key), bytes(payload)]:
                self._pending = Rekey(GroupKey(generation, 0, key), payload)
        self._needs_dump = False


def make_key(group: GroupIdentity, members: Iterable[str], generation: int) -> Rekey:
    """The key of a generation for these Account IDs and its message: the same bytes by whichever admin."""
    names = sorted({each.lower() for each in members})
    key, nonce = derived(group, names, generation)
    entries: list[Value] = []
    for name in names:
        member_key = group.key_for(name, KEYS)
        if member_key is not None:
            entries.append(crypto.encrypt(key, nonce, member_key))
    junk = -len(entries) % PAGE
    seed = crypto.blake2b(32, key, nonce, group.secret, key=b"SessionGroupJunkMembers")
    stream = bindings.randombytes_buf_deterministic(junk * _ENTRY_BYTES, seed) if junk else b""
    entries += [stream[start : start + _ENTRY_BYTES] for start in range(0, len(stream), _ENTRY_BYTES)]
    payload = _signed(
        group,
        {b"#": nonce, b"G": generation, b"K": crypto.encrypt(key, nonce, _admin_key(group)), b"k": entries},
    )
    return Rekey(GroupKey(generation, 0, key), payload)


def derived(group: GroupIdentity, members: Iterable[str], generation: int) -> tuple[bytes, bytes]:
    """The key of a generation for these Account IDs (32 bytes), and the nonce of its message (24 bytes)."""
    names = sorted({each.lower().encode() for each in members})
    h1 = crypto.blake2b(56, *names, str(generation).encode(), _seed_hash(group), key=b"SessionGroupKeyGen")
    return h1[:KEY_BYTES], h1[KEY_BYTES:]


def _seed_hash(group: GroupIdentity) -> bytes:
    return crypto.blake2b(32, _seed(group), key=b"SessionGroupKeySeed")


def _admin_key(group: GroupIdentity) -> bytes:
    return crypto.blake2b(32, _seed(group), key=b"SessionGroupKeyAdminKey")


def _seed(group: GroupIdentity) -> bytes:
    if group.seed is None:
        raise ValueError("only an admin can do this")
    return group.seed


def _signed(group: GroupIdentity, message: dict[bytes, Value]) -> bytes:
    signed = bencode.encode(message)[:-1]
    return signed + b"1:~64:" + group.sign(signed) + b"e"


def _read(group: GroupIdentity, payload: bytes) -> dict[bytes, Value]:
    try:
        message = bencode.decode_dict(payload)
    except bencode.BencodeError:
        raise KeysError("not a keys message") from None
    signature = message.get(b"~")
    if not isinstance(signature, bytes) or len(signature) != crypto.SIGNATURE_BYTES or max(message) != b"~":
        raise KeysError("not signed")
    if not group.verify(signature, payload[: -len(b"1:~64:") - crypto.SIGNATURE_BYTES - 1]):
        raise KeysError("the signature does not verify")
    return message
