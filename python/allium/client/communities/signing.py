"""Who we are on a server, and how a request to it is signed (`spec/groups` §9.1)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import unquote

from allium.client import crypto
from allium.client.account import Account
from allium.client.configs.community import Server
from allium.client.groups import blinding, community
from allium.client.groups.blinding import BlindedKey

#: The capability of servers that know accounts by blinded ids alone.
BLIND = "blind"
_NONCE_BYTES = 16


@dataclass(frozen=True)
class Identity:
    """An account on one server: blinded where the server knows of it, else as it is."""

    account: Account
    server: Server
    #: None on a server without blinding.
    blinded: BlindedKey | None = field(repr=False)

    @classmethod
    def on(cls, account: Account, server: Server, capabilities: Collection[str] = (BLIND,)) -> Identity:
        """As the server's capabilities want it."""
        key = blinding.blinded_key(account, server.key) if BLIND in capabilities else None
        return cls(account, server, key)

    @property
    def id(self) -> str:
        """What posts of ours show as their author: 15 or 05, and 64 digits."""
        return self.blinded.blinded_id if self.blinded else self.account.account_id

    @property
    def header_id(self) -> str:
        """What requests name us by: 15 or 00, and 64 digits."""
        return self.blinded.blinded_id if self.blinded else f"00{self.account.ed25519_public.hex()}"

    def sign(self, data: bytes) -> bytes:
        """The signature (64 bytes) of a post, which verifies against `id`."""
        return self.blinded.sign(data) if self.blinded else community.sign_unblinded(self.account, data)

    def key_for(self, other: str) -> BlindedKey:
        """Our key of the scheme of another's blinded id. `ValueError` on a server without blinding."""
        if self.blinded is None:
            raise ValueError("the server has no blinded ids")
        return blinding.blinded_key(self.account, self.server.key, 25 if other.startswith("25") else 15)

    @cached_property
    def own_ids(self) -> frozenset[str]:
        """Every id that posts of this account can show on this server."""
        return frozenset([self.account.account_id, *blinding.candidates(self.account.account_id, self.server.key)])

    def is_own(self, author: str) -> bool:
        """Whether an author on this server is this account, under whatever id."""
        return author.lower() in self.own_ids

    def headers(self, method: str, path: str, body: bytes, now: int, nonce: bytes | None = None) -> dict[str, str]:
        """The four headers of a request; `path` with its query and percent signs, `now` in Unix seconds.

        A nonce serves once: each attempt has its own headers.
        """
        return self.headers_of_hash(method, path, crypto.blake2b(64, body) if body else b"", now, nonce)

    def headers_of_hash(
        self, method: str, path: str, hashed: bytes, now: int, nonce: bytes | None = None
    ) -> dict[str, str]:
        """The same of a body of which blake2b-64 is known; without a body, `hashed` is empty."""
        nonce = nonce or secrets.token_bytes(_NONCE_BYTES)
        text = blinding.request_text(self.server.key, nonce, now, method, unquote(path)) + hashed
        signature = self.blinded.sign(text) if self.blinded else self.account.sign(text)
        return {
            "X-SOGS-Pubkey": self.header_id,
            "X-SOGS-Nonce": base64.b64encode(nonce).decode(),
            "X-SOGS-Timestamp": str(now),
            "X-SOGS-Signature": base64.b64encode(signature).decode(),
        }
