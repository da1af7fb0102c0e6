"""Who is who for an account: names, pictures and colours, looked up on the session's worker."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from allium.client.configs.fields import Picture
from allium.client.session import people
from allium.client.session.core import Work
from allium.messenger import values
from allium.messenger.views import PersonView


class People:
    """What one answer needs to know of people: each is looked up once."""

    def __init__(self, work: Work, prefix: str, own_ids: Collection[str] = ()) -> None:
        """`prefix` is the path of the account in the API, `own_ids` are those that we have in communities."""
        self._work, self._prefix = work, prefix
        #: All ids that are ours.
        self.own = {work.own_id, *own_ids}
        self._known: dict[str, PersonView] = {}

    def name(self, account_id: str) -> str:
        """Ours for them, else theirs; empty if neither is known."""
        if account_id in self.own:
            return self._work.configs.profile.name or ""
        contact = people.contact_of(self._work, account_id)
        if contact is not None and contact.shown_name:
            return contact.shown_name
        profile = self._work.database.profiles.get(account_id)
        return profile.name if profile is not None else ""

    def picture(self, account_id: str) -> Picture | None:
        """Where their picture is."""
        return picture_of(self._work, self._work.own_id if account_id in self.own else account_id)

    def view(self, account_id: str, *, admin: bool = False) -> PersonView:
        """A person as messages name them."""
        found = self._known.get(account_id)
        if found is None:
            name = self.name(account_id)
            found = self._known[account_id] = PersonView(
                id=account_id,
                name=name or short(account_id),
                color=values.color(account_id),
                letters=values.letters(name, account_id),
                picture=self.url(account_id, self.picture(account_id)),
                admin=admin,
            )
        return found

    def url(self, account_id: str, picture: Picture | None) -> str | None:
        """Where a page finds a picture; another picture has another URL."""
        if picture is None:
            return None
        return f"{self._prefix}/people/{account_id}/picture?v={version(picture)}"


def picture_of(work: Work, account_id: str) -> Picture | None:
    """Where somebody's picture is; None without one."""
    if account_id == work.own_id:
        return work.configs.profile.picture
    contact = people.contact_of(work, account_id)
    if contact is not None and contact.picture is not None:
        return contact.picture
    profile = work.database.profiles.get(account_id)
    return people.picture_of(profile) if profile is not None else None


def staff(extra: Mapping[str, Any]) -> list[str]:
    """The admins and moderators of a room, of what is kept of it."""
    return [each for each in listed(extra.get("moderators")) if isinstance(each, str)]


def listed(found: Any) -> list[Any]:
    """A list of what is kept as JSON, if it is one."""
    return found if isinstance(found, list) else []


def version(picture: Picture) -> str:
    """Tells one picture from another, and nothing else of it."""
    return hashlib.blake2b(picture.url.encode() + picture.key, digest_size=8).hexdigest()


def short(account_id: str) -> str:
    """What is shown of somebody without a name."""
    return f"{account_id[:6]}…{account_id[-4:]}" if len(account_id) > 12 else account_id
