"""A height as the sequencer of `solo` signs it: the input, and the roots before and after."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

from nacl import bindings

from allium.appchain.certificates import signed
from allium.appchain.encoding import encode
from allium.appchain.input import Input
from allium.appchain.state import State
from allium.appchain.types import Hash, PublicKey, Signature

_DOMAIN = b"allium.solo"


@dataclass(frozen=True)
class Block:
    """One height. Each names the root before, so that all of them are one chain."""

    previous: Hash
    given: Input
    root: Hash
    signature: Signature

    @cached_property
    def encoded(self) -> bytes:
        """The bytes in which it is kept and travels."""
        return encode(self)

    def is_signed(self, chain: Hash, sequencer: PublicKey) -> bool:
        """Whether the sequencer of a chain made it."""
        return signed(sequencer, self.signature, _message(chain, self.previous, self.given, self.root))


def sign(before: State, given: Input, after: State, secret: bytes) -> Block:
    """The block of `given`, by libsodium's secret key."""
    message = _message(before.parameters.chain, before.root, given, after.root)
    signature = Signature(bindings.crypto_sign(message, secret)[: bindings.crypto_sign_BYTES])
    return Block(before.root, given, after.root, signature)


def _message(chain: Hash, previous: Hash, given: Input, root: Hash) -> bytes:
    digest = blake2b(encode(given), digest_size=32, person=_DOMAIN).digest()
    return _DOMAIN + chain + previous + digest + root
