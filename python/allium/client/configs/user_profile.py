"""UserProfile: the own name and picture, note to self, Session Pro (`spec/configs` §7, §11)."""

from __future__ import annotations

from dataclasses import dataclass

from allium.client import bencode
from allium.client.configs import fields
from allium.client.configs.account_config import AccountConfig
from allium.client.configs.fields import Picture
from allium.client.session_pb2 import SharedConfigMessage

_WEEK = 604_800
#: When a proof is renewed: this long before it expires, away from the borders of the weeks for which keys are made.
_RENEWAL_LEAD = 3_600
_BORDER = 15
_EARLIER = 30
_DEFER = 60
_NEEDED = 300


@dataclass(frozen=True)
class ProCredential:
    """A proof of Session Pro, and the seed of the key that it is for."""

    #: Unix seconds.
    expiry: int
    #: 32 bytes each.
    revocation_tag: bytes
    rotating_seed: bytes
    #: The backend's, 64 bytes.
    signature: bytes

    def encoded(self) -> bytes:
        """One string, so that a merge cannot mix two proofs."""
        return bencode.encode(
            {b"e": self.expiry, b"g": self.revocation_tag, b"r": self.rotating_seed, b"s": self.signature}
        )

    @classmethod
    def parse(cls, data: bytes) -> ProCredential | None:
        """The credential that a string is; None for anything else."""
        try:
            match bencode.decode(data):
                case {b"e": int(expiry), b"g": bytes(tag), b"r": bytes(seed), b"s": bytes(signature)} if (
                    len(tag),
                    len(seed),
                    len(signature),
                ) == (32, 32, 64) and expiry > 0:
                    return cls(fields.seconds(expiry), tag, seed, signature)
        except bencode.BencodeError:
            pass
        return None


