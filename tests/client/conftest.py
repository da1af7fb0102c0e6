"""Property tests of this directory take what time the machine gives them."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("client", deadline=None)
settings.load_profile("client")
