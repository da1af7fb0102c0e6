"""The one canonical form of values, and whatever else strangers write (`spec/configs` §1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allium.client import bencode
from allium.client.bencode import MAX_DEPTH, BencodeError, Value

values: st.SearchStrategy[Value] = st.recursive(
    st.integers(-(1 << 63), (1 << 64) - 1) | st.binary(max_size=20),
    lambda deeper: st.lists(deeper, max_size=4) | st.dictionaries(st.binary(max_size=4), deeper, max_size=4),
    max_leaves=20,
)


@given(values)
def test_a_value_is_read_as_it_was_written(value: Value) -> None:
    assert bencode.decode(bencode.encode(value)) == value


@given(st.binary(max_size=60) | st.text("dlei0123456789:-~#&", max_size=40).map(str.encode))
def test_what_is_read_is_written_as_it_was(data: bytes) -> None:
    try:
        value = bencode.decode(data)
    except BencodeError:
        return
    assert bencode.encode(value) == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut off"),
        (b"i1", "not a number"),
        (b"ie", "not a number"),
        (b"i-0e", "not a number"),
        (b"i01e", "not a number"),
        (b"i+1e", "not a number"),
        (b"i18446744073709551616e", "64 bits"),
        (b"i-9223372036854775809e", "64 bits"),
        (b"i" + b"9" * 5_000 + b"e", "not a number"),
        (b"01:a", "not a number"),
        (b"5:abc", "cut off"),
        (b"99999999999999999999:a", "cut off"),
        (b"l", "cut off"),
        (b"d1:b0:1:a0:e", "out of order"),
        (b"d1:a0:1:a0:e", "out of order"),
        (b"di1e0:e", "no string"),
        (b"d1:ae", "begins like this"),
        (b"0:x", "follows"),
        (b"l" * (MAX_DEPTH + 1) + b"e" * (MAX_DEPTH + 1), "too deeply"),
        (b"l" * 1_000_000, "too deeply"),
        (b"d1:a" * 1_000_000, "too deeply"),
    ],
)
def test_what_is_not_canonical_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BencodeError, match=reason):
        bencode.decode(data)


def test_only_what_bencode_has_is_written() -> None:
    for value in ("text", 1.5, None, {1}):
        with pytest.raises(TypeError):
            bencode.encode(value)
