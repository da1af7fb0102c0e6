"""UserGroups: the groups, communities and legacy groups that an account is in (`spec/configs` §10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from allium.client.configs import fields, ids
from allium.client.configs.account_config import AccountConfig
from allium.client.configs.base import Path
from allium.client.configs.community import Community, Server, checked_room
from allium.client.configs.fields import Notify
from allium.client.configs.tree import Data, Node
from allium.client.session_pb2 import SharedConfigMessage

SEED_BYTES = 32
AUTH_BYTES = 100
_GROUPS, _COMMUNITIES, _LEGACY, _SERVER_KEY, _ROOMS = b"g", b"o", b"C", b"#", b"R"


class Removed(IntEnum):
    """Why we are no longer in a group."""

    NOT = 0
    KICKED = 1
    DESTROYED = 2


@dataclass
class _Listed:
    """What every kind of group has. Times are Unix seconds."""

    name: str = ""
    #: Above 0 pinned, -1 hidden.
    priority: int = 0
    notify: Notify = Notify.DEFAULT
    muted_until: int = 0
    joined: int = 0
    #: An invitation that is not accepted yet.
    invited: bool = False


@dataclass
class Group(_Listed):
    """A group."""

    #: 03 and 64 digits.
    group_id: str = ""
    #: The group's 32-byte seed, of an admin. Secret.
    seed: bytes | None = None
    #: What a member signs requests with (100 bytes). Secret.
    auth_data: bytes | None = None
    removed: Removed = Removed.NOT


@dataclass
class LegacyGroup(_Listed):
    """A relic: it can be shown and deleted."""

    #: 05 and 64 digits.
    group_id: str = ""
    #: X25519, 32 bytes each.
    public_key: bytes | None = None
    secret_key: bytes | None = None
    members: frozenset[str] = field(default_factory=frozenset)
    admins: frozenset[str] = field(default_factory=frozenset)
    #: Seconds after which messages disappear.
    timer: int = 0


@dataclass
class JoinedCommunity(_Listed):
    """A room; its `name` is not written, the room's is all there is."""

    community: Community = field(default_factory=lambda: Community(Server("", b""), ""))