class UserProfile(AccountConfig):
    """The own profile. `now` is in Unix seconds everywhere."""

    NAMESPACE = 2
    DOMAIN = b"UserProfile"
    KIND = SharedConfigMessage.USER_PROFILE

    @property
    def name(self) -> str:
        """The display name, empty if there is none."""
        return fields.text(self._get(b"n"))

    def set_name(self, name: str, now: int) -> None:
        """Up to 100 bytes of UTF-8; `ValueError` above. An empty one removes it."""
        self._set_profile(b"n", fields.or_none(fields.checked_name(name)), now)

    @property
    def picture(self) -> Picture | None:
        """The picture in force: one uploaded again by itself, if that was after the user's last change."""
        if fields.seconds(self._get(b"T")) > fields.seconds(self._get(b"t")):
            again = fields.picture(self._data, b"P", b"Q")
            if again is not None:
                return again
        return fields.picture(self._data)

    def set_picture(self, picture: Picture | None, now: int) -> None:
        """Sets the picture that the user chose, or removes it."""
        before = self.picture
        if picture is None:
            for key in (b"p", b"q", b"P", b"Q"):
                self._set((key,), None)
        else:
            self._set((b"p",), picture.url.encode())
            self._set((b"q",), picture.key)
        if before != picture:
            # Whatever the clock of who uploaded the last one again, this one is newer.
            self._set((b"t",), max(now, fields.seconds(self._get(b"T"))))

    def set_reuploaded_picture(self, picture: Picture, now: int) -> None:
        """The same picture has been uploaded again, which is no change of the user's."""
        self._set((b"P",), picture.url.encode())
        self._set((b"Q",), picture.key)
        self._set((b"T",), now)

    @property
    def updated(self) -> int:
        """When the profile last changed, in Unix seconds; 0 if that is not known."""
        return max(fields.seconds(self._get(b"t")), fields.seconds(self._get(b"T")))

    @property
    def note_to_self_priority(self) -> int:
        """Above 0 pinned, -1 hidden, else 0."""
        return fields.number(self._get(b"+"))

    @note_to_self_priority.setter
    def note_to_self_priority(self, priority: int) -> None:
        self._set((b"+",), fields.or_none(priority))

    @property
    def note_to_self_timer(self) -> int:
        """After how many seconds notes to self disappear; 0 never."""
        return fields.count(self._get(b"e"))

    @note_to_self_timer.setter
    def note_to_self_timer(self, seconds: int) -> None:
        self._set((b"e",), fields.or_none(max(seconds, 0)))

    @property
    def community_requests(self) -> bool | None:
        """Whether blinded users may write to us; None if it was never set."""
        value = self._get(b"M")
        return bool(value) if isinstance(value, int) else None

    def set_community_requests(self, accepted: bool | None, now: int) -> None:
        """Sets whether blinded users may write to us."""
        self._set_profile(b"M", None if accepted is None else int(accepted), now)

    def _set_profile(self, key: bytes, value: int | bytes | set[int | bytes] | None, now: int) -> None:
        """What counts as the user's change of the profile sets its time too."""
        if self._get(key) == value:
            return
        self._set((key,), value)
        again = fields.seconds(self._get(b"T")) > fields.seconds(self._get(b"t"))
        self._set((b"T" if again else b"t",), now)

    # Session Pro

    @property
    def features(self) -> frozenset[int]:
        """Feature numbers shown on the profile: 0 Pro badge, 1 animated picture."""
        return fields.features(self._get(b"f"))

    def set_features(self, features: frozenset[int], now: int) -> None:
        """Sets the feature numbers shown on the profile."""
        self._set_profile(b"f", fields.flags(features), now)

    @property
    def pro_credential(self) -> ProCredential | None:
        """The proof of Session Pro; None if there is none, or one of an older form."""
        value = self._get(b"s")
        return ProCredential.parse(value) if isinstance(value, bytes) else None

    def set_pro_credential(self, credential: ProCredential | None, now: int) -> None:
        """Sets or removes the proof. A live one ends a purchase that was under way."""
        self._set_profile(b"s", credential.encoded() if credential else None, now)
        if credential and credential.expiry > now:
            self._set((b"I",), None)

    @property
    def pro_access_end(self) -> int:
        """When Pro ends, in Unix seconds; 0 if it is not known."""
        return fields.seconds(self._get(b"E"))

    def set_pro_access(self, end: int, grace: int, renews: bool, now: int) -> None:
        """What the backend said of the subscription: its end and grace in seconds, and whether it renews itself."""
        self._set((b"E",), fields.or_none(end))
        self._set((b"G",), fields.or_none(grace if end else 0))
        self._set((b"A",), 1 if renews else None)
        if end > now:
            self._set((b"I",), None)
            if 0 < fields.seconds(self._get(b"R")) < now - _WEEK:
                self._set((b"R",), None)

    @property
    def pro_renews(self) -> bool:
        """Whether the subscription renews itself."""
        return bool(fields.number(self._get(b"A")))

    @property
    def pro_grace(self) -> int:
        """The store's grace period in seconds; the end less this is when it is renewed."""
        return fields.count(self._get(b"G"))

    def pro_refund_requested(self, now: int) -> int:
        """When a refund was asked for, unless that is a week ago; else 0."""
        return self._recent(b"R", now)

    def set_pro_refund_requested(self, when: int, now: int) -> None:
        """Sets when a refund was asked for, or with 0 removes it."""
        self._set_profile(b"R", fields.or_none(when), now)

    def pro_purchase_started(self, now: int) -> int:
        """When a purchase that is under way began, unless that is a week ago; else 0."""
        return self._recent(b"I", now)

    def set_pro_purchase_started(self, when: int, now: int) -> None:
        """A purchase is under way; nothing happens where there is a proof or Pro already."""
        if when and (self.pro_credential is not None or self.pro_access_end > now):
            return
        self._set_profile(b"I", fields.or_none(when), now)

    def _recent(self, key: bytes, now: int) -> int:
        when = fields.seconds(self._get(key))
        return when if when >= now - _WEEK else 0

    def pro_renewal(self, now: int) -> int | None:
        """When to fetch a proof, in Unix seconds, the same on each device; None if none is to be had."""
        credential = self.pro_credential
        if credential is None:
            return now if self.pro_purchase_started(now) or self.pro_access_end > now else None
        if credential.expiry <= now:
            return now
        if self.pro_access_end - now <= _RENEWAL_LEAD:
            return None
        target = credential.expiry - _RENEWAL_LEAD
        if _near_border(target):
            target -= _EARLIER
        if target <= now and _near_border(now) and credential.expiry - now >= _NEEDED:
            return now + _DEFER
        return max(target, now)


def _near_border(when: int) -> bool:
    return min(when % _WEEK, -when % _WEEK) <= _BORDER
