"""Where texts may be taken from: packages under permissive licences, read as they come from their registries.

spec/languages says which. A text is taken where the source's English is ours, or where `SAME` says that it means ours.
"""

from __future__ import annotations

import gettext
import io
import json
import re
import tarfile
import zipfile
from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath
from typing import ClassVar

#: Ours -> the source's English (Matrix, Django) or key (primelocale): other words, the same meaning.
SAME = {
    "matrix-react-sdk": {
        "welcome.create": "Create account",
        "common.copied": "Copied!",
        "list.noMatch": "No results",
        "chat.toEnd": "Scroll to most recent messages",
        "chat.readMore": "Show more",
        "chat.deleted": "Message deleted",
        "message.failed": "Failed to send",
        "message.resend": "Resend",
        "file.image": "Image",
        "theme.system": "Match system",
        "file.zoomIn": "Zoom in",
        "file.zoomOut": "Zoom out",
        "group.memberCount": "%(count)s members",
        "privacy.typing": "Send typing notifications",
        "privacy.previews": "URL Previews",
        "appearance.size": "Font size",
        "list.unread": "%(count)s unread messages.",
    },
    "django": {"file.image": "Image", "create.name": "display name", "list.filterGroups": "groups"},
    "primelocale": {
        "common.previous": "aria.previous",
        "common.next": "aria.next",
        "common.close": "aria.close",
        "common.cancel": "cancel",
        "common.remove": "aria.removeLabel",
        "message.select": "aria.selectLabel",
        "chat.today": "today",
        "list.noMatch": "emptySearchMessage",
        "file.zoomIn": "aria.zoomIn",
        "file.zoomOut": "aria.zoomOut",
    },
}
#: Ours whose English is a source's too, and means something else there: a padlock, a format, a log's line, a verb.
OTHERWISE = {"settings.lock", "pair.code", "network.entry", "notice.call", "new.group", "message.from", "list.resize"}
#: What a reading has refused, by language: typing errors, other meanings, other words than the core has.
REFUSED = {
    "be": {"timer.off", "group.title"},
    "bg": {"file.zoomIn", "file.zoomOut"},
    "bn": {"group.title"},
    "cs": {"timer.off", "group.state.invited"},
    "eo": {"timer.off", "group.state.invited"},
    "et": {"group.title"},
    "eu": {"timer.off"},
    "fa": {"export.title", "export.make"},
    "fr": {"group.state.invited"},
    "hi": {"group.title"},
    "hu": {"export.title", "export.make"},
    "ko": {"timer.off", "help.shortcuts"},
    "ky": {"group.title"},
    "pl": {"group.state.invited", "privacy.receipts"},
    "ru": {"timer.off", "group.state.invited"},
    "sk": {"timer.off", "group.state.invited"},
    "sw": {"group.title"},
    "te": {"timer.off"},
    "uk": {"accent.red"},
    "vi": {"file.video"},
    "zh-CN": {"group.title"},
}


def plain(text: str) -> str:
    """What counts when two English texts are compared."""
    return re.sub(r"[\s.\u2026!:]+$", "", text.casefold().replace("\u2019", "'"))


class Source(ABC):
    """A package's texts."""

    #: Name and version, as catalogues cite it.
    name: str

    @abstractmethod
    def texts(self, language: str) -> dict[str, dict[str, str]]:
        """English (`plain`), or the key of `SAME` -> plural forms -> text; a text without plural has only `other`."""


class Matrix(Source):
    """matrix-react-sdk: `src/i18n/strings/*.json` of the npm package."""

    TAGS: ClassVar = {
        "de": "de_DE",
        "nb": "nb_NO",
        "zh-CN": "zh_Hans",
        "zh-TW": "zh_Hant",
        "pt-BR": "pt_BR",
        "pt-PT": "pt",
    }

    def __init__(self, archive: Path) -> None:
        with tarfile.open(archive) as files:
            self._files = {
                PurePosixPath(one.name).stem: json.load(found)
                for one in files
                if "/src/i18n/strings/" in one.name and (found := files.extractfile(one))
            }
        self.name = f"matrix-react-sdk {version(archive)}"

    def texts(self, language: str) -> dict[str, dict[str, str]]:  # noqa: D102
        english = self._files["en_EN"]
        found: dict[str, dict[str, str]] = {}
        for key, text in self._files.get(self.TAGS.get(language, language.replace("-", "_")), {}).items():
            forms = text if isinstance(text, dict) else {"other": text}
            source = english.get(key)
            if source is None:
                continue
            if isinstance(source, dict):
                found[source["other"]] = forms
            else:
                found[source] = forms
                found.setdefault(plain(source), forms)
        return found


