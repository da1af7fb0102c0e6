"""What the configs of a group have in common: its keys, and an admin's signature (`spec/groups` §3)."""

from __future__ import annotations

from collections.abc import Sequence

from allium.client import crypto
from allium.client.configs.base import Config


class GroupConfig(Config):
    """A config that a group's admins write and its members read."""

    def __init__(self, group_key: bytes, keys: Sequence[bytes], secret: bytes | None = None) -> None:
        """`group_key` is Ed25519, `keys` are the group's keys with the current one first, 32 bytes each.

        Who has `secret`, the group's 64 bytes, can write.
        """
        super().__init__(keys, verify=lambda signed, signature: crypto.verify(group_key, signature, signed))
        self.promote(secret)

    def promote(self, secret: bytes | None) -> None:
        """From now on with the group's secret (64 bytes): we are an admin."""
        self._sign = None if secret is None else lambda signed: crypto.sign(secret, signed)

    def set_keys(self, keys: Sequence[bytes], *, rekeyed: bool = False) -> None:
        """The group's keys, the current one first. After a re-key of ours all has to be written anew, under it."""
        self._keys = list(keys)
        if rekeyed:
            self._begin()
