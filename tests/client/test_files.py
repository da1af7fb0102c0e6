"""Encryption of files in pieces, against published vectors and what strangers store (`spec/files-and-calls`)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allium.client.files import deterministic, legacy
from allium.client.files.deterministic import FileKey, KeyDeriver
from allium.client.files.legacy import FileError
from allium.client.files.urls import DEFAULT_KEY, FileUrl, FileUrlError, content_id

SEED = bytes(range(16)) + bytes(16)
HELLO = b"hello attachment"

Cutter = st.integers(1, 40_000)


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def store_legacy(data: bytes, size: int, **options: bool) -> tuple[bytes, legacy.Encryptor]:
    encryptor = legacy.Encryptor(len(data), **options)  # type: ignore[arg-type]
    return b"".join(map(encryptor.update, pieces(data, size))) + encryptor.finish(), encryptor


def read_legacy(stored: bytes, key: bytes, digest: bytes, length: int, size: int) -> bytes:
    decryptor = legacy.Decryptor(key, digest, length)
    return b"".join(map(decryptor.update, pieces(stored, size))) + decryptor.finish()


def derive(data: bytes, purpose: deterministic.Purpose) -> FileKey:
    deriver = KeyDeriver(SEED, purpose)
    for piece in pieces(data, 7):
        deriver.update(piece)
    return deriver.finish()


def store(data: bytes, key: FileKey, size: int = 1 << 20) -> bytes:
    encryptor = deterministic.Encryptor(len(data), key)
    return b"".join(map(encryptor.update, pieces(data, size))) + encryptor.finish()


def fetch(stored: bytes, key: bytes, size: int = 1 << 20) -> bytes:
    decryptor = deterministic.Decryptor(key)
    return b"".join(map(decryptor.update, pieces(stored, size))) + decryptor.finish()


# Legacy (§2.1)


@pytest.mark.parametrize(("size", "padded"), [(0, 541), (1, 541), (542, 568), (1_000, 1_020), (100_000, 100_155)])
def test_sizes_that_legacy_files_are_padded_to(size: int, padded: int) -> None:
    assert legacy.padded_size(size) == padded


@given(st.binary(max_size=3_000), Cutter, Cutter, st.booleans())
def test_legacy_files_go_there_and_back_in_pieces(data: bytes, cut: int, other: int, padded: bool) -> None:
    stored, encryptor = store_legacy(data, cut, padded=padded)
    inner = max(legacy.padded_size(len(data)), len(data)) if padded else len(data)
    assert len(stored) == 16 + inner + 16 - inner % 16 + 32
    assert hashlib.sha256(stored).digest() == encryptor.digest
    assert read_legacy(stored, encryptor.key, encryptor.digest, len(data), other) == data


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_legacy_file_that_was_changed_is_refused(data: bytes, draw: st.DataObject) -> None:
    stored, encryptor = store_legacy(data, 10)
    changed = bytearray(stored)
    changed[draw.draw(st.integers(0, len(stored) - 1))] ^= draw.draw(st.integers(1, 255))
    for bad in (bytes(changed), stored[: draw.draw(st.integers(0, len(stored) - 1))], stored + b"x"):
        # The digest may come from whoever changed the file; the MAC does not.
        for digest in (encryptor.digest, hashlib.sha256(bad).digest()):
            with pytest.raises(FileError):
                read_legacy(bad, encryptor.key, digest, len(data), 33)


def test_a_legacy_file_of_another_size_is_refused() -> None:
    stored, encryptor = store_legacy(b"x" * 600, 100)
    with pytest.raises(FileError, match="smaller"):
        read_legacy(stored, encryptor.key, encryptor.digest, 700, 100)
    for key, digest, size in (
        (b"", encryptor.digest, 1),
        (encryptor.key, b"", 1),
        (encryptor.key, encryptor.digest, -1),
    ):
        with pytest.raises(FileError):
            legacy.Decryptor(key, digest, size)
    short = legacy.Encryptor(5)
    short.update(b"1234")
    with pytest.raises(FileError, match="smaller"):
        short.finish()
    with pytest.raises(FileError, match="larger"):
        short.update(b"567")
    with pytest.raises(FileError, match="at most"):
        legacy.Encryptor(10_000_001)


@given(st.binary(max_size=500))
def test_pictures_of_older_clients(picture: bytes) -> None:
    stored, key = legacy.encrypt_picture(picture)
    assert legacy.decrypt_picture(stored, key) == picture
    for data, opener in ((stored[:-1], key), (stored, b"x" * 32), (stored, b""), (picture[:20], key)):
        with pytest.raises(FileError):
            legacy.decrypt_picture(data, opener)


# Deterministic (§2.2)


@pytest.mark.parametrize(
    ("purpose", "key", "digest"),
    [
        (
            "attachment",
            "f2f522ed22545365a07e28197cf887caf884ecfdad3f00fee118d71b5baa37f4",
            "0b7dc7cb3d95e09dea2d25460cbe99634aa62c73806cdb51c62469acbaa3b6f5",
        ),
        (
            "picture",
            "038a244a0df3545ce4245839b4d72859180e57239d0627b3ba1ce1f969a8b78c",
            "5345a2d892b3a63e4267c0d7f208659d6145c30beae1fe9727fc33135d687415",
        ),
    ],
)
def test_deterministic_files_have_their_published_bytes(purpose: deterministic.Purpose, key: str, digest: str) -> None:
    made = derive(HELLO, purpose)
    stored = store(HELLO, made)
    assert made.key.hex() == key
    assert (len(stored), hashlib.sha256(stored).hexdigest()) == (4_096, digest)
    if purpose == "attachment":
        assert content_id(stored) == "VBeRWUQiPxz41kYBVE3JNpn84wruQ0tNGrWNcUlL-l0v"


@pytest.mark.parametrize(
    ("size", "stored"),
    [
        (0, 4_096),
        (4_000, 4_096),
        (131_072, 135_168),
        (1_000_000, 1_015_808),
        (10_000_000, 10_223_616),
        (10_218_286, 10_223_616),
    ],
)
def test_sizes_of_deterministic_files(size: int, stored: int) -> None:
    inner = size + deterministic.padding(size)
    assert 25 + inner + 17 * -(-inner // deterministic.CHUNK) == stored


def test_large_files_go_there_and_back_in_pieces() -> None:
    data = hashlib.shake_256(b"file").digest(1_000_000)
    key = derive(data, "attachment")
    stored = store(data, key, 12_345)
    assert stored == store(data, key)
    assert len(stored) == 1_015_808
    assert fetch(stored, key.key, 33_333) == data


@given(st.integers(0, 400_000))
def test_every_size_fills_its_step_exactly(size: int) -> None:
    inner = size + deterministic.padding(size)
    stored = 25 + inner + 17 * -(-inner // deterministic.CHUNK)
    assert deterministic.padding(size) >= 1
    assert stored % 4_096 == 0


@given(st.binary(max_size=200), st.data())
def test_a_deterministic_file_that_was_changed_is_refused(data: bytes, draw: st.DataObject) -> None:
    key = derive(data, "attachment")
    stored = store(data, key)
    changed = bytearray(stored)
    changed[draw.draw(st.integers(0, len(stored) - 1))] ^= draw.draw(st.integers(1, 255))
    for bad in (bytes(changed), stored[: draw.draw(st.integers(0, len(stored) - 1))], stored + b"x"):
        with pytest.raises(FileError):
            fetch(bad, key.key)
    assert fetch(stored, key.key, 50) == data


def test_a_file_that_is_cut_between_chunks_is_refused() -> None:
    data = bytes(100_000)
    key = derive(data, "attachment")
    stored = store(data, key)
    with pytest.raises(FileError, match="does not end"):
        fetch(stored[: 25 + 2 * (deterministic.CHUNK + 17)], key.key)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_decryptors(data: bytes) -> None:
    for start in (b"", b"S"):
        with pytest.raises(FileError):
            fetch(start + data, b"k" * 32)
    with pytest.raises(FileError):
        read_legacy(data, b"k" * 64, hashlib.sha256(data).digest(), 5, 40)


# URLs (§1, §6)


def test_urls_say_how_a_file_is_read() -> None:
    other = "ab" * 32
    for url, expected in (
        ("http://filev2.getsession.org/file/123", FileUrl("http://filev2.getsession.org", "123")),
        (
            "http://filev2.getsession.org/file/a_-b#d",
            FileUrl("http://filev2.getsession.org", "a_-b", deterministic=True),
        ),
        (
            f"http://127.0.0.1:8080/file/5#d&p={other}",
            FileUrl("http://127.0.0.1:8080", "5", bytes.fromhex(other), deterministic=True),
        ),
    ):
        assert FileUrl.parse(url) == expected
        assert str(expected) == url
    assert FileUrl.parse("http://filev2.getsession.org/file/1#x=9&d=").deterministic
    assert FileUrl.parse("http://filev2.getsession.org/file/1#p=zz").key == DEFAULT_KEY


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://filev2.getsession.org/file/1",
        "http://127.0.0.1/file/1",
        "http://evil.example/file/1#p=ab",
        "http://filev2.getsession.org/files/1",
        "http://filev2.getsession.org/file/../1",
        "http://user@filev2.getsession.org/file/1",
        "http://filev2.getsession.org:99999/file/1",
        "http://notgetsession.org/file/1",
        "http://filev2.getsession.org/file/" + "a" * 3_000,
    ],
)
def test_urls_that_lead_to_no_file(url: str) -> None:
    with pytest.raises(FileUrlError):
        FileUrl.parse(url)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader_of_urls(text: str) -> None:
    for url in (text, f"http://filev2.getsession.org/file/{text}", f"http://{text}/file/1#p={'ab' * 32}"):
        try:
            parsed = FileUrl.parse(url)
        except FileUrlError:
            continue
        assert FileUrl.parse(str(parsed)) == parsed
