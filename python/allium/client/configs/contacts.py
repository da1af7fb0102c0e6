"""Contacts: whom one knows, what was agreed with them, and blinded contacts (`spec/configs` §8, §12)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from allium.client.configs import fields, ids
from allium.client.configs.account_config import AccountConfig
from allium.client.configs.community import Server
from allium.client.configs.fields import Expiry, Notify, Picture
from allium.client.configs.tree import Node
from allium.client.session_pb2 import SharedConfigMessage

_CONTACTS, _BLINDED, _SERVER_KEY, _ROOMS = b"c", b"b", b"#", b"R"


@dataclass
class Contact:
    """One contact. Times are Unix seconds."""

    account_id: str
    #: Their own name for themselves.
    name: str = ""
    #: Ours for them.
    nickname: str = ""
    picture: Picture | None = None
    #: Of the profile, by their clock; 0 if not known.
    updated: int = 0
    #: Features that their profile claims: 0 Pro badge, 1 animated picture.
    features: frozenset[int] = frozenset()
    approved: bool = False
    approved_me: bool = False
    blocked: bool = False
    #: Above 0 pinned, -1 hidden.
    priority: int = 0
    notify: Notify = Notify.DEFAULT
    muted_until: int = 0
    expiry: Expiry = Expiry.NONE
    #: Seconds.
    timer: int = 0
    created: int = 0

    @property
    def shown_name(self) -> str:
        """The nickname, else the name."""
        return self.nickname or self.name


@dataclass
class BlindedContact:
    """Somebody known only by the blinded id of a community server."""

    #: 15 or 25, and 64 digits.
    blinded_id: str
    server: Server
    name: str = ""
    picture: Picture | None = None
    updated: int = 0
    features: frozenset[int] = frozenset()
    priority: int = 0
    created: int = 0


class Contacts(AccountConfig):
    """All contacts of an account; the account itself is never among them."""

    NAMESPACE = 3
    DOMAIN = b"Contacts"
    KIND = SharedConfigMessage.CONTACTS

    def __iter__(self) -> Iterator[Contact]:
        """Every contact, in the order of their ids."""
        for key in sorted(fields.dict_of(self._get(_CONTACTS))):
            contact = self._read_contact(key)
            if contact is not None:
                yield contact

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def get(self, account_id: str) -> Contact | None:
        """A contact; None if there is none. `ValueError` for a bad id."""
        return self._read_contact(ids.packed(account_id, ids.ACCOUNT))

    def get_or_new(self, account_id: str) -> Contact:
        """A contact, or a new one, which is not there before `set`."""
        return self.get(account_id) or Contact(account_id.lower())

    def set(self, contact: Contact) -> None:
        """Writes all fields, and leaves alone keys that are not known. `ValueError` for what cannot be written."""
        identifier = ids.packed(contact.account_id, ids.ACCOUNT)
        if contact.account_id.lower() == self._account.account_id:
            raise ValueError("an account is no contact of its own")
        entry = _profile(contact.name, contact.picture, contact.updated, contact.features) | {
            b"N": fields.or_none(fields.checked_name(contact.nickname)),
            b"a": int(contact.approved) or None,
            b"A": int(contact.approved_me) or None,
            b"b": int(contact.blocked) or None,
            b"+": contact.priority or None,
            # Only conversations of more than two have mentions.
            b"@": int(Notify.ALL if contact.notify is Notify.MENTIONS else contact.notify) or None,
            b"!": contact.muted_until or None,
            b"e": int(contact.expiry) if contact.expiry and contact.timer > 0 else None,
            b"E": contact.timer if contact.expiry and contact.timer > 0 else None,
            b"j": contact.created or None,
        }
        for key, value in entry.items():
            self._set((_CONTACTS, identifier, key), value)

    def erase(self, account_id: str) -> bool:
        """Removes a contact, all keys of it; whether there was one."""
        identifier = ids.packed(account_id, ids.ACCOUNT)
        there = self._get(_CONTACTS, identifier) is not None
        self._set((_CONTACTS, identifier), None)
        return there

    def _read_contact(self, key: bytes) -> Contact | None:
        account_id, entry = ids.unpacked(key, ids.ACCOUNT), self._get(_CONTACTS, key)
        if account_id is None or not isinstance(entry, dict):
            return None
        expiry, timer = fields.expiry(entry)
        return Contact(
            account_id,
            name=fields.text(entry.get(b"n")),
            nickname=fields.text(entry.get(b"N")),
            picture=fields.picture(entry),
            updated=fields.seconds(entry.get(b"t")),
            features=fields.features(entry.get(b"f")),
            approved=bool(fields.number(entry.get(b"a"))),
            approved_me=bool(fields.number(entry.get(b"A"))),
            blocked=bool(fields.number(entry.get(b"b"))),
            priority=fields.number(entry.get(b"+")),
            notify=fields.notify(entry.get(b"@")),
            muted_until=fields.count(entry.get(b"!")),
            expiry=expiry,
            timer=timer,
            created=fields.seconds(entry.get(b"j")),
        )

    # Blinded contacts

    def blinded(self) -> Iterator[BlindedContact]:
        """Every blinded contact, by server and id."""
        for base_url, server in sorted(fields.dict_of(self._get(_BLINDED)).items()):
            for key in sorted(fields.dict_of(fields.dict_of(server).get(_ROOMS))):
                contact = self._read_blinded(base_url, key)
                if contact is not None:
                    yield contact

    def set_blinded(self, contact: BlindedContact) -> None:
        """Writes a blinded contact; `ValueError` for a bad id."""
        digits = ids.packed(contact.blinded_id, *ids.BLINDED).hex()
        base_url, key = contact.server.base_url.encode(), digits[2:].encode()
        self._set((_BLINDED, base_url, _SERVER_KEY), contact.server.key)
        entry = _profile(contact.name, contact.picture, contact.updated, contact.features) | {
            b"+": contact.priority or None,
            b"j": contact.created or None,
            b"y": 1 if digits.startswith("15") else None,
        }
        for name, value in entry.items():
            self._set((_BLINDED, base_url, _ROOMS, key, name), value)

    def erase_blinded(self, server: Server, blinded_id: str) -> bool:
        """Removes a blinded contact, and the server with the last of its; whether there was one."""
        base_url, key = server.base_url.encode(), ids.packed(blinded_id, *ids.BLINDED).hex()[2:].encode()
        there = self._get(_BLINDED, base_url, _ROOMS, key) is not None
        self._set((_BLINDED, base_url, _ROOMS, key), None)
        if there and not self._get(_BLINDED, base_url, _ROOMS):
            self._set((_BLINDED, base_url), None)
        return there

    def _read_blinded(self, base_url: bytes, key: bytes) -> BlindedContact | None:
        server = fields.dict_of(self._get(_BLINDED, base_url))
        entry = fields.dict_of(server.get(_ROOMS)).get(key)
        public = fields.blob(server.get(_SERVER_KEY), 32)
        if not isinstance(entry, dict) or public is None:
            return None
        prefix = "15" if fields.number(entry.get(b"y")) else "25"
        try:
            blinded_id = ids.packed(prefix + key.decode("ascii"), *ids.BLINDED).hex()
            where = Server(base_url.decode("ascii"), public)
        except ValueError:
            return None
        return BlindedContact(
            blinded_id,
            where,
            name=fields.text(entry.get(b"n")),
            picture=fields.picture(entry),
            updated=fields.seconds(entry.get(b"t")),
            features=fields.features(entry.get(b"f")),
            priority=fields.number(entry.get(b"+")),
            created=fields.seconds(entry.get(b"j")),
        )


def _profile(name: str, picture: Picture | None, updated: int, features: frozenset[int]) -> dict[bytes, Node | None]:
    """What every kind of contact has. The name is there even if empty, so that there is an entry."""
    return {
        b"n": fields.checked_name(name),
        b"p": picture.url.encode() if picture else None,
        b"q": picture.key if picture else None,
        b"t": updated or None,
        b"f": fields.flags(features),
    }
