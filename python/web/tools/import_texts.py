"""Fills catalogues from the packages that spec/languages allows: `python -m web.tools.import_texts FOLDER [TAG ...]`.

FOLDER has the packages as `npm pack` and `pip download` leave them: matrix-react-sdk 3.75.0 (Apache-2.0), Django (BSD),
primelocale (MIT), cldr-core and cldr-localenames-full (Unicode-3.0). What a person or a machine has written stays; what
came from a source before is taken anew. A text that would be wrong (`catalogue.problems`) is left out.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from web.tools import catalogue
from web.tools.sources import OTHERWISE, REFUSED, SAME, Cldr, Django, Matrix, Prime, Source, plain

#: Texts that may be the same as in English without being left untranslated.
INTERNATIONAL = {"chat.emoji", "chat.placeholder", "group.admin", "file.video", "settings.profile", "message.reactions"}


def converted(text: str, english: str) -> str:
    """A source's text as an ICU message: our placeholders, apostrophes and way of ending."""
    text = re.sub(r"%\((\w+)\)s", r"{\1}", text.strip()).replace("'", "\u2019").replace("...", "…")
    # Some begin with a joiner that joins nothing; Georgian's capitals are for whole words.
    text = re.sub(r"\s+", " ", text.lstrip("\u200c\u200d")).replace(" …", "…")
    text = "".join(letter.lower() if "\u1c90" <= letter <= "\u1cbf" else letter for letter in text)
    if not english.endswith((".", "!", "…")):
        text = re.sub(r"\s*[.!\uff01\u3002\u2026]+$", "", text).lstrip("¡")
    if english[:1].isupper() and ord(text[:1] or " ") < 0x0590:
        text = text[:1].upper() + text[1:]
    return text


def message(forms: Mapping[str, str], english: str, wanted: list[str], language: str) -> str | None:
    """One text, or a plural of the forms that the language wants; none if the source lacks one of them."""
    if "{count, plural" not in english:
        return converted(forms["other"], english)
    if not set(wanted) <= set(forms):
        return None
    branches = [f"{form} {{{converted(forms[form], '').replace('{count}', '#')}}}" for form in wanted]
    return f"{{count, plural, {' '.join(branches)}}}"


def taken(source: Source, key: str, english: str, texts: Mapping[str, Mapping[str, str]]) -> Mapping[str, str] | None:
    """What a source has for a key of ours."""
    named = SAME[source.name.split()[0]].get(key)
    if named is not None:
        return texts.get(named)
    if key in OTHERWISE or source.name.startswith("primelocale"):
        return None
    return texts.get(plain(english))


def fill(language: str, sources: list[Source], forms: list[str]) -> tuple[int, int]:
    """How many texts of a language were taken anew, and how many were refused."""
    read = [(source, source.texts(language)) for source in sources]
    count = refused = 0
    #: What the core says is said in the same words elsewhere: English -> text.
    own: dict[str, str] = {}
    for part in catalogue.PARTS:
        english = catalogue.read(part, "en")[0]
        texts, whence = catalogue.read(part, language)
        names = {catalogue.REPEATED, *(source.name.split()[0] for source in sources)}
        for key in [key for key, source in whence.items() if source.split()[0] in names]:
            del texts[key], whence[key]
        for key in english.keys() - texts.keys():
            if key in REFUSED.get(language, ()):
                continue
            if again := own.get(english[key]):
                texts[key], whence[key] = again, catalogue.REPEATED
                continue
            for source, found in read:
                had = taken(source, key, english[key], found)
                text = had and message(had, english[key], forms, language)
                if not text or (text == english[key] and key not in INTERNATIONAL):
                    continue
                if catalogue.problems(text, english[key], forms):
                    refused += 1
                    continue
                texts[key], whence[key] = text, source.name
                count += 1
                break
        if part == "core":
            own = {english[key]: text for key, text in texts.items() if text != english[key]}
        if texts:
            catalogue.write(part, language, texts, whence)
    return count, refused


def latin(text: str) -> str:
    """Serbian in Latin letters, as each Cyrillic one has its own; placeholders and plural forms are Latin already."""
    pairs = dict(zip("абвгдђежзијклмнопрстћуфхцчш", "abvgdđežzijklmnoprstćufhcčš", strict=True))
    pairs |= {"љ": "lj", "њ": "nj", "џ": "dž"}
    pairs |= {cyrillic.upper(): roman.capitalize() for cyrillic, roman in pairs.items()}
    return "".join(pairs.get(letter, letter) for letter in text)


def transliterate(forms: dict[str, list[str]]) -> None:
    """`sr-Latn` is `sr` in other letters, text by text."""
    for part in catalogue.PARTS:
        texts, whence = catalogue.read(part, "sr")
        if texts and "sr-Latn" in forms:
            catalogue.write(part, "sr-Latn", {key: latin(text) for key, text in texts.items()}, whence)


def main() -> None:
    """Every language that has a core already, or those that are named."""
    folder, *named = sys.argv[1:]

    def package(pattern: str) -> Path:
        return sorted(Path(folder).glob(pattern))[-1]

    sources: list[Source] = [
        Matrix(package("matrix-react-sdk-*.tgz")),
        Django(package("[Dd]jango-*.whl")),
        Prime(package("primelocale-*.tgz")),
    ]
    cldr = Cldr(package("cldr-core-*.tgz"), package("cldr-localenames-full-*.tgz"))
    languages = sorted({*named, *(path.stem for path in (catalogue.LOCALES / "core").glob("*.json"))})
    plurals = {language: cldr.forms(language) for language in languages}
    names = {language: cldr.names(language) for language in languages}
    for name, content in (("plurals", plurals), ("names", names)):
        lines = ",\n".join(
            f"  {json.dumps(key)}: {json.dumps(each, ensure_ascii=False)}" for key, each in content.items()
        )
        (catalogue.LOCALES / f"{name}.json").write_text(f"{{\n{lines}\n}}\n")
    for language in languages:
        if language not in ("en", "sr-Latn"):
            count, refused = fill(language, sources, plurals[language])
            print(f"{language}: {count} taken, {refused} refused")
    transliterate(plurals)


if __name__ == "__main__":
    main()
