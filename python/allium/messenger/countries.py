"""The country to which a registry gave an address: looked up on this machine, in data that comes with a package.

Where a block is used may be elsewhere; who runs a node far from home is shown at home.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache


def country(address: str) -> str | None:
    """Two letters (ISO 3166-1); None for an address of this machine, of its network, or of nobody known."""
    try:
        if not ipaddress.ip_address(address).is_global:
            return None
    except ValueError:
        return None
    return _registered(address)


@lru_cache(maxsize=8192)
def _registered(address: str) -> str | None:
    try:
        from iptocc import country_code
    except ImportError:
        # There is no build of it for every system.
        return None
    found = country_code(address)
    return found if isinstance(found, str) and len(found) == 2 and found.isalpha() else None
