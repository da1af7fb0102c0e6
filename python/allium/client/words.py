"""The recovery phrase: 16 bytes as 13 English words, 32 of a very old account as 25 (`spec/accounts` §1-2)."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import unicodedata
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from allium.errors import Complaint

#: SHA-256 of the words joined by line feeds; any other list would restore other accounts.
WORD_LIST_SHA256 = "998df55cb16d2318130c5cf7e9d4408247c8c4674935ee6e07d53f2f00ccf19b"
#: Every word of the list differs from all others in this many first letters.
PREFIX_LENGTH = 3
ENTROPY_BYTES = 16
#: Of an account whose whole seed its phrase has.
SEED_BYTES = 32
#: Words for a group of bytes.
_GROUP, _GROUP_BYTES = 3, 4
#: Words of a phrase before its last.
_LENGTHS = tuple(length // _GROUP_BYTES * _GROUP for length in (ENTROPY_BYTES, SEED_BYTES))


class PhraseError(Complaint, ValueError):
    """A recovery phrase that restores no account; the text says which word is wrong."""


@lru_cache(maxsize=1)
def word_list() -> tuple[str, ...]:
    """The 1626 words, sorted; `RuntimeError` when the list is missing or is not the one pinned here.

    The list is read as data from the file in package `monero`: importing that package's `wordlists` would load twelve
    languages, and nothing of its code is needed.
    """
    source = _lists() / "english.py"
    words = _literal_list(source.read_text(encoding="utf-8"), "word_list")
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()
    if digest != WORD_LIST_SHA256:
        raise RuntimeError(f"{source} holds another word list: SHA-256 {digest}, not {WORD_LIST_SHA256}")
    return words


def _lists() -> Path:
    """A file for each language."""
    spec = importlib.util.find_spec("monero")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the recovery phrase's words come with the package `monero`; install it")
    return Path(spec.submodule_search_locations[0], "wordlists")


def is_listed(word: str) -> bool:
    """Whether it is a word of the list, or how one begins."""
    index = _index_by_prefix().get(word[:PREFIX_LENGTH].lower())
    return index is not None and word_list()[index].startswith(word.lower())


def foreign_language(words: Sequence[str]) -> str | None:
    """The language that all of `words` are of, if that has a list and is not English."""
    if all(map(is_listed, words)):
        return None
    for source in sorted(_lists().glob("[!_]*.py")):
        listed = _literal_list(source.read_text("utf-8"), "word_list")
        known = {unicodedata.normalize("NFKC", word).casefold() for word in listed}
        if source.stem != "english" and known.issuperset(word.casefold() for word in words):
            return source.stem.replace("_", " ").title()
    return None


def _literal_list(source: str, name: str) -> tuple[str, ...]:
    """The strings of the list literal assigned to `name`, wherever in `source`; empty when there is none."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return tuple(str(word) for word in ast.literal_eval(node.value))
    return ()


@lru_cache(maxsize=1)
def _index_by_prefix() -> dict[str, int]:
    return {word[:PREFIX_LENGTH]: index for index, word in enumerate(word_list())}


def _checksum_index(prefixes: list[str]) -> int:
    """Which of the words is repeated as the last."""
    return zlib.crc32("".join(prefixes).encode()) % len(prefixes)


def encode(entropy: bytes) -> str:
    """The 13 words of 16 bytes, or 25 of 32, separated by single spaces; `ValueError` for any other length."""
    if len(entropy) not in (ENTROPY_BYTES, SEED_BYTES):
        raise ValueError(f"an account is {ENTROPY_BYTES} or {SEED_BYTES} bytes, not {len(entropy)}")
    words = word_list()
    n = len(words)
    phrase: list[str] = []
    for start in range(0, len(entropy), _GROUP_BYTES):
        value = int.from_bytes(entropy[start : start + _GROUP_BYTES], "little")
        first = value % n
        second = (value // n + first) % n
        third = (value // n // n + second) % n
        phrase += [words[first], words[second], words[third]]
    phrase.append(phrase[_checksum_index([word[:PREFIX_LENGTH] for word in phrase])])
    return " ".join(phrase)


def decode(phrase: str) -> bytes:
    """The 16 bytes of 13 words, or 32 of 25; only the first three letters of each word count, in any case.

    `PhraseError` names the word that is unknown, the words that belong together but cannot, or the checksum word.
    """
    typed = phrase.lower().split()
    known = _index_by_prefix()
    if len(typed) in _LENGTHS and all(word[:PREFIX_LENGTH] in known for word in typed):
        last = typed[_checksum_index([word[:PREFIX_LENGTH] for word in typed])]
        raise PhraseError(
            f"the last word is missing: a recovery phrase has {len(typed) + 1} words; if these {len(typed)} are right, "
            f"it is {last!r}"
        )
    if len(typed) - 1 not in _LENGTHS:
        raise PhraseError(f"a recovery phrase has 13 words, not {len(typed)}")
    data_words = len(typed) - 1
    indices: list[int] = []
    for position, word in enumerate(typed, start=1):
        index = known.get(word[:PREFIX_LENGTH])
        if index is None:
            raise PhraseError(f"word {position}, {word!r}, is not in the word list")
        indices.append(index)
    n = len(known)
    entropy = bytearray()
    for start in range(0, data_words, _GROUP):
        first, second, third = indices[start : start + _GROUP]
        value = first + n * ((second - first) % n) + n * n * ((third - second) % n)
        if value >= 2**32:
            group = " ".join(typed[start : start + _GROUP])
            raise PhraseError(f"words {start + 1} to {start + _GROUP}, {group!r}, do not go together")
        entropy += value.to_bytes(_GROUP_BYTES, "little")
    prefixes = [word[:PREFIX_LENGTH] for word in typed]
    if prefixes[-1] != prefixes[_checksum_index(prefixes[:-1])]:
        raise PhraseError(f"the last word, {typed[-1]!r}, does not match the others: one of them is wrong")
    return bytes(entropy)
