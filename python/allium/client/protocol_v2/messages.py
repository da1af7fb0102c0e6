"""Direct messages of protocol v2: sealed with keys that are soon forgotten, or, without those, with the account's own.

Both look alike to whoever has neither (`spec/protocol-v2` §3, §4).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from allium.client import bencode, crypto
from allium.client.account import Account, account_id_of, account_key
from allium.client.bencode import Value
from allium.client.protocol_v2.account_keys import AccountKey, PublicKeys
from allium.client.protocol_v2.primitives import (
    MAX_STORED,
    ML_KEM_CIPHERTEXT_BYTES,
    PREFIX_BYTES,
    SIGNATURE,
    X25519_BYTES,
    Encapsulation,
    Ephemeral,
    KeyPair,
    ProtocolError,
    UnopenedError,
    before,
    bytes_at,
    read_dict,
    shake,
    x25519,
    xor,
)

_VERSION = b"\x00\x02"
_PRO_SIGNATURE = b"~P"
_HEADER_BYTES = len(_VERSION) + PREFIX_BYTES + X25519_BYTES + ML_KEM_CIPHERTEXT_BYTES
_STEP, _MIN_BYTES = 256, 1536
#: What ends the input of X-Wing's hash.
_X_WING = rb"\.//^" + b"\\"


@dataclass(frozen=True, slots=True)
class Opened:
    """A message, and what is certain about it."""

    #: `05` and 64 hex digits.
    sender: str
    #: 32 bytes.
    sender_ed25519: bytes
    #: Content, as protobuf.
    content: bytes
    #: False if it can be opened for as long as the recipient's account exists: readers are to be shown that.
    forward_secret: bool
    #: Of `pro_signed` by the rotating key that the content names, 64 bytes: not checked yet.
    pro_signature: bytes | None = None
    pro_signed: bytes = b""


class Reader:
    """Opens messages to one account with the keys that it has now. Making it derives all of them, so it is kept."""

    def __init__(self, account: Account, keys: Iterable[AccountKey]) -> None:
        self._account = account
        self._pairs: dict[bytes, list[KeyPair]] = {}
        for key in keys:
            pair = key.pair()
            self._pairs.setdefault(pair.ml_kem_public[:PREFIX_BYTES], []).append(pair)

    def open(self, data: bytes) -> Opened:
        """What somebody sent to the account.

        `UnopenedError` for what was sealed for other keys; any other `ProtocolError` for what is no message of version
        2, or not by who it says.
        """
        if version(data) != 2:
            raise ProtocolError("a message of version 1")
        if not _HEADER_BYTES + crypto.TAG_BYTES <= len(data) <= MAX_STORED:
            raise ProtocolError("a message of no length that there is")
        told, ephemeral, ciphertext = data[2:4], data[4:36], data[36:_HEADER_BYTES]
        own = self._account.x25519_public
        shared = x25519(self._account.x25519_secret, ephemeral)
        for pair in self._pairs.get(xor(told, _kiss(shared, ephemeral, own)), ()):
            point = x25519(pair.x25519_secret, ephemeral)
            key, nonce = _keys(pair.decapsulate(ciphertext), point, ephemeral, pair.x25519_public)
            if (inner := crypto.decrypt(data[_HEADER_BYTES:], nonce, key)) is not None:
                return self._read(inner, forward_secret=True)
        key, nonce = _fallback_keys(shared, ephemeral, own)
        if (inner := crypto.decrypt(data[_HEADER_BYTES:], nonce, key)) is None:
            raise UnopenedError("a message that none of the keys opens")
        return self._read(inner, forward_secret=False)

    def _read(self, inner: bytes, *, forward_secret: bool) -> Opened:
        items = read_dict(inner.rstrip(b"\0"))
        signer, content = bytes_at(items, b"S", crypto.PUBLIC_KEY_BYTES), bytes_at(items, b"c")
        signature = bytes_at(items, SIGNATURE, crypto.SIGNATURE_BYTES)
        if not crypto.verify(signer, signature, _signed(items, self._account.account_id)):
            raise ProtocolError("the signature is not the sender's")
        try:
            sender = account_id_of(signer)
        except ValueError:
            raise ProtocolError("a sender without an Account ID") from None
        pro = bytes_at(items, _PRO_SIGNATURE, crypto.SIGNATURE_BYTES) if _PRO_SIGNATURE in items else None
        pro_signed = before(items, _PRO_SIGNATURE) if pro else b""
        return Opened(sender, signer, content, forward_secret, pro, pro_signed)


def version(data: bytes) -> int:
    """1 or 2, of what is stored in an account's namespace 0; `ProtocolError` for one that there is not yet."""
    if data[:1] != _VERSION[:1]:
        return 1
    if data[:2] != _VERSION:
        raise ProtocolError("a message of an unknown version")
    return 2


