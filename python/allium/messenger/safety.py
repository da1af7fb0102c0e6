"""Safety words: what two people read to each other to know that nobody stands between them.

An Account ID is a key. Its words are a digest of it, eight of the list that recovery phrases are of: some 85 bits, and
each key's apart, so that who looks for another key with the same words has to hit a given digest, not any two alike.
Both sides show both keys' words in the order of the ids, and so show the same.
"""

from __future__ import annotations

import hashlib

from allium.client.words import word_list

#: Words of one key.
WORDS = 8
_PERSON = b"safety words"


def words(account_id: str) -> list[str]:
    """Of an Account ID, 66 hexadecimal digits; `ValueError` for anything else."""
    key = bytes.fromhex(account_id)
    if len(key) != 33:
        raise ValueError("safety words are those of an Account ID")
    digest = hashlib.blake2b(key, digest_size=32, person=_PERSON).digest()
    number, listed, found = int.from_bytes(digest, "big"), word_list(), []
    for _ in range(WORDS):
        number, index = divmod(number, len(listed))
        found.append(listed[index])
    return found
