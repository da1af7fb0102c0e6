"""Recovery phrases and key derivation against the published vectors (`spec/accounts` §1-2)."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings

from allium.cli import account as account_cli
from allium.client import words
from allium.client.account import Account, account_id_of, account_key

COUNTING = bytes(range(16))

KEYS = [
    (
        "00000000000000000000000000000000",
        "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
        "055bf55c73b82ebe22be80f3430667af570fae2556a6415e6b30d4065300aa947d",
    ),
    (
        "000102030405060708090a0b0c0d0e0f",
        "65adc5bfb14b5363f1b50e63a431f6fe08ff5d4e8d362c1e3d4c56c9d044bfb0",
        "05ca03b8e369aeeb69fd260c2957d37b232db17a60db7a39bca9f0c0a6be135c1a",
    ),
    (
        "ffffffffffffffffffffffffffffffff",
        "50a8a21fb13d4d2e03037e393e5c60ddb9f92d97b55c8aa77e95a0624215d7a1",
        "05fbc4b8c9a80643a287c8d7747dd95ae5475acd97ecd5398ea0bfa85393d70e21",
    ),
    (
        "0123456789abcdef0123456789abcdef",
        "4cb76fdc6d32278e3f83dbf608360ecc6b65727934b85d2fb86862ff98c46ab7",
        "05d2ad010eeb72d72e561d9de7bd7b6989af77dcabffa03a5111a6c859ae5c3a72",
    ),
    (
        "00112233445566778899aabbccddeeff",
        "5ea34e72bb044654a6a23675690ef5ffaaf1656b02f93fb76655f9cbdbe89876",
        "05aa654f00fc39fc69fd0db829410ca38177d7732a8d2f0934ab3872ac56d5aa74",
    ),
]

PHRASES = [
    (bytes(16), " ".join(["abbey"] * 13)),
    (COUNTING, "amaze buffet cake entrance symptoms tiger lamb maze nestle python dusted faxed faxed"),
    (b"\xff" * 16, "foamy solved soggy " * 4 + "solved"),
    (
        bytes.fromhex("0123456789abcdef" * 2),
        "vexed enjoy pigment films adept voted vexed enjoy pigment films adept voted adept",
    ),
]


@pytest.mark.parametrize(("entropy", "ed25519", "account_id"), KEYS)
def test_keys_of_an_account(entropy: str, ed25519: str, account_id: str) -> None:
    account = Account(bytes.fromhex(entropy))
    assert account.ed25519_public.hex() == ed25519
    assert account.account_id == account_id
    assert account_id_of(account.ed25519_public) == account_id
    assert account_key(account_id.upper()) == account.x25519_public


def test_x25519_secret() -> None:
    expected = "d003ce60ea7d2a0190abea35bb271bff65af6f77bec8f5d6c87a343dd5a1f05d"
    assert Account(COUNTING).x25519_secret.hex() == expected


@pytest.mark.parametrize(("entropy", "phrase"), PHRASES)
def test_phrases(entropy: bytes, phrase: str) -> None:
    assert words.encode(entropy) == phrase
    assert words.decode(phrase) == entropy
    assert Account.from_phrase(phrase).account_id == Account(entropy).account_id


def test_the_word_list_is_the_one_pinned_and_needs_no_import_of_its_package() -> None:
    listed = words.word_list()
    assert (listed[0], listed[-1], len(listed)) == ("abbey", "zoom", 1626)
    assert hashlib.sha256("\n".join(listed).encode()).hexdigest() == words.WORD_LIST_SHA256
    program = "import sys; from allium.client import words; words.word_list(); assert 'monero' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


@given(st.binary(min_size=16, max_size=16))
def test_any_entropy_survives_its_phrase(entropy: bytes) -> None:
    phrase = words.encode(entropy)
    assert words.decode(phrase) == entropy
    assert words.decode("  ".join(word[:3].upper() for word in phrase.split())) == entropy


@pytest.mark.parametrize(
    ("phrase", "says"),
    [
        ("amaze buffet cake entrance symptoms tiger lamb maze nestle python dusted faxed", "last word is missing"),
        ("amaze " * 14, "13 words, not 14"),
        ("", "13 words, not 0"),
        (PHRASES[1][1].replace("tiger", "qqqqq"), "word 6, 'qqqqq'"),
        (PHRASES[1][1].replace("tiger", "ti"), "word 6, 'ti'"),
        (PHRASES[1][1].rsplit(" ", 1)[0] + " zoom", "the last word, 'zoom'"),
        # Last word, then twice one step back: the largest number three words can spell, and more than four bytes hold.
        ("zoom zones zombie " * 4 + "zoom", "words 1 to 3, 'zoom zones zombie'"),
    ],
)
def test_wrong_phrases_say_what_is_wrong(phrase: str, says: str) -> None:
    with pytest.raises(words.PhraseError, match=says):
        Account.from_phrase(phrase)


PHRASE = PHRASES[1][1]


@pytest.mark.parametrize(
    "text",
    [
        f"\ufeff{PHRASE}\n",
        PHRASE.replace(" ", "\u200b \u200d"),
        PHRASE.upper().replace(" ", "\u3000").translate({n: n + 0xFEE0 for n in range(0x41, 0x5B)}),
        f'"{PHRASE}"',
        f"\u201c{PHRASE}\u201d.",
        "\n".join(f"{number}. {word}" for number, word in enumerate(PHRASE.split(), 1)),
        " ".join(f"({number}){word}" for number, word in enumerate(PHRASE.split(), 1)),
        ", ".join(PHRASE.split()),
        f"0x{COUNTING.hex()}",
        f"'{COUNTING.hex()}'",
        COUNTING.hex() + "0" * 32,
    ],
)
def test_phrases_as_people_have_them(text: str) -> None:
    assert Account.from_phrase(text).account_id == Account(COUNTING).account_id


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_files_as_people_have_them(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "account"
    file.write_bytes(f"{PHRASE}\r\n".encode(encoding))
    assert account_cli.read(file).account_id == Account(COUNTING).account_id


def test_very_old_accounts_have_25_words() -> None:
    seed = bytes(range(1, 33))
    account = Account.from_seed(seed)
    assert len(account.phrase.split()) == 25
    for text in (account.phrase, seed.hex().upper()):
        again = Account.from_phrase(text)
        assert (again.account_id, again.phrase) == (account.account_id, account.phrase)
    assert account.ed25519_public == bindings.crypto_sign_seed_keypair(seed)[0]
    assert Account.from_seed(COUNTING + bytes(16)).phrase == PHRASE
    with pytest.raises(words.PhraseError, match=r"24 are right, it is"):
        Account.from_phrase(account.phrase.rsplit(" ", 1)[0])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("legal winner thank year wave sausage worth useful legal winner thank yellow", "BIP39"),
        ("letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd " * 2, "BIP39"),
        ("ábaco abdomen abeja abierto abogado abono aborto abrazo abrir abuelo abuso acabar academia", "Spanish"),
        (PHRASE.rsplit(" ", 1)[0], "if these 12 are right, it is 'faxed'"),
        ("1. 2. 3.", "13 words, not 0"),
    ],
)
def test_other_phrases_are_told_apart(text: str, says: str) -> None:
    with pytest.raises(words.PhraseError, match=says):
        Account.from_phrase(text)


def test_a_qr_code_holds_hex() -> None:
    assert Account.from_phrase(f" {COUNTING.hex().upper()}\n").account_id == Account(COUNTING).account_id


def test_new_accounts_differ() -> None:
    assert Account.new().account_id != Account.new().account_id


def test_signatures_verify() -> None:
    account = Account(b"\xff" * 16)
    assert bindings.crypto_sign_open(account.sign(b"x") + b"x", account.ed25519_public) == b"x"


def test_repr_keeps_secrets() -> None:
    account = Account(COUNTING)
    shown = f"{account!r} {account}"
    assert account.account_id in shown
    for secret in (COUNTING, account.ed25519_secret, account.x25519_secret):
        assert secret.hex() not in shown and repr(secret) not in shown
    assert "amaze" not in shown
    assert not hasattr(account, "__dict__")


@pytest.mark.parametrize("wrong", ["", "05", "03" + "0" * 64, "05" + "g" * 64, "05" + "0" * 63, "05" + "0" * 64 + "\n"])
def test_account_ids_are_checked(wrong: str) -> None:
    with pytest.raises(ValueError, match="Account ID"):
        account_key(wrong)


def test_a_key_that_begins_with_05_keeps_its_first_byte() -> None:
    key = b"\x05" + b"\x11" * 31
    assert account_key("05" + key.hex()) == key


@pytest.mark.parametrize("length", [0, 15, 17, 32])
def test_accounts_are_sixteen_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Account(bytes(length))
