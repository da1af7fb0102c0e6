"""How much a provider is asked for, and how many have to agree."""

from __future__ import annotations

import pytest

from allium.staking.provider_quorum import ProviderQuorum
from allium.staking.span import Span


def test_more_is_tried_ever_less_often_where_it_is_refused() -> None:
    span, refusals = Span(1000), 0
    for _ in range(2000):
        if span.blocks > 7:
            span.refused(span.blocks)
            refusals += 1
        else:
            span.answered(span.blocks)
    assert span.blocks == 7 and refusals < 16
    for _ in range(600):
        span.answered(span.blocks)
    assert span.blocks == 1000
    span.answered(3)
    span.refused(3)
    assert span.blocks == 1
    span.refused(1)
    assert span.blocks == 1


def test_a_quorum_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2 providers"):
        ProviderQuorum(["http://127.0.0.1:1", "http://127.0.0.1:2"], 3)
    assert [ProviderQuorum(["http://127.0.0.1:1"] * count).quorum for count in (1, 2, 3, 4, 5)] == [1, 2, 2, 3, 3]
