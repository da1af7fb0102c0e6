"""ConvoInfoVolatile: up to where each conversation was read (`spec/configs` §9, §13).

What was read long ago is in the dump alone and no longer in the message, until it is touched again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from allium.client.account import Account
from allium.client.configs import fields, ids, tree
from allium.client.configs.account_config import AccountConfig
from allium.client.configs.base import Path, Push
from allium.client.configs.community import Community, Server, checked_room
from allium.client.configs.tree import Data, Node
from allium.client.session_pb2 import SharedConfigMessage

#: Entries are archived after it.
KEPT_MS = 30 * 86_400_000
_ACCOUNT, _GROUP, _LEGACY, _COMMUNITY, _BLINDED = b"1", b"g", b"C", b"o", b"b"
_SERVER_KEY, _ROOMS = b"#", b"R"
_ID_LISTS = (_ACCOUNT, _GROUP, _LEGACY, _BLINDED)


@dataclass
class ReadState:
    """Up to where a conversation was read."""

    #: Every incoming message that was sent until then is read; Unix milliseconds.
    last_read: int = 0
    #: Marked as unread by hand.
    unread: bool = False
    #: Of a contact with Session Pro: when the proof ends (Unix seconds), and its revocation tag (32 bytes).
    pro: tuple[int, bytes] | None = None


class ConvoInfoVolatile(AccountConfig):
    """The read states of all conversations."""

    NAMESPACE = 4
    DOMAIN = b"ConvoInfoVolatile"
    KIND = SharedConfigMessage.CONVO_INFO_VOLATILE

    def __init__(self, account: Account) -> None:
        """Empty; `load` or `merge` fill it."""
        super().__init__(account)
        self._archived: Data = {}

    # Accounts, groups, legacy groups and blinded ids

    def get(self, identifier: str) -> ReadState | None:
        """Of an account (05), a group (03), a blinded id (15, 25); None if there is none. `ValueError` for a bad id."""
        return self._state((*_place(identifier),), blinded=_blinding(identifier))

    def get_legacy(self, group_id: str) -> ReadState | None:
        """Of a legacy group, whose id begins with 05 too."""
        return self._state((_LEGACY, ids.packed(group_id, ids.ACCOUNT)))

    def set(self, identifier: str, state: ReadState, now: int) -> None:
        """Writes a read state; `now` in Unix milliseconds says whether it is one that only the dump keeps."""
        extra: dict[bytes, Node | None] = {}
        if identifier[:2] in ids.BLINDED:
            extra[b"y"] = 1 if identifier.startswith("15") else None
        if identifier[:2] != ids.GROUP:
            extra |= {b"e": state.pro[0] if state.pro else None, b"g": state.pro[1] if state.pro else None}
        self._put(_place(identifier), state, now, extra)

    def set_legacy(self, group_id: str, state: ReadState, now: int) -> None:
        """The same for a legacy group."""
        self._put((_LEGACY, ids.packed(group_id, ids.ACCOUNT)), state, now, {})

    def erase(self, identifier: str) -> bool:
        """Removes a read state; whether there was one."""
        return self._drop(_place(identifier))

    def erase_legacy(self, group_id: str) -> bool:
        """The same for a legacy group."""
        return self._drop((_LEGACY, ids.packed(group_id, ids.ACCOUNT)))

    # Communities

    def get_community(self, base_url: str, room: str) -> ReadState | None:
        """Of a room; None if there is none."""
        return self._state(_room(base_url, room))

    def set_community(self, community: Community, state: ReadState, now: int) -> None:
        """Writes the read state of a room."""
        place = _room(community.server.base_url, community.room)
        self._put(place, state, now, {})
        if self._get(*place) is not None:
            self._set((_COMMUNITY, place[1], _SERVER_KEY), community.server.key)
        else:
            _assign(self._archived, (_COMMUNITY, place[1], _SERVER_KEY), community.server.key)

    def erase_community(self, base_url: str, room: str) -> bool:
        """Removes the read state of a room, and the server with the last one; whether there was one."""
        return self._drop(_room(base_url, room))

    # All of them

    def accounts(self) -> Iterator[tuple[str, ReadState]]:
        """Every account's, and every group's, by id; archived ones too."""
        for key, prefix in ((_ACCOUNT, ids.ACCOUNT), (_GROUP, ids.GROUP)):
            for packed in sorted({**self._list(self._archived, key), **self._list(self._data, key)}):
                identifier, state = ids.unpacked(packed, prefix), self._state((key, packed))
                if identifier is not None and state is not None:
                    yield identifier, state

    def communities(self) -> Iterator[tuple[Community, ReadState]]:
        """Every room's, archived ones too."""
        urls = {**self._list(self._archived, _COMMUNITY), **self._list(self._data, _COMMUNITY)}
        for url in sorted(urls):
            both = [fields.dict_of(self._list(data, _COMMUNITY).get(url)) for data in (self._data, self._archived)]
            public = next(filter(None, (fields.blob(server.get(_SERVER_KEY), 32) for server in both)), None)
            rooms = {room for server in both for room in fields.dict_of(server.get(_ROOMS))}
            for room in sorted(rooms):
                state = self._state((_COMMUNITY, url, _ROOMS, room))
                if public is not None and state is not None:
                    base_url, name = url.decode("utf-8", "replace"), room.decode("utf-8", "replace")
                    yield Community(Server(base_url, public), name), state

    # The archive

    def prepare_push(self, now: int) -> Push:
        """As `push`, without what is old at `now` (Unix milliseconds): that moves to the archive."""
        if self._edits is not None:
            for place in list(self._places()):
                entry = fields.dict_of(self._get(*place))
                if _is_old(entry, now):
                    _assign(self._archived, place, tree.copy(entry))
                    if place[0] == _COMMUNITY:
                        server = (_COMMUNITY, place[1], _SERVER_KEY)
                        _assign(self._archived, server, self._get(*server) or b"")
                    self._drop_live(place)
        return self.push()

    def _places(self) -> Iterator[Path]:
        for key in _ID_LISTS:
            yield from ((key, packed) for packed in self._list(self._data, key))
        for url, server in self._list(self._data, _COMMUNITY).items():
            yield from ((_COMMUNITY, url, _ROOMS, room) for room in fields.dict_of(fields.dict_of(server).get(_ROOMS)))

    @staticmethod
    def _list(data: Data, key: bytes) -> Data:
        return fields.dict_of(data.get(key))

    def _state(self, place: Path, blinded: bool | None = None) -> ReadState | None:
        entry = self._get(*place)
        if not isinstance(entry, dict):
            entry = _find(self._archived, place)
        if not isinstance(entry, dict):
            return None
        if blinded is not None and bool(fields.number(entry.get(b"y"))) != blinded:
            return None
        end, tag = fields.seconds(entry.get(b"e")), fields.blob(entry.get(b"g"), 32)
        return ReadState(
            fields.count(entry.get(b"r")),
            bool(fields.number(entry.get(b"u"))),
            (end, tag) if end and tag is not None else None,
        )

    def _put(self, place: Path, state: ReadState, now: int, extra: dict[bytes, Node | None]) -> None:
        entry: dict[bytes, Node | None] = {b"r": state.last_read, b"u": int(state.unread) or None, **extra}
        if self._get(*place) is None and _is_old({b"r": state.last_read, b"u": int(state.unread)}, now):
            kept = fields.dict_of(_find(self._archived, place))
            _assign(self._archived, place, {**kept, **{key: each for key, each in entry.items() if each is not None}})
            self._needs_dump = True
            return
        _forget(self._archived, place)
        for key, value in entry.items():
            self._set((*place, key), value)

    def _drop(self, place: Path) -> bool:
        archived = _find(self._archived, place) is not None
        _forget(self._archived, place)
        self._needs_dump |= archived
        there = self._get(*place) is not None
        if there:
            self._drop_live(place)
        return there or archived

    def _drop_live(self, place: Path) -> None:
        self._set(place, None)
        if place[0] == _COMMUNITY and not self._get(*place[:3]):
            self._set(place[:2], None)

    def _archive(self) -> Data:
        return tree.pruned(self._archived)

    def _unarchive(self, archive: Data) -> None:
        self._archived = archive