class Django(Source):
    """Django: the compiled catalogues of the wheel."""

    TAGS: ClassVar = {"zh-CN": "zh_Hans", "zh-TW": "zh_Hant", "pt-BR": "pt_BR", "pt-PT": "pt"}
    #: The parts whose words are a form's or a menu's; the others speak of databases and geometry.
    PARTS = ("contrib/admin/", "contrib/auth/", "conf/", "forms/", "contrib/sites/", "contrib/admindocs/")

    def __init__(self, archive: Path) -> None:
        self._wheel = zipfile.ZipFile(archive)
        self.name = f"django {version(archive)}"

    def texts(self, language: str) -> dict[str, dict[str, str]]:  # noqa: D102
        found: dict[str, dict[str, str]] = {}
        folder = f"locale/{self.TAGS.get(language, language)}/LC_MESSAGES/"
        for part in self.PARTS:
            for name in sorted(self._wheel.namelist()):
                if not (name.startswith(f"django/{part}") and folder in name and name.endswith(".mo")):
                    continue
                catalogue = gettext.GNUTranslations(io.BytesIO(self._wheel.read(name)))
                messages: dict[str, str] = catalogue._catalog  # type: ignore[attr-defined]
                for key, text in messages.items():
                    if isinstance(key, str) and key and text and "\x04" not in key:
                        found.setdefault(key, {"other": text})
                        found.setdefault(plain(key), {"other": text})
        return found


class Prime(Source):
    """primelocale: a JSON file a language, words by key."""

    TAGS: ClassVar = {"nb": "nb-NO", "sr": "sr-RS", "fil": "tl", "pt-PT": "pt"}

    def __init__(self, archive: Path) -> None:
        with tarfile.open(archive) as files:
            self._files = {
                PurePosixPath(one.name).stem: json.load(found)
                for one in files
                if one.name.count("/") == 1 and one.name.endswith(".json") and (found := files.extractfile(one))
            }
        self.name = f"primelocale {version(archive)}"

    def texts(self, language: str) -> dict[str, dict[str, str]]:  # noqa: D102
        name = self.TAGS.get(language, language)
        words = self._files.get(name, {}).get(name, {})
        flat = {key: text for key, text in words.items() if isinstance(text, str)}
        flat |= {f"aria.{key}": text for key, text in words.get("aria", {}).items() if isinstance(text, str)}
        return {key: {"other": text} for key, text in flat.items()}


def version(archive: Path) -> str:
    """The version that the name of a package's file says."""
    found = re.search(r"\d+(?:\.\d+)+", archive.name)
    if found is None:
        raise ValueError(f"{archive.name} says no version")
    return found[0]


class Cldr:
    """Plural rules (cldr-core) and languages' names (cldr-localenames-full)."""

    TAGS: ClassVar = {"zh-CN": "zh-Hans", "zh-TW": "zh-Hant"}
    #: What CLDR puts together from two names.
    OWN: ClassVar = {"pt-BR": "português (Brasil)", "sr-Latn": "srpski (latinica)"}

    def __init__(self, core: Path, names: Path) -> None:
        with tarfile.open(core) as files:
            rules = files.extractfile("package/supplemental/plurals.json")
            assert rules  # noqa: S101 - a package without it is another package
            self._rules = json.load(rules)["supplemental"]["plurals-type-cardinal"]
        self._names = tarfile.open(names)  # noqa: SIM115 - read for as long as this lives

    def forms(self, language: str) -> list[str]:
        """Forms of whole numbers below a million, and `other`."""
        rules = self._rules.get(language) or self._rules[language.split("-")[0]]
        return [
            name
            for name in (key.removeprefix("pluralRule-count-") for key in rules)
            if name == "other" or _small(rules[f"pluralRule-count-{name}"])
        ]

    def names(self, language: str) -> tuple[str, str]:
        """A language's name in itself, and in English."""
        tag = self.TAGS.get(language, language)
        own = self.OWN.get(language) or self._name(tag, tag)
        english = self._name("en", tag) + (" (Latin)" if language == "sr-Latn" else "")
        return own[:1].upper() + own[1:] if ord(own[0]) < 0x0590 else own, english

    def _name(self, of: str, language: str) -> str:
        for locale in dict.fromkeys((of, of.split("-")[0])):
            for wanted in dict.fromkeys((language, language.split("-")[0])):
                try:
                    file = self._names.extractfile(f"package/main/{locale}/languages.json")
                except KeyError:
                    continue
                assert file  # noqa: S101
                words = json.load(file)["main"][locale]["localeDisplayNames"]["languages"]
                if wanted in words:
                    return str(words[wanted])
        raise KeyError(f"CLDR does not name {language} in {of}")


def _small(rule: str) -> bool:
    """Whether a rule is for any whole number below a million."""
    integers = re.search(r"@integer([^@]*)", rule)
    return integers is not None and any(
        number.isdecimal() and int(number) < 1_000_000 for number in re.split(r"[,~\s…]+", integers[1])
    )
