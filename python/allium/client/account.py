"""Accounts: one secret of 16 bytes, 32 of a very old one, and the two key pairs made from it (`spec/accounts` §1)."""

from __future__ import annotations

import re
import secrets

from nacl import bindings

from allium.client import phrase, words

ACCOUNT_ID_PREFIX = "05"
_ACCOUNT_ID = re.compile(r"05[0-9a-f]{64}")


def account_key(account_id: str) -> bytes:
    """The 32-byte X25519 key of an Account ID (`05` and 64 hex digits, any case); `ValueError` for anything else."""
    lowered = account_id.lower()
    if _ACCOUNT_ID.fullmatch(lowered) is None:
        raise ValueError(f"an Account ID is 05 and 64 hex digits, not {account_id!r}")
    return bytes.fromhex(lowered[len(ACCOUNT_ID_PREFIX) :])


def account_id_of(ed25519_public: bytes) -> str:
    """The Account ID that an Ed25519 key signs for; `ValueError` when the key is not a usable point."""
    try:
        key = bindings.crypto_sign_ed25519_pk_to_curve25519(ed25519_public)
    except Exception as error:  # PyNaCl has its own exception type for a point it cannot convert
        raise ValueError("not an Ed25519 public key") from error
    return ACCOUNT_ID_PREFIX + key.hex()


class Account:
    """A user's identity. What it holds is secret; only `account_id` and the two public keys may be shown."""

    __slots__ = ("_ed25519_public", "_ed25519_secret", "_entropy", "_x25519_public", "_x25519_secret")

    def __init__(self, entropy: bytes) -> None:
        """The account of 16 secret bytes; `ValueError` for any other length."""
        if len(entropy) != words.ENTROPY_BYTES:
            raise ValueError(f"an account is {words.ENTROPY_BYTES} bytes, not {len(entropy)}")
        self._derive(bytes(entropy).ljust(words.SEED_BYTES, b"\0"))

    def _derive(self, seed: bytes) -> None:
        #: Of most accounts, the first half is all there is of it.
        self._entropy = seed if any(seed[words.ENTROPY_BYTES :]) else seed[: words.ENTROPY_BYTES]
        self._ed25519_public, self._ed25519_secret = bindings.crypto_sign_seed_keypair(seed)
        self._x25519_public = bindings.crypto_sign_ed25519_pk_to_curve25519(self._ed25519_public)
        self._x25519_secret = bindings.crypto_sign_ed25519_sk_to_curve25519(self._ed25519_secret)

    @classmethod
    def new(cls) -> Account:
        """A fresh account from the system's randomness."""
        return cls(secrets.token_bytes(words.ENTROPY_BYTES))

    @classmethod
    def from_phrase(cls, text: str) -> Account:
        """The account of a recovery phrase, or of the hex digits that its QR code carries; else `words.PhraseError`."""
        secret = phrase.secret(text)
        return cls(secret) if len(secret) == words.ENTROPY_BYTES else cls.from_seed(secret)

    @classmethod
    def from_seed(cls, seed: bytes) -> Account:
        """A very old account, whose 32 secret bytes are the seed itself; `ValueError` for any other length."""
        if len(seed) != words.SEED_BYTES:
            raise ValueError(f"a seed is {words.SEED_BYTES} bytes, not {len(seed)}")
        account = cls.__new__(cls)
        account._derive(seed)
        return account

    @property
    def account_id(self) -> str:
        """`05` and the X25519 key: 66 lower-case hex digits."""
        return ACCOUNT_ID_PREFIX + self._x25519_public.hex()

    @property
    def phrase(self) -> str:
        """The recovery phrase: 13 words, of a very old account 25. Secret."""
        return words.encode(self._entropy)

    @property
    def ed25519_public(self) -> bytes:
        """The 32-byte key that others check our signatures with."""
        return self._ed25519_public

    @property
    def ed25519_secret(self) -> bytes:
        """Seed and public key, 64 bytes as libsodium wants them. Secret."""
        return self._ed25519_secret

    @property
    def x25519_public(self) -> bytes:
        """The 32-byte key that others seal messages to."""
        return self._x25519_public

    @property
    def x25519_secret(self) -> bytes:
        """The 32-byte key that opens sealed messages. Secret."""
        return self._x25519_secret

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of `message`."""
        return bindings.crypto_sign(message, self._ed25519_secret)[: bindings.crypto_sign_BYTES]

    def __repr__(self) -> str:
        return f"Account({self.account_id})"