class UserGroups(AccountConfig):
    """All groups of an account."""

    NAMESPACE = 5
    DOMAIN = b"UserGroups"
    KIND = SharedConfigMessage.USER_GROUPS

    # Groups

    def groups(self) -> Iterator[Group]:
        """Every group, by id."""
        for key in sorted(fields.dict_of(self._get(_GROUPS))):
            group = self._read_group(key)
            if group is not None:
                yield group

    def group(self, group_id: str) -> Group | None:
        """A group; None if there is none. `ValueError` for a bad id."""
        return self._read_group(ids.packed(group_id, ids.GROUP))

    def set_group(self, group: Group) -> None:
        """Writes all fields of a group; who has the seed needs no auth data, and who was removed has neither."""
        path: Path = (_GROUPS, ids.packed(group.group_id, ids.GROUP))
        seed = group.seed if not group.removed else None
        auth = group.auth_data if not group.removed and seed is None else None
        if (seed is not None and len(seed) != SEED_BYTES) or (auth is not None and len(auth) != AUTH_BYTES):
            raise ValueError(f"a group's seed has {SEED_BYTES} bytes, a member's auth data {AUTH_BYTES}")
        entry = _listed(group) | {
            b"K": seed or b"",
            b"s": auth,
            b"n": fields.or_none(fields.checked_name(group.name)),
            b"r": int(group.removed) or None,
        }
        for key, value in entry.items():
            self._set((*path, key), value)

    def erase_group(self, group_id: str) -> bool:
        """Removes a group; whether there was one."""
        return self._erase((_GROUPS, ids.packed(group_id, ids.GROUP)))

    def _read_group(self, key: bytes) -> Group | None:
        group_id, entry = ids.unpacked(key, ids.GROUP), self._get(_GROUPS, key)
        if group_id is None or not isinstance(entry, dict):
            return None
        seed = fields.blob(entry.get(b"K"), SEED_BYTES)
        return Group(
            **_read_listed(entry),
            group_id=group_id,
            seed=seed,
            auth_data=fields.blob(entry.get(b"s"), AUTH_BYTES) if seed is None else None,
            removed=Removed(fields.enum(Removed, entry.get(b"r"), Removed.NOT)),
        )

    # Communities

    def communities(self) -> Iterator[JoinedCommunity]:
        """Every room, by server."""
        for url, server in sorted(fields.dict_of(self._get(_COMMUNITIES)).items()):
            for room in sorted(fields.dict_of(fields.dict_of(server).get(_ROOMS))):
                joined = self._read_community(url, room)
                if joined is not None:
                    yield joined

    def community(self, base_url: str, room: str) -> JoinedCommunity | None:
        """A room, whatever its spelling; None if it is not joined."""
        return self._read_community(base_url.encode(), checked_room(room).lower().encode())

    def set_community(self, joined: JoinedCommunity) -> None:
        """Writes all fields of a room."""
        community = joined.community
        url, room = community.server.base_url.encode(), checked_room(community.room).lower().encode()
        self._set((_COMMUNITIES, url, _SERVER_KEY), community.server.key)
        for key, value in (_listed(joined) | {b"n": community.room.encode()}).items():
            self._set((_COMMUNITIES, url, _ROOMS, room, key), value)

    def erase_community(self, base_url: str, room: str) -> bool:
        """Leaves a room, and the server with the last one; whether there was one."""
        url = base_url.encode()
        there = self._erase((_COMMUNITIES, url, _ROOMS, checked_room(room).lower().encode()))
        if there and not self._get(_COMMUNITIES, url, _ROOMS):
            self._set((_COMMUNITIES, url), None)
        return there

    def _read_community(self, url: bytes, room: bytes) -> JoinedCommunity | None:
        server = fields.dict_of(self._get(_COMMUNITIES, url))
        entry = fields.dict_of(server.get(_ROOMS)).get(room)
        key = fields.blob(server.get(_SERVER_KEY), 32)
        if not isinstance(entry, dict) or key is None:
            return None
        name = fields.text(entry.get(b"n"))
        try:
            spelling = checked_room(name if name.lower().encode() == room else room.decode("ascii"))
            where = Server(url.decode("ascii"), key)
        except ValueError:
            return None
        return JoinedCommunity(**{**_read_listed(entry), "name": spelling}, community=Community(where, spelling))

    # Legacy groups

    def legacy_groups(self) -> Iterator[LegacyGroup]:
        """Every legacy group, by id."""
        for key in sorted(fields.dict_of(self._get(_LEGACY))):
            group_id, entry = ids.unpacked(key, ids.ACCOUNT), self._get(_LEGACY, key)
            if group_id is None or not isinstance(entry, dict):
                continue
            yield LegacyGroup(
                **_read_listed(entry),
                group_id=group_id,
                public_key=fields.blob(entry.get(b"k"), 32),
                secret_key=fields.blob(entry.get(b"K"), 32),
                members=_accounts(entry.get(b"m")),
                admins=_accounts(entry.get(b"a")),
                timer=fields.count(entry.get(b"E")),
            )

    def erase_legacy_group(self, group_id: str) -> bool:
        """Removes a legacy group; whether there was one."""
        return self._erase((_LEGACY, ids.packed(group_id, ids.ACCOUNT)))

    def _erase(self, path: Path) -> bool:
        there = self._get(*path) is not None
        self._set(path, None)
        return there


def _listed(listed: _Listed) -> dict[bytes, Node | None]:
    return {
        b"+": listed.priority or None,
        b"@": int(listed.notify) or None,
        b"!": listed.muted_until or None,
        b"j": listed.joined or None,
        b"i": int(listed.invited) or None,
    }


def _read_listed(entry: Data) -> dict[str, Any]:
    return {
        "name": fields.text(entry.get(b"n")),
        "priority": fields.number(entry.get(b"+")),
        "notify": fields.notify(entry.get(b"@")),
        "muted_until": fields.count(entry.get(b"!")),
        "joined": fields.seconds(entry.get(b"j")),
        "invited": bool(fields.number(entry.get(b"i"))),
    }


def _accounts(node: Node | None) -> frozenset[str]:
    members = (ids.unpacked(each, ids.ACCOUNT) for each in fields.set_of(node) if isinstance(each, bytes))
    return frozenset(each for each in members if each is not None)
