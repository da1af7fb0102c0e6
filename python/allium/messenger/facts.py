"""What the messenger keeps in an account's database besides."""

from __future__ import annotations

import msgspec

from allium.client.session.core import Work

_FACT = "messenger"


_GIF_KEY = "key of gif search"


class IceServer(msgspec.Struct, kw_only=True, frozen=True):
    """A STUN or TURN server, as WebRTC names it."""

    url: str
    username: str = ""
    credential: str = ""


class GifKey:
    """The key with which a provider of moving pictures is asked: a secret of this device, in no backup.

    That there is one says that its user has agreed to the asking.
    """

    @staticmethod
    def load(work: Work) -> str:
        """Empty if there is none."""
        return (work.database.secrets.get(_GIF_KEY) or b"").decode("utf-8", "replace")

    @staticmethod
    def store(work: Work, key: str) -> None:
        """Over what was stored; nothing of that is left. An empty one forgets it."""
        work.database.secrets.set(_GIF_KEY, key.encode())
        work.shred = True


class Facts(msgspec.Struct, kw_only=True, frozen=True):
    """Of this device alone."""

    #: Whether the user has said that the recovery phrase is written down.
    phrase_seen: bool = False
    #: Whether sites behind links may be asked.
    link_previews: bool = False
    #: Whether calls go through relays alone, so that the other side does not learn our address.
    relay_only: bool = False
    #: Servers that find ways through firewalls, as the owner has set them; None for those of the network.
    ice_servers: list[IceServer] | None = None

    @classmethod
    def load(cls, work: Work) -> Facts:
        """As they were stored; what cannot be read is as at first."""
        try:
            return msgspec.json.decode(work.database.facts.get(_FACT) or b"{}", type=cls)
        except msgspec.DecodeError:
            return cls()

    def store(self, work: Work) -> None:
        """Over what was stored."""
        work.database.facts.set(_FACT, msgspec.json.encode(self))
