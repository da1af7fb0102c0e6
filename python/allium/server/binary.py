"""Bytes in JSON, as clients write them: hexadecimal digits, or either base64, padded or not."""

from __future__ import annotations

import base64
import binascii


def decoded(text: str, length: int) -> bytes | None:
    """Bytes of this length, from hex or either base64, padded or not."""
    try:
        if len(text) == 2 * length:
            return bytes.fromhex(text)
        plain = text.rstrip("=").replace("-", "+").replace("_", "/")
        decoded = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (ValueError, binascii.Error):
        return None
    return decoded if len(decoded) == length else None