def _is_old(entry: Data, now: int) -> bool:
    return fields.count(entry.get(b"r")) < now - KEPT_MS and not fields.number(entry.get(b"u"))


def _place(identifier: str) -> Path:
    match identifier[:2]:
        case ids.ACCOUNT:
            return _ACCOUNT, ids.packed(identifier, ids.ACCOUNT)
        case ids.GROUP:
            return _GROUP, ids.packed(identifier, ids.GROUP)
        case _:
            return _BLINDED, ids.packed(identifier, *ids.BLINDED)[1:]


def _blinding(identifier: str) -> bool | None:
    """Whether it is a 15 id, of one that is blinded."""
    return identifier.startswith("15") if identifier[:2] in ids.BLINDED else None


def _room(base_url: str, room: str) -> Path:
    return _COMMUNITY, base_url.encode(), _ROOMS, checked_room(room).lower().encode()


def _find(data: Data, place: Path) -> Node | None:
    node: Node | None = data
    for key in place:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _assign(data: Data, place: Path, node: Node) -> None:
    for key in place[:-1]:
        below = data.get(key)
        if not isinstance(below, dict):
            below = data[key] = {}
        data = below
    data[place[-1]] = node


def _forget(data: Data, place: Path) -> None:
    below = _find(data, place[:-1])
    if isinstance(below, dict):
        below.pop(place[-1], None)
