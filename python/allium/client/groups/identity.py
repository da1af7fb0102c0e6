"""A group's own keys, and what each member shares with it (`spec/groups` §1, §2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from nacl import bindings
from nacl.exceptions import CryptoError

from allium.client import crypto
from allium.client.account import Account, account_key
from allium.client.configs import ids

MAX_MEMBERS = 100
#: For what a member's shared key is.
KEYS, KICKED = b"SessionGroupKeyMemberKey", b"SessionGroupKickedMessage"


@dataclass(frozen=True)
class GroupIdentity:
    """A group: its Ed25519 key, and, of an admin, its seed."""

    public: bytes
    #: 32 bytes. Secret; it makes an admin of who has it.
    seed: bytes | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, group_id: str, seed: bytes | None = None) -> GroupIdentity:
        """The group of an id; `ValueError` for a bad one, and for a seed of another group."""
        public = ids.packed(group_id, ids.GROUP)[1:]
        if seed is not None and cls.of_seed(seed).public != public:
            raise ValueError("the seed is another group's")
        return cls(public, seed)

    @classmethod
    def of_seed(cls, seed: bytes) -> GroupIdentity:
        """The group of a seed of 32 bytes."""
        if len(seed) != crypto.SEED_BYTES:
            raise ValueError(f"a group's seed has {crypto.SEED_BYTES} bytes")
        return cls(crypto.key_pair(seed)[0], seed)

    @property
    def group_id(self) -> str:
        """03 and 64 digits."""
        return ids.GROUP + self.public.hex()

    @property
    def secret(self) -> bytes:
        """The Ed25519 secret of 64 bytes; `ValueError` without the seed."""
        if self.seed is None:
            raise ValueError("only an admin can do this")
        return crypto.key_pair(self.seed)[1]

    @property
    def x25519_public(self) -> bytes:
        """The group's key as X25519 has it; `ValueError` if it is none."""
        try:
            return bindings.crypto_sign_ed25519_pk_to_curve25519(self.public)
        except Exception as error:  # PyNaCl has its own exception type for a point it cannot convert
            raise ValueError("not a group's key") from error

    def sign(self, message: bytes) -> bytes:
        """An admin's signature, 64 bytes."""
        return crypto.sign(self.secret, message)

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether an admin signed it."""
        return crypto.verify(self.public, signature, message)

    def key_for(self, account_id: str, purpose: bytes) -> bytes | None:
        """The key (32 bytes) that an admin shares with an account; None if that account's key is good for nothing."""
        member = account_key(account_id)
        secret = bindings.crypto_sign_ed25519_sk_to_curve25519(self.secret)
        return _shared(secret, member, self.x25519_public, member, purpose)

    def key_of(self, account: Account, purpose: bytes) -> bytes | None:
        """The same key, as the account itself makes it."""
        group = self.x25519_public
        return _shared(account.x25519_secret, group, group, account.x25519_public, purpose)


def _shared(secret: bytes, public: bytes, group: bytes, member: bytes, purpose: bytes) -> bytes | None:
    try:
        point = bindings.crypto_scalarmult(secret, public)
    except (CryptoError, ValueError, RuntimeError):
        return None
    return crypto.blake2b(32, point, group, member, key=purpose)
