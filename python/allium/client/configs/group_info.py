"""GroupInfo: a group's name, picture and settings (`spec/groups` §3, `spec/configs` §15)."""

from __future__ import annotations

from allium.client.configs import fields
from allium.client.configs.fields import Picture
from allium.client.configs.group_config import GroupConfig

MAX_DESCRIPTION_BYTES = 600


class GroupInfo(GroupConfig):
    """What is so of a group as a whole. Times are Unix seconds, 0 if there is none."""

    NAMESPACE = 13
    DOMAIN = b"groups::Info"

    @property
    def name(self) -> str:
        """The group's name."""
        return fields.text(self._get(b"n"))

    @name.setter
    def name(self, name: str) -> None:
        self._set((b"n",), fields.or_none(fields.checked_name(name)))

    @property
    def description(self) -> str:
        """What the group says of itself; one from elsewhere may be longer than ours."""
        return fields.text(self._get(b"o"))

    @description.setter
    def description(self, description: str) -> None:
        self._set((b"o",), fields.or_none(fields.checked_name(description, MAX_DESCRIPTION_BYTES)))

    @property
    def picture(self) -> Picture | None:
        """The group's picture."""
        return fields.picture(self._data)

    @picture.setter
    def picture(self, picture: Picture | None) -> None:
        self._set((b"p",), picture.url.encode() if picture else None)
        self._set((b"q",), picture.key if picture else None)

    @property
    def created(self) -> int:
        """When it was made."""
        return fields.seconds(self._get(b"c"))

    @created.setter
    def created(self, when: int) -> None:
        self._set((b"c",), fields.or_none(when))

    @property
    def timer(self) -> int:
        """After how many seconds messages disappear; 0 never."""
        return fields.count(self._get(b"E"))

    @timer.setter
    def timer(self, seconds: int) -> None:
        self._set((b"E",), fields.or_none(max(seconds, 0)))

    @property
    def delete_before(self) -> int:
        """Messages from before then are to be deleted."""
        return fields.seconds(self._get(b"d"))

    @delete_before.setter
    def delete_before(self, when: int) -> None:
        self._set((b"d",), fields.or_none(when))

    @property
    def delete_attachments_before(self) -> int:
        """Attachments from before then are to be deleted."""
        return fields.seconds(self._get(b"D"))

    @delete_attachments_before.setter
    def delete_attachments_before(self, when: int) -> None:
        self._set((b"D",), fields.or_none(when))

    @property
    def destroyed(self) -> bool:
        """Whether its last admin put an end to it."""
        return bool(fields.number(self._get(b"!")))

    def destroy(self) -> None:
        """Puts an end to it, for good."""
        self._set((b"!",), 1)
