"""File names of strangers on this machine's disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allium.client.files import names
from allium.client.transfers.sinks import FileSink


@pytest.mark.parametrize(
    ("told", "safe"),
    [
        ("holiday.jpg", "holiday.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\x.txt", "x.txt"),
        ("/", "attachment.png"),
        ("..", "attachment.png"),
        ("", "attachment.png"),
        ("???", "attachment.png"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("CON", "_CON"),
        ("aux.txt", "_aux.txt"),
        ("lpt1 .png", "_lpt1 .png"),
        ("COM¹", "_COM¹"),
        ("invoice\u202egpj.exe", "invoicegpj.exe"),
        ("a\u2066b\u2069c\u200f.txt", "abc.txt"),
        ("line\nbreak\x1b[31m\0.txt", "linebreak[31m.txt"),
        ("what?<is>:it|.doc", "what__is__it_.doc"),
        ("trailing. . .", "trailing"),
        ("a\u2028b\u00a0c", "a b c"),
        ("👩\u200d💻.png", "👩\u200d💻.png"),
        ("\ud800x", "x"),
        ("e\u0301.txt", "é.txt"),
    ],
)
def test_what_becomes_of_names(told: str, safe: str) -> None:
    assert names.safe_name(told, "image/png") == safe


@settings(max_examples=50)
@given(st.text(st.characters(), max_size=300) | st.text("./\\ -~con1:.\u202e", max_size=30), st.text(max_size=20))
def test_any_name_is_one_in_its_directory(told: str, content_type: str) -> None:
    safe = names.safe_name(told, content_type)
    assert safe and len(safe.encode()) <= names.MAX_BYTES
    assert "/" not in safe and "\\" not in safe and safe[0] not in ".-" and safe[-1] not in ". "
    assert names.safe_name(safe) == safe
    assert names.split(names.numbered(safe, 2))[1] == names.split(safe)[1] or names.split(safe)[1] == ""


def test_long_names_keep_what_they_end_in() -> None:
    assert names.safe_name("ä" * 300 + ".tar").endswith("ä.tar")
    assert names.safe_name("x" * 300 + "." + "y" * 100) == "x" * 200


def test_a_file_has_its_name_once_it_is_whole(tmp_path: Path) -> None:
    for expected in ("a.txt", "a (2).txt", "a (3).txt"):
        with FileSink(tmp_path) as sink:
            sink.write(b"data")
            assert not (tmp_path / expected).exists()
            assert sink.keep("/a.txt") == tmp_path / expected
    with pytest.raises(RuntimeError), FileSink(tmp_path) as sink:
        sink.write(b"half")
        raise RuntimeError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a (2).txt", "a (3).txt", "a.txt"]
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o600
    # A link to elsewhere is a name that is taken.
    (tmp_path / "b.txt").symlink_to(tmp_path / "elsewhere")
    with FileSink(tmp_path) as sink:
        assert sink.keep("b.txt").name == "b (2).txt"
    assert not (tmp_path / "elsewhere").exists()
