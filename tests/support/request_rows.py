"""One request in a table, and how it is to be answered over every transport and in both encodings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.caller import CALLS, Caller

Check = str | Callable[[Any, Caller], bool]


@dataclass(frozen=True)
class Row:
    """One request: what is asked, and the status and text (or what holds of the result)."""

    name: str
    method: str
    #: An object, after what has to happen first: `c.stored() and c.retrieve()`.
    params: Callable[[Caller], Any]
    status: int
    check: Check
    #: The text where bencode's differs; `None`: bencode cannot say such a thing.
    bencode: str | None = field(default="")

    def check_at(self, caller: Caller) -> None:
        """Asks, and fails where the answer is another."""
        answer = caller.ask(self.method, self.params(caller))
        check = self.bencode if caller.encoding == "bencode" and self.bencode else self.check
        if isinstance(check, str):
            assert (answer.status, answer.body.decode()) == (self.status, check)
        else:
            assert answer.status == self.status, answer
            assert check(caller.result(answer), caller), answer


def invalid(name: str, method: str, params: Callable[[Caller], Any], text: str, bencode: str | None = "") -> Row:
    """A 400 with the prefix that all of them have."""
    prefix = "invalid request: "
    return Row(name, method, params, 400, prefix + text, bencode and prefix + bencode)


def cases(rows: Sequence[Row]) -> list[Any]:
    """Every row, over each transport and in each encoding that can say it."""
    return [
        pytest.param(row, transport, encoding, id=f"{row.method}-{row.name}-{transport}-{encoding}".replace(" ", "_"))
        for row in rows
        for transport, encoding in CALLS
        if encoding == "json" or row.bencode is not None
    ]
