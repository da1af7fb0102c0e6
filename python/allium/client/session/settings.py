"""What the user has set on this device. Nothing of it travels, as in the other clients."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Protocol

_FACT = "settings"


class _Facts(Protocol):
    def get(self, name: str) -> bytes | None: ...
    def set(self, name: str, value: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """All off at first, as in the other clients."""

    #: Tell others that their messages were read, and be told.
    read_receipts: bool = False
    #: Tell others that we type, and be told.
    typing: bool = False
    #: Take calls.
    calls: bool = False
    #: Publish keys that soon change, and seal for those of others who do (`spec/protocol-v2`). `Session.devices` turns
    #: it on, as a device has to be in the account's device group first; off, such messages are still read.
    protocol_v2: bool = False

    @classmethod
    def load(cls, facts: _Facts) -> Settings:
        """As they were stored; what is not known is left out."""
        try:
            stored = json.loads(facts.get(_FACT) or b"{}")
        except ValueError:
            stored = {}
        known = {each.name for each in fields(cls)}
        return cls(**{name: bool(value) for name, value in stored.items() if name in known})

    def store(self, facts: _Facts) -> None:
        """Over what was stored."""
        facts.set(_FACT, json.dumps(asdict(self)).encode())
