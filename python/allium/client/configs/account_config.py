"""What the configs of an account have in common: the account's key, and the envelope (`spec/configs` §3)."""

from __future__ import annotations

from typing import ClassVar

from allium.client.account import Account
from allium.client.configs import codec, wrapping
from allium.client.configs.base import Config
from allium.client.crypto import SEED_BYTES
from allium.client.session_pb2 import SharedConfigMessage


class AccountConfig(Config):
    """A config that the devices of one account share."""

    KIND: ClassVar[SharedConfigMessage.Kind.ValueType]

    def __init__(self, account: Account) -> None:
        """The empty config of an account; `load` or `merge` fill it."""
        super().__init__([account.ed25519_secret[:SEED_BYTES]])
        self._account = account

    def _wrapped(self, payloads: list[bytes]) -> list[bytes]:
        if len(payloads) > 1:
            return payloads
        wrapped = wrapping.wrap(self._account, self.KIND, self._message.seqno, payloads[0])
        return [wrapped] if len(wrapped) <= codec.MAX_STORED else payloads

    def _unwrapped(self, payload: bytes) -> bytes:
        return wrapping.unwrap(self._account, payload)
