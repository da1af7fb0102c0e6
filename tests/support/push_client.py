"""What a client sends to a push server, signed as `spec/files-and-calls` §5 has it, by libsodium alone."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.wire import User


@dataclass
class Device:
    """A user's device, or a group member's."""

    user: User
    service: str
    info: dict[str, Any]
    enc_key: bytes = field(default_factory=lambda: os.urandom(32))

    def _who(self, text: str, seconds: int) -> dict[str, Any]:
        fields = self.user.auth(text)
        if "pubkey_ed25519" in fields:
            fields["session_ed25519"] = fields.pop("pubkey_ed25519")
        return {**fields, "sig_ts": seconds, "service": self.service, "service_info": self.info}

    def subscription(
        self, namespaces: Sequence[int] = (0,), data: bool = True, seconds: int | None = None
    ) -> dict[str, Any]:
        """The JSON of a subscription."""
        seconds = int(time.time()) if seconds is None else seconds
        named = ",".join(map(str, namespaces))
        who = self._who(f"MONITOR{self.user.account_id}{seconds}{int(data)}{named}", seconds)
        return {**who, "namespaces": list(namespaces), "data": data, "enc_key": self.enc_key.hex()}

    def unsubscription(self, seconds: int | None = None) -> dict[str, Any]:
        """The JSON of its end."""
        seconds = int(time.time()) if seconds is None else seconds
        return self._who(f"UNSUBSCRIBE{self.user.account_id}{seconds}", seconds)
