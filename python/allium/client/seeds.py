"""Mainnet's seed nodes, and the certificates that prove who they are (`spec/client-network` §1)."""

from __future__ import annotations

from collections.abc import Mapping

#: What a client asks for its first nodes.
MAINNET = tuple(f"https://seed{number}.getsession.org:4443/" for number in (1, 2, 3))

#: Host -> SHA-256 of its certificate, which is self-signed and the only one that is trusted for it: what has the same
#: bytes has the same key and the same name, so that neither is looked at again.
PINS: Mapping[str, bytes] = {
    "seed1.getsession.org": bytes.fromhex("36ea0b253537988551ee856e4fd20d55011e9c8b27eaa2f34b8f32a0bdf04f2d"),
    "seed2.getsession.org": bytes.fromhex("c5908dd4139acd96aedd1e45576597650809c8a5ea02af556d4853d45396e0e7"),
    "seed3.getsession.org": bytes.fromhex("8a0af2c712342f22ce00e53c1601410ef8d84156aee0a9809c32f6f7efbe556e"),
}
