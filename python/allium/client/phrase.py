"""A recovery phrase as people have it: numbered, in quotes, by full-width letters, in a file of another encoding."""

from __future__ import annotations

import codecs
import re
import unicodedata

from allium.client.words import PhraseError, decode, foreign_language, is_listed

#: Words of a phrase of BIP39, which other wallets have.
_BIP39 = (12, 15, 18, 21, 24)
#: Words that are not in the list, of which fewer may be mistakes.
_STRANGE = 2
_HEX_SECRET = re.compile(r"(?:0[xX])?((?:[0-9a-fA-F]{32}){1,2})")
_SEPARATORS = re.compile(r"[\s,;|/]+")
#: What may stand around a word: quotes, numbers, bullets.
_AROUND = re.compile(r"^[\W\d_]+|[\W\d_]+$")


def decoded(content: bytes) -> str:
    """The text of a file, in UTF-8 or UTF-16; raises `PhraseError`."""
    encoding = "utf-8-sig"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif content[1:2] == b"\0" or content[:1] == b"\0":
        encoding = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise PhraseError("it is no text in UTF-8 or UTF-16") from None


def secret(text: str) -> bytes:
    """The 16 bytes of a phrase of 13 words, or 32 of an old one of 25; or their hex digits. Raises `PhraseError`."""
    text = unicodedata.normalize("NFKC", text)
    # Zero-width characters and marks of direction or byte order.
    text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    bare = text.strip().strip("\"'`\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}").strip()
    if found := _HEX_SECRET.fullmatch(bare):
        return bytes.fromhex(found[1])
    words = [word for part in _SEPARATORS.split(text) if (word := _AROUND.sub("", part))]
    try:
        return decode(" ".join(words))
    except PhraseError as error:
        raise _recognised(words) or error from None


def _recognised(words: list[str]) -> PhraseError | None:
    """What else these words are, if it can be told."""
    if (language := foreign_language(words)) is not None:
        return PhraseError(f"these words are {language}; a recovery phrase of Session has English words")
    if len(words) in _BIP39 and sum(not is_listed(word) for word in words) >= _STRANGE:
        return PhraseError(
            f"these {len(words)} words look like the phrase of a wallet (BIP39), which is no account of Session; its "
            "recovery phrase has 13 words"
        )
    return None
