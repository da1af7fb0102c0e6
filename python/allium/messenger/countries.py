"""The country that an address is in: looked up on this machine, in data that come with the package."""

from __future__ import annotations

import ipaddress

from allium import geography


def country(address: str) -> str | None:
    """Two letters (ISO 3166-1); `None` for an address of this machine, of its network, or of nobody known."""
    try:
        if not ipaddress.ip_address(address).is_global:
            return None
    except ValueError:
        return None
    return geography.country_of(address) or None
