"""The notice to members that were removed, which nobody else can read (`spec/groups` §7)."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence

from allium.client import bencode, crypto
from allium.client.account import Account, account_key
from allium.client.bencode import Value
from allium.client.groups.identity import KICKED, GroupIdentity

NAMESPACE = -11
_MAX_ENTRIES = 10_000
#: Notices that are kept until they can be judged.
MOST_KEPT = 20


def seal(group: GroupIdentity, removed: Sequence[str], generation: int, nonce: bytes | None = None) -> bytes:
    """What is stored in namespace -11 of the group: that these Account IDs are members no longer."""
    nonce = nonce or secrets.token_bytes(crypto.NONCE_BYTES)
    sealed: list[Value] = []
    for account_id in removed:
        key = group.key_for(account_id, KICKED)
        if key is not None:
            plaintext = account_key(account_id) + str(generation).encode()
            sealed.append(crypto.encrypt(plaintext, nonce, key))
    return bencode.encode({b"#": nonce, b"e": sealed})


def is_for(group: GroupIdentity, account: Account, data: bytes, generation: int) -> bool:
    """Whether the notice removes this account, whose key is of `generation`; false for bytes that are no notice."""
    key = group.key_of(account, KICKED)
    try:
        notice = bencode.decode_dict(data)
    except bencode.BencodeError:
        return False
    nonce, entries = notice.get(b"#"), notice.get(b"e")
    if key is None or not isinstance(nonce, bytes) or not isinstance(entries, list):
        return False
    for entry in entries[:_MAX_ENTRIES]:
        plaintext = crypto.decrypt(entry, nonce, key) if isinstance(entry, bytes) else None
        if plaintext is not None and hmac.compare_digest(plaintext[:32], account.x25519_public):
            digits = plaintext[32:]
            return digits.isdigit() and len(digits) < 20 and int(digits) >= generation
    return False