def seal(
    content: bytes,
    sender: Account,
    recipient: str,
    keys: PublicKeys,
    *,
    pro_secret: bytes | None = None,
    ephemeral: Ephemeral | None = None,
    encapsulation: Encapsulation | None = None,
) -> bytes:
    """What is stored for an Account ID whose current keys are known: 1536 bytes, or more in steps of 256.

    `pro_secret` is the rotating key of Session Pro, 64 bytes. What is not given of the last two is fresh, as it must be
    but for vectors. `ProtocolError` for keys that are none, `ValueError` for content that no node would store.
    """
    ephemeral = ephemeral or Ephemeral()
    encapsulation = encapsulation or Encapsulation.to(keys.ml_kem)
    own = account_key(recipient)
    kiss = _kiss(x25519(ephemeral.secret, own), ephemeral.public, own)
    point = x25519(ephemeral.secret, keys.x25519)
    key, nonce = _keys(encapsulation.secret, point, ephemeral.public, keys.x25519)
    header = _VERSION + xor(keys.ml_kem[:PREFIX_BYTES], kiss) + ephemeral.public + encapsulation.ciphertext
    return header + crypto.encrypt(_padded(inner(content, sender, recipient, pro_secret)), nonce, key)


def seal_without_keys(
    content: bytes,
    sender: Account,
    recipient: str,
    *,
    pro_secret: bytes | None = None,
    ephemeral: Ephemeral | None = None,
    random: bytes | None = None,
) -> bytes:
    """The same for an Account ID that has no keys; not to be told apart from outside, and without forward secrecy.

    `random` is what stands for the key's first bytes and the ciphertext: 1090 bytes, fresh but for vectors.
    """
    ephemeral, own = ephemeral or Ephemeral(), account_key(recipient)
    random = random or secrets.token_bytes(PREFIX_BYTES + ML_KEM_CIPHERTEXT_BYTES)
    key, nonce = _fallback_keys(x25519(ephemeral.secret, own), ephemeral.public, own)
    header = _VERSION + random[:PREFIX_BYTES] + ephemeral.public + random[PREFIX_BYTES:]
    return header + crypto.encrypt(_padded(inner(content, sender, recipient, pro_secret)), nonce, key)


def inner(content: bytes, sender: Account, recipient: str, pro_secret: bytes | None = None) -> bytes:
    """Content and who signs that it is for `recipient`, before it is padded and sealed."""
    items: dict[bytes, Value] = {b"S": sender.ed25519_public, b"c": content}
    items[SIGNATURE] = sender.sign(_signed(items, recipient))
    if pro_secret is not None:
        items[_PRO_SIGNATURE] = crypto.sign(pro_secret, before(items, _PRO_SIGNATURE))
    return bencode.encode(items)


def _signed(items: dict[bytes, Value], recipient: str) -> bytes:
    return crypto.blake2b(64, before(items), key=bytes.fromhex(recipient), person=b"SessionV2Message")


def _padded(plaintext: bytes) -> bytes:
    around = _HEADER_BYTES + crypto.TAG_BYTES
    total = max(_MIN_BYTES, -(-(len(plaintext) + around) // _STEP) * _STEP)
    if total > MAX_STORED:
        raise ValueError(f"a message is {total} bytes, and nodes store {MAX_STORED}")
    return plaintext.ljust(total - around, b"\0")


def _kiss(shared: bytes, ephemeral: bytes, own: bytes) -> bytes:
    return crypto.blake2b(PREFIX_BYTES, ephemeral, own, key=shared, person=b"Session-Msg-KISS")


def _keys(secret: bytes, point: bytes, ephemeral: bytes, x25519_public: bytes) -> tuple[bytes, bytes]:
    mixed = hashlib.sha3_256(secret + point + ephemeral + x25519_public + _X_WING).digest()
    return _key_and_nonce(b"SessionV2MessageSS", mixed)


def _fallback_keys(shared: bytes, ephemeral: bytes, own: bytes) -> tuple[bytes, bytes]:
    mixed = hashlib.sha3_256(shared + own + ephemeral + b"SessionV2NonPFS").digest()
    return _key_and_nonce(b"SessionV2NonPFSSS", mixed)


def _key_and_nonce(domain: bytes, mixed: bytes) -> tuple[bytes, bytes]:
    wide = shake(crypto.KEY_BYTES + crypto.NONCE_BYTES, domain, mixed)
    return wide[: crypto.KEY_BYTES], wide[crypto.KEY_BYTES :]
